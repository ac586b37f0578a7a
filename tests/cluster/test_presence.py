"""Telling the store who watches here, and who wants a run cancelled."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.testing
from runtime_kit import endless, rest
from shared_kit import quiet, shared
from store_kit import record

from trio_agent._agent import Agent
from trio_agent._cluster.presence import Presence
from trio_agent._errors import CursorExpired, StoreUnavailable
from trio_agent._limits import CancelAfter
from trio_agent._log.feed import Feed
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel


async def test_a_viewer_elsewhere_keeps_it_alive(autojump_clock: trio.testing.MockClock) -> None:
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(endless(), "hi", on_disconnect=CancelAfter(5))
        with (await b.find(run.id)).subscribe():
            await trio.sleep(60)
            assert (await s.store.info(run.id)).viewers == 1
            assert run.status == "active"
        begin = trio.current_time()
        assert (await run.wait()).reason == "nobody watches"
        assert trio.current_time() - begin == 5


async def test_cancel_arms_at_the_first_viewer_elsewhere(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with shared(3) as s:
        a, b, c = s.runtimes
        run = await a.start(endless(), "hi", on_disconnect="cancel")
        with (await b.find(run.id)).subscribe(), (await b.find(run.id)).subscribe():
            await quiet()
            assert (await s.store.info(run.id)).viewers == 2
            with (await c.find(run.id)).subscribe(), run.subscribe():
                await quiet()
                assert (await s.store.info(run.id)).viewers == 4
        await quiet()
        assert (await run.wait()).reason == "nobody watches"


async def test_viewers_are_told_when_the_store_is_back(
    caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(endless(), "hi", on_disconnect=CancelAfter(100))
        s.doors[1].away.add("set_viewers")
        with (await b.find(run.id)).subscribe():
            await trio.sleep(20)
            assert (await s.store.info(run.id)).viewers == 0
            s.doors[1].away.clear()
            await trio.sleep(3)
            assert (await s.store.info(run.id)).viewers == 1
            s.doors[1].away.add("set_viewers")
            await trio.sleep(20)
            assert (await s.store.info(run.id)).viewers == 0
        s.doors[1].away.clear()
        await trio.sleep(3)
        assert (await s.store.info(run.id)).viewers == 0
        assert "could not be told who watches" in caplog.text
        await run.cancel()


async def test_viewers_of_a_finished_run_are_no_news(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(Agent(model=ScriptedModel(["a"])), "hi")
        await run.wait()
        await quiet()
        told = s.doors[1].calls["set_viewers"]
        await rest(await b.find(run.id))
        await quiet()
        assert s.doors[1].calls["set_viewers"] == told == 0


async def test_a_cancel_of_what_was_removed_is_told_to_nobody(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(endless(), "hi")
        found = await b.find(run.id)
        await run.cancel()
        await a.delete(run.id)
        found.request_cancel()
        await quiet()
        assert s.doors[1].calls["request_cancel"] == 1
        with pytest.raises(CursorExpired):
            await found.wait()


async def test_a_cancel_request_is_told_when_the_store_is_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(endless(), "hi")
        s.doors[1].away.add("request_cancel")
        s.doors[0].away.add("info")
        (await b.find(run.id)).request_cancel("far away")
        await trio.sleep(5)
        s.doors[1].away.clear()
        await trio.sleep(5)
        assert run.status == "active"
        s.doors[0].away.clear()
        assert (await run.wait()).reason == "far away"


# What the store is told, word by word


class Listening(FaultyStore):
    """Keeps what it is told. While there is a gate, it answers behind it."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.told: list[tuple[str, int | str]] = []
        self.gate: trio.Event | None = None
        self.odd: dict[str, Exception] = {}

    async def set_viewers(self, run_id: str, worker: str, count: int) -> None:
        assert worker == "me"
        await super().set_viewers(run_id, worker, count)
        await self._note(run_id, count)

    async def request_cancel(self, run_id: str, reason: str) -> None:
        if run_id in self.odd:
            raise self.odd[run_id]
        await super().request_cancel(run_id, reason)
        await self._note(run_id, reason)

    async def _note(self, run_id: str, said: int | str) -> None:
        self.told.append((run_id, said))
        if self.gate is not None:
            await self.gate.wait()

    def take(self) -> list[tuple[str, int | str]]:
        told, self.told = self.told, []
        return told


@attrs.define
class Here:
    """This process: who watches, and what the store was told of it."""

    store: Listening
    presence: Presence

    def feed(self, run_id: str) -> Feed:
        feed = Feed(run_id, "e")
        feed.on_use.append(self.presence.viewers_changed)
        return feed

    async def told(self) -> list[tuple[str, int | str]]:
        """What it was told since the last look."""
        await trio.testing.wait_all_tasks_blocked()
        return self.store.take()


@asynccontextmanager
async def here(*run_ids: str) -> AsyncIterator[Here]:
    store = Listening()
    presence = Presence(store, "me")
    for run_id in run_ids:
        await store.create(record(run_id))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(presence.run)
        yield Here(store, presence)
        nursery.cancel_scope.cancel()


async def test_the_last_count_is_told_and_no_change_is_none() -> None:
    async with here("r", "q") as h:
        r, q = h.feed("r"), h.feed("q")
        for feed in (r, q, r, r):
            feed.add_viewers(1)
        assert h.presence.known_viewers("r") == 0
        assert sorted(await h.told()) == [("q", 1), ("r", 3)]
        assert (h.presence.known_viewers("r"), h.presence.known_viewers("q")) == (3, 1)
        with r.hold():
            assert await h.told() == []
        q.add_viewers(-1)
        assert await h.told() == [("q", 0)]
        assert (await h.store.info("q")).viewers == h.presence.known_viewers("q") == 0


@pytest.mark.parametrize(("before", "then", "meanwhile"), [(1, 3, 1), (3, 1, 1), (0, 2, 0)])
async def test_while_it_is_told_the_smaller_count_is_known(
    before: int, then: int, meanwhile: int
) -> None:
    """Nobody else's viewers may seem to be ours."""
    async with here("r") as h:
        feed = h.feed("r")
        feed.add_viewers(before)
        await h.told()
        h.store.gate = gate = trio.Event()
        feed.add_viewers(then - before)
        assert await h.told() == [("r", then)]
        assert h.presence.known_viewers("r") == meanwhile
        gate.set()
        assert await h.told() == []
        assert h.presence.known_viewers("r") == then


async def test_what_changes_while_it_is_told_is_told_again() -> None:
    async with here("r") as h:
        feed = h.feed("r")
        h.store.gate = gate = trio.Event()
        feed.add_viewers(1)
        assert await h.told() == [("r", 1)]
        feed.add_viewers(1)
        gate.set()
        assert await h.told() == [("r", 2)]
        assert h.presence.known_viewers("r") == 2


async def test_those_who_are_there_are_told_again_in_time() -> None:
    async with here("r", "q") as h:
        r, q = h.feed("r"), h.feed("q")
        r.add_viewers(2)
        q.add_viewers(1)
        q.add_viewers(-1)
        await h.told()
        h.presence.refresh()
        assert await h.told() == [("r", 2)]


async def test_a_run_that_is_gone_has_no_viewers() -> None:
    async with here() as h:
        h.feed("nope").add_viewers(1)
        assert await h.told() == []
        assert h.store.calls["set_viewers"] == 1
        assert h.presence.known_viewers("nope") == 0
        h.presence.refresh()
        await h.told()
        assert h.store.calls["set_viewers"] == 1


async def test_who_leaves_for_elsewhere_is_told_no_more() -> None:
    async with here("r", "q") as h:
        r, q = h.feed("r"), h.feed("q")
        r.add_viewers(1)
        assert await h.told() == [("r", 1)]
        q.add_viewers(1)
        h.presence.leave()
        r.add_viewers(-1)
        h.presence.refresh()
        assert await h.told() == []
        # Until it lapses, it seems to be there still.
        assert (await h.store.info("r")).viewers == 1
        assert h.presence.known_viewers("r") == 0
        h.presence.request_cancel("r", "it may go now")
        assert await h.told() == [("r", "it may go now")]


async def test_who_leaves_while_it_is_told_is_not_told_again() -> None:
    async with here("r") as h:
        h.store.gate = gate = trio.Event()
        h.feed("r").add_viewers(1)
        assert await h.told() == [("r", 1)]
        h.presence.leave()
        gate.set()
        await h.told()
        h.presence.refresh()
        assert await h.told() == []


async def test_the_first_reason_is_told() -> None:
    async with here("r", "q") as h:
        for run_id, reason in (("r", "first"), ("q", "other"), ("r", "second")):
            h.presence.request_cancel(run_id, reason)
        assert sorted(await h.told()) == [("q", "other"), ("r", "first")]
        assert (await h.store.info("r")).cancel_reason == "first"


async def test_a_cancel_of_what_is_not_there_harms_nobody() -> None:
    async with here("r") as h:
        h.presence.request_cancel("nope", "x")
        h.presence.request_cancel("r", "y")
        assert await h.told() == [("r", "y")]


async def test_nothing_is_lost_while_the_store_is_away(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with here("r", "q") as h:
        h.store.away |= {"set_viewers", "request_cancel"}
        h.feed("r").add_viewers(2)
        h.presence.request_cancel("q", "x")
        await trio.sleep(2.5)
        assert h.store.calls["request_cancel"] == 3
        assert await h.told() == []
        h.store.away.discard("request_cancel")
        await trio.sleep(1)
        assert await h.told() == [("q", "x")]
        h.store.away.clear()
        await trio.sleep(1)
        assert await h.told() == [("r", 2)]
        assert h.presence.known_viewers("r") == 2
    assert caplog.text.count("could not be told") == 1


@pytest.mark.parametrize("failure", [StoreUnavailable("a shard is away"), TypeError("a bug")])
async def test_a_run_of_which_the_store_can_not_be_told_holds_up_no_other(
    failure: Exception, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with here("bad", "r") as h:
        h.store.odd["bad"] = failure
        h.feed("bad").add_viewers(1)
        h.presence.request_cancel("bad", "x")
        h.feed("r").add_viewers(1)
        h.presence.request_cancel("r", "x")
        assert await h.told() == [("r", "x"), ("r", 1)]
        h.store.odd.clear()
        await trio.sleep(1)
        assert await h.told() == [("bad", "x"), ("bad", 1)]
    assert caplog.text.count("could not be told") == 1
