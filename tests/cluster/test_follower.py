"""Following the logs of other workers' runs."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.testing
from crash_kit import server
from runtime_kit import collect, logged, rest, stepwise, text_of
from shared_kit import LEASE, ForgetfulStore, hang, quiet, shared
from store_kit import deltas, finish, record

from trio_agent._agent import Agent
from trio_agent._cluster.follower import Follower
from trio_agent._errors import CursorExpired, StoreUnavailable
from trio_agent._events import AnyEvent
from trio_agent._limits import CancelAfter, OnDisconnect
from trio_agent._log.feed import Feed
from trio_agent._log.store import Lease, Page
from trio_agent._run.stored_run import StoredRun
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.stores._watch import NewsWatch
from trio_agent.testing import FaultyStore, ScriptedModel, StoreProxy, call
from trio_agent.tools._tool import tool


async def test_followed_from_the_start_from_a_cursor_and_late(
    autojump_clock: trio.testing.MockClock,
) -> None:
    agent, (second, third) = stepwise("a", "b", "c")
    async with shared() as s, trio.open_nursery() as nursery:
        a, b = s.runtimes
        run = await a.start(agent, "hi")
        early, middle = list[AnyEvent](), list[AnyEvent]()
        found = await b.find(run.id)
        assert isinstance(found, StoredRun)
        assert (found.id, found.agent, found.status) == (run.id, "agent", "active")
        nursery.start_soon(collect, found.subscribe(), early)
        await quiet()
        assert text_of(early) == "a"
        nursery.start_soon(collect, (await b.find(run.id)).subscribe(after=run.cursor), middle)
        second.set()
        await quiet()
        assert (text_of(early), text_of(middle)) == ("ab", "b")
        third.set()
        await run.wait()
        await quiet()
        log = await logged(s.store, run.id)
        assert (early, middle) == (log, log[3:])
        assert found.status == "stop"
        late = await b.find(run.id)
        assert late.status == "stop"
        assert await rest(late) == log
        assert await rest(late, late.cursor) == []
        assert late.cursor == run.cursor


async def test_two_who_looked_it_up_before_either_followed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    agent, (second,) = stepwise("a", "b")
    async with shared() as s, trio.open_nursery() as nursery:
        a, b = s.runtimes
        run = await a.start(agent, "hi")
        found = [await b.find(run.id) for _ in range(2)]
        seen = [list[AnyEvent](), list[AnyEvent]()]
        for one, into in zip(found, seen, strict=True):
            nursery.start_soon(collect, one.subscribe(), into)
        await quiet()
        second.set()
        with trio.fail_after(60):
            await run.wait()
            while not all(into and into[-1].terminal for into in seen):
                await quiet()
        assert seen[0] == seen[1] == await logged(s.store, run.id)


async def test_a_cursor_that_is_newer_than_what_the_follower_has(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A client that comes over from the run's own process is ahead of our last look."""
    agent, (second,) = stepwise("a", "b")

    class Late(StoreProxy):
        """Its reads hang, so that the follower falls behind."""

        hanging = False

        async def perform(self, operation, act):  # type: ignore[no-untyped-def]
            if operation == "read" and self.hanging:
                await trio.sleep_forever()
            return await act()

    store = MemoryStore()
    late = Late(store)
    async with open_runtime(store=store) as a, open_runtime(store=late) as b:
        run = await a.start(agent, "hi")
        await quiet()
        with (await b.find(run.id)).subscribe() as viewer:
            await viewer.receive_batch()
            late.hanging = True
            second.set()
            await run.wait()
            await quiet()
            again = await b.find(run.id)
            assert again._feed is viewer._feed
            late.hanging = False
            with again.subscribe(after=run.cursor) as events, pytest.raises(trio.EndOfChannel):
                await events.receive()
            assert text_of([event async for event in viewer]) == "b"


async def test_a_read_that_was_overtaken_by_a_look(autojump_clock: trio.testing.MockClock) -> None:
    """Nothing is repeated when a run is looked up while its news are being read."""
    agent, (second, third) = stepwise("a", "b", "c")

    class Slow(StoreProxy):
        gate: trio.Event | None = None

        async def perform(self, operation, act):  # type: ignore[no-untyped-def]
            outcome = await act()
            if operation == "read" and self.gate is not None:
                await self.gate.wait()
            return outcome

    store = MemoryStore()
    slow = Slow(store)
    async with open_runtime(store=store) as a, open_runtime(store=slow) as b:
        run = await a.start(agent, "hi")
        async with trio.open_nursery() as nursery:
            seen: list[AnyEvent] = []
            nursery.start_soon(collect, (await b.find(run.id)).subscribe(), seen)
            await quiet()
            slow.gate = gate = trio.Event()
            second.set()
            await quiet()
            assert text_of(seen) == "a"
            third.set()
            await run.wait()
            await b.find(run.id)
            slow.gate = None
            gate.set()
        assert seen == await logged(store, run.id)


async def test_a_run_of_many_pages(autojump_clock: trio.testing.MockClock) -> None:
    go_on = trio.Event()
    agent = Agent(model=ScriptedModel(["a", go_on, *["x"] * 3000]))
    async with shared() as s, trio.open_nursery() as nursery:
        a, b = s.runtimes
        run = await a.start(agent, "hi")
        seen: list[AnyEvent] = []
        nursery.start_soon(collect, (await b.find(run.id)).subscribe(), seen)
        await quiet()
        go_on.set()
        await run.wait()
        assert len(text_of(await rest(await b.find(run.id)))) == 3001
        while not (seen and seen[-1].terminal):
            await quiet()
        assert seen == await logged(s.store, run.id)


async def test_nobody_follows_what_nobody_watches(autojump_clock: trio.testing.MockClock) -> None:
    agent, (second, third) = stepwise("a", "b", "c")
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(agent, "hi")
        found = await b.find(run.id)
        with found.subscribe() as events:
            await events.receive()
        await quiet()
        reads = s.doors[1].calls["read"]
        second.set()
        await quiet()
        assert s.doors[1].calls["read"] == reads
        third.set()
        await run.wait()
        # Who comes back to the same object goes on where the log is now.
        assert text_of(await rest(found)) == "abc"
        assert found.status == "stop"


async def test_removed_while_it_is_followed(autojump_clock: trio.testing.MockClock) -> None:
    """Its end was never seen by the follower, so nobody may take its end for success."""
    agent, (second,) = stepwise("a", "b")
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(agent, "hi")
        await quiet()
        found = await b.find(run.id)
        with found.subscribe() as events:
            await events.receive_batch()
            await quiet()
            s.doors[1].away.add("read")
            second.set()
            await run.wait()
            await quiet()
            await a.delete(run.id)
            s.doors[1].away.clear()
            with pytest.raises((trio.BrokenResourceError, CursorExpired)), trio.fail_after(60):
                await events.receive()
        with pytest.raises(CursorExpired):
            await found.wait()
        with pytest.raises(CursorExpired):
            await b.find(run.id)
        assert found.status == "active"


async def test_removed_when_its_end_was_seen(autojump_clock: trio.testing.MockClock) -> None:
    async with shared() as s:
        a, b = s.runtimes
        agent, (second,) = stepwise("a", "b")
        run = await a.start(agent, "hi")
        await quiet()
        found = await b.find(run.id)
        with found.subscribe() as events:
            await events.receive_batch()
            second.set()
            await run.wait()
            await quiet()
            await b.delete(run.id)
            assert text_of([event async for event in events]) == "b"


async def test_an_end_that_was_lost_and_is_longer_than_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The closing events of the new epoch are no continuation of what a viewer saw."""
    memory = MemoryStore()
    forgetful = ForgetfulStore(memory)
    calls = tuple(call(str(n), "hang") for n in range(5))
    async with open_runtime(store=forgetful) as a, open_runtime(store=StoreProxy(memory)) as b:
        gate = trio.Event()

        @tool
        async def wait() -> None:
            """Wait."""
            await gate.wait()

        agent = Agent(model=ScriptedModel([*calls, call("5", "wait")]), tools=[hang, wait])
        run = await a.start(agent, "hi")
        await quiet()
        with (await b.find(run.id)).subscribe() as viewer:
            seen = await viewer.receive_batch()
            forgetful.forget(run.id, 1)
            gate.set()
            await quiet()
            assert (await memory.info(run.id)).tail > len(seen)
            with pytest.raises(trio.BrokenResourceError):
                await viewer.receive()


async def test_a_follower_goes_on_when_the_store_is_back(
    caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    agent = Agent(model=ScriptedModel(["a", 5.0, "b", 20.0, "c"]))
    async with shared() as s, trio.open_nursery() as nursery:
        a, b = s.runtimes
        run = await a.start(agent, "hi")
        seen: list[AnyEvent] = []
        nursery.start_soon(collect, (await b.find(run.id)).subscribe(), seen)
        await trio.sleep(1)
        s.doors[1].away |= {"read", "info"}
        await trio.sleep(9)
        assert text_of(seen) == "a"
        s.doors[1].away.clear()
        await trio.sleep(2)
        assert text_of(seen) == "ab"
        assert (await run.wait()).text == "abc"
        await quiet()
        assert seen == await logged(s.store, run.id)
    assert "news of run" in caplog.text


# Feeds and news, one by one


@attrs.define
class Following:
    """A follower of a store, and what it told of the runs of its process."""

    store: FaultyStore
    watch: NewsWatch
    follower: Follower
    news: list[str]

    async def look_up(self, run_id: str = "r") -> Feed:
        return self.follower.feed(await self.store.info(run_id))


@asynccontextmanager
async def following(*run_ids: str, store: MemoryStore | None = None) -> AsyncIterator[Following]:
    door, news = FaultyStore(store or MemoryStore()), list[str]()

    async def on_own_news(run_id: str) -> None:
        await trio.lowlevel.checkpoint()
        news.append(run_id)

    for run_id in run_ids:
        await door.create(record(run_id))
    async with door.watch() as watch, trio.open_nursery() as nursery:
        assert isinstance(watch, NewsWatch)
        follower = Follower(door, watch, on_own_news)
        nursery.start_soon(follower.run)
        yield Following(door, watch, follower, news)
        nursery.cancel_scope.cancel()


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_a_feed_grows_while_it_is_in_use() -> None:
    async with following("r") as f:
        feed = await f.look_up()
        await f.store.append([deltas("r", 1)])
        await settled()
        assert (feed.tail, set(f.watch.watched)) == (0, set())
        with feed.hold():
            await settled()
            assert (feed.tail, set(f.watch.watched)) == (1, {"r"})
            await f.store.append([deltas("r", 2, 3)])
            await settled()
            assert [entry.offset for entry in feed.recent(0)] == [1, 2, 3, 4]
        assert not f.watch.watched
        await f.store.append([deltas("r", 5)])
        await settled()
        assert feed.tail == 4
        feed.add_viewers(1)
        await f.store.append([finish("r", 6)])
        await settled()
        assert (feed.tail, feed.closed) == (6, True)
        # There is no more to come, whoever looks.
        assert not f.watch.watched


async def test_all_who_look_a_run_up_share_its_feed_while_one_has_it() -> None:
    async with following("r") as f:
        feed = await f.look_up()
        feed.viewers = 7  # to know it by
        assert await f.look_up() is feed
        del feed
        gc.collect()
        assert (await f.look_up()).viewers == 0


@pytest.mark.parametrize("why", ["it broke off", "there is a new epoch"])
async def test_a_feed_that_can_not_go_on_gives_way_to_a_new_one(why: str) -> None:
    async with following("r") as f:
        await f.store.append([deltas("r", 1)])
        feed = await f.look_up()
        if why == "it broke off":
            feed.break_off(CursorExpired("gone"))
        else:
            await f.store.renew_epoch(Lease("r", 1), "f")
        other = await f.look_up()
        assert other is not feed
        assert (other.epoch, other.tail) == ("e" if why == "it broke off" else "f", 1)
        assert await f.look_up() is other


async def test_an_end_that_was_seen_and_lost_is_no_end_of_the_new_epoch() -> None:
    async with following("r") as f:
        await f.store.append([finish("r", 1)])
        ended, info = await f.look_up(), await f.store.info("r")
        assert ended.closed
        renewed = attrs.evolve(info.record, epoch="f")
        other = f.follower.feed(attrs.evolve(info, record=renewed, tail=0, last=None))
        assert (other.epoch, other.tail, other.closed) == ("f", 0, False)


async def test_who_comes_back_to_an_old_feed_takes_nothing_from_the_new_one() -> None:
    async with following("r") as f:
        old = await f.look_up()
        await f.store.renew_epoch(Lease("r", 1), "f")
        new = await f.look_up()
        with new.hold():
            with old.hold():
                await settled()
            await f.store.append([finish("r", 1)])
            await settled()
            assert new.closed


async def test_a_look_tells_how_long_the_log_is_and_an_old_one_does_not() -> None:
    async with following("r") as f:
        before = await f.store.info("r")
        feed = await f.look_up()
        await f.store.append([deltas("r", 1, 2), finish("r", 3)])
        assert await f.look_up() is feed
        assert (feed.tail, feed.closed) == (3, True)
        assert f.follower.feed(before) is feed
        assert (feed.tail, feed.closed) == (3, True)


async def test_news_of_our_own_runs_are_told_and_their_growing_is_none() -> None:
    async with following("ours", "theirs") as f:
        f.follower.add_own("ours")
        await settled()
        assert f.news == ["ours"]
        await f.store.append([deltas("ours", 1)])
        for run_id in ("ours", "theirs"):
            await f.store.request_cancel(run_id, "x")
        await settled()
        assert f.news == ["ours"] * 2
        f.follower.add_own("ours")
        await settled()
        assert f.news == ["ours"] * 3
        f.follower.discard_own("ours")
        await f.store.set_viewers("ours", "w", 1)
        await settled()
        assert f.news == ["ours"] * 3


async def test_a_run_of_ours_that_somebody_follows_all_the_same() -> None:
    """Such as one that was lost to another worker: each of the two ends for itself."""
    async with following("r") as f:
        f.follower.add_own("r")
        feed = await f.look_up()
        with feed.hold():
            await settled()
            f.news.clear()
            await f.store.append([deltas("r", 1)])
            await settled()
            assert (feed.tail, f.news) == (1, ["r"])
            f.follower.discard_own("r")
            await f.store.append([deltas("r", 2)])
            await settled()
            assert (feed.tail, f.news) == (2, ["r"])
            f.follower.add_own("r")
        await settled()
        f.news.clear()
        await f.store.request_cancel("r", "x")
        await settled()
        assert (feed.tail, f.news) == (2, ["r"])


class Odd(MemoryStore):
    """Some of its runs can't be read, each in its own way."""

    def __init__(self) -> None:
        super().__init__()
        self.hanging: set[str] = set()
        self.broken: set[str] = set()
        self.empty: set[str] = set()

    async def read(self, run_id: str, after: int, limit: int) -> Page:
        if run_id in self.hanging:
            await trio.sleep(5)
            raise StoreUnavailable("no answer")
        if run_id in self.broken:
            raise TypeError("what is this?")
        page = await super().read(run_id, after, limit)
        return attrs.evolve(page, entries=[]) if run_id in self.empty else page


async def test_a_run_that_can_not_be_read_slows_no_other(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = Odd()
    async with following("hangs", "broken", "r", store=store) as f:
        feeds = {run_id: await f.look_up(run_id) for run_id in ("hangs", "broken", "r")}
        store.hanging.add("hangs")
        store.broken.add("broken")
        begin = trio.current_time()
        for feed in feeds.values():
            feed.add_viewers(1)
            await store.append([deltas(feed.run_id, 1)])
        await settled()
        assert {run_id: feed.tail for run_id, feed in feeds.items()} == {
            "hangs": 0,
            "broken": 0,
            "r": 1,
        }
        assert trio.current_time() == begin
        # Who waits for what can't be read is told so; who waits for a store that is away, waits.
        assert isinstance(feeds["broken"].failure, TypeError)
        store.hanging.clear()
        await trio.sleep(7)
        assert (feeds["hangs"].tail, feeds["hangs"].failure) == (1, None)
    assert caplog.text.count("could not be read") == 2


async def test_a_log_that_ends_before_its_tail_is_lost() -> None:
    store = Odd()
    async with following("r", store=store) as f:
        feed = await f.look_up()
        store.empty.add("r")
        with feed.hold():
            await store.append([deltas("r", 1)])
            await settled()
            assert isinstance(feed.failure, CursorExpired)


async def test_a_watch_that_fails_is_asked_again(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(NewsWatch):
        async def receive(self) -> str:
            run_id = await super().receive()
            if run_id == "odd":
                raise TypeError("no news")
            return run_id

    watch, seen = Failing(), list[str]()

    async def on_own_news(run_id: str) -> None:
        seen.append(run_id)

    async with trio.open_nursery() as nursery:
        follower = Follower(MemoryStore(), watch, on_own_news)
        nursery.start_soon(follower.run)
        for run_id in ("odd", "r"):
            follower.add_own(run_id)
        await trio.sleep(2)
        assert seen == ["r"]
        nursery.cancel_scope.cancel()
    assert caplog.text.count("no news could be received") == 1


@tool(approval=True)
async def pay() -> str:
    """Pay, if somebody allows it."""
    return "paid"


def paying(*, times: int = 1) -> Agent:
    calls = [["I pay. ", call(str(n), "pay")] for n in range(times)]
    return Agent(model=ScriptedModel(*calls, ["done"]), name="a", tools=[pay])


class TestHandedOn:
    """Of a run there is one feed in a process, whoever works on the run."""

    @pytest.mark.parametrize("goes_on", ["here", "there"])
    async def test_who_was_there_before_it_slept_sees_each_event_once(
        self,
        goes_on: str,
        autojump_clock: trio.testing.MockClock,
    ) -> None:
        memory, agent = MemoryStore(lease=LEASE), paying(times=3)
        async with (
            server(memory, agent) as first,
            server(memory, agent) as second,
            trio.open_nursery() as nursery,
        ):
            run = await first.runtime.start(agent, "hi")
            here, there = list[AnyEvent](), list[AnyEvent]()
            nursery.start_soon(collect, run.subscribe(), here)
            nursery.start_soon(collect, (await second.runtime.find(run.id)).subscribe(), there)
            for number in range(3):
                await quiet()
                assert run.status == "waiting"
                assert here == there == await logged(memory, run.id)
                # Who wakes it, mostly goes on with it.
                runtime = first.runtime if goes_on == "here" else second.runtime
                await (await runtime.find(run.id)).answer(str(number), approved=True)
            assert (await run.wait()).text.endswith("done")
            await quiet()
            assert here == there == await logged(memory, run.id)
            assert run.status == "stop"

    async def test_who_comes_while_it_sleeps_sees_all(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store, agent = MemoryStore(lease=LEASE), paying()
        async with server(store, agent) as first, trio.open_nursery() as nursery:
            run = await first.runtime.start(agent, "hi")
            await quiet()
            late, last = list[AnyEvent](), list[AnyEvent]()
            found = await first.runtime.find(run.id)
            nursery.start_soon(collect, found.subscribe(), late)
            tail = (await store.info(run.id)).tail
            nursery.start_soon(collect, run.subscribe(after=tail), last)
            await quiet()
            await run.answer("0", approved=True)
            await run.wait()
            await quiet()
            whole = await logged(store, run.id)
            assert late == whole
            assert last == whole[tail:]

    async def test_who_watched_the_dead_one_elsewhere_watches_on_where_it_lives(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """The follower's feed becomes the worker's."""
        store = MemoryStore(lease=LEASE)
        agent = Agent(model=ScriptedModel(["Hel", trio.Event()], ["Hello"]), name="a")
        seen: list[AnyEvent] = []
        async with server(store, agent) as second, trio.open_nursery() as nursery:
            async with server(store, agent) as first:
                run = await first.runtime.start(agent, "hi")
                found = await second.runtime.find(run.id)
                nursery.start_soon(collect, found.subscribe(), seen)
                await quiet()
                first.door.crash()
            assert text_of(seen) == "Hel"
            assert (await found.wait()).text == "Hello"
            alive = await second.runtime.find(run.id)
            assert alive.statistics().viewers == found.statistics().viewers
            await quiet()
            assert seen == await logged(store, run.id)

    async def test_who_watched_where_it_was_handed_over_is_told_of_the_rest(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store = MemoryStore(lease=LEASE)
        agent = Agent(model=ScriptedModel(["Hel", trio.Event()], ["Hello"]), name="a")
        seen: list[AnyEvent] = []
        async with (
            server(store, agent) as first,
            server(store, agent) as second,
            trio.open_nursery() as nursery,
        ):
            run = await first.runtime.start(agent, "hi")
            nursery.start_soon(collect, run.subscribe(), seen)
            await quiet()
            await first.runtime.drain(0)
            await (await second.runtime.find(run.id)).wait()
            await quiet()
            assert seen == await logged(store, run.id)


class TestWhoWatchesWhatSleeps:
    """Nobody need be there while it waits for a person; afterwards, as before."""

    async def test_the_policy_rests(self, autojump_clock: trio.testing.MockClock) -> None:
        store, agent = MemoryStore(lease=LEASE), paying()
        async with server(store, agent) as first:
            runs = [
                await first.runtime.start(agent, "hi", on_disconnect=policy)
                for agent, policy in ((paying(), "cancel"), (agent, CancelAfter(5)))
            ]
            for run in runs:
                with run.subscribe():
                    await quiet()
                assert run.status == "waiting"
            await trio.sleep(1000)
            assert [run.status for run in runs] == ["waiting", "waiting"]
            assert (await store.info(runs[0].id)).cancel_reason is None
            await runs[1].cancel()
            await runs[0].cancel()

    @pytest.mark.parametrize(
        ("policy", "stays", "ends"),
        [(CancelAfter(5), False, 5), (CancelAfter(5), True, None), ("cancel", True, None)],
    )
    async def test_it_is_armed_anew(
        self,
        policy: OnDisconnect,
        stays: bool,
        ends: float | None,
        autojump_clock: trio.testing.MockClock,
    ) -> None:
        store = MemoryStore(lease=LEASE)
        script = ScriptedModel([call("0", "pay")], ["x", 100.0, "y"])
        agent = Agent(model=script, name="a", tools=[pay])
        async with server(store, agent) as first, trio.open_nursery() as nursery:
            run = await first.runtime.start(agent, "hi", on_disconnect=policy)
            if stays:
                nursery.start_soon(collect, run.subscribe(), [])
            await quiet()
            await trio.sleep(1000)
            await run.answer("0", approved=True)
            begin = trio.current_time()
            result = await run.wait()
            if ends is None:
                assert result.text == "xy"
            else:
                assert result.reason == "nobody watches"
                assert ends <= trio.current_time() - begin <= ends + 1

    async def test_who_leaves_after_it_woke_has_left(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store = MemoryStore(lease=LEASE)
        script = ScriptedModel([call("0", "pay")], ["x", 100.0, "y"])
        agent = Agent(model=script, name="a", tools=[pay])
        async with server(store, agent) as first:
            run = await first.runtime.start(agent, "hi", on_disconnect="cancel")
            with run.subscribe():
                await quiet()
                await run.answer("0", approved=True)
                await quiet()
            assert (await run.wait()).reason == "nobody watches"

    async def test_what_was_being_read_when_it_was_taken_is_added_once(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """Who works on it adds it: a reader that is behind would miss as much as came twice."""

        class Slow(StoreProxy):
            async def read(self, run_id: str, after: int, limit: int) -> Page:
                page = await super().read(run_id, after, limit)
                if page.entries:
                    await trio.sleep(5)
                return page

        memory = MemoryStore()
        lease = (await memory.create(record("r"))).lease
        assert lease is not None
        await memory.append([deltas("r", 1, 2)])
        store = Slow(memory)

        async def no_own(_: str) -> None:
            """None lives here at first."""

        async with store.watch() as watch, trio.open_nursery() as nursery:
            follower = Follower(store, watch, no_own)
            nursery.start_soon(follower.run)
            feed = follower.feed(attrs.evolve(await store.info("r"), tail=0))
            with feed.hold():
                await quiet()  # it is reading
                taken = follower.take(await store.info("r"), 2)
                assert taken is feed
                await memory.append([deltas("r", 3)])
                await trio.sleep(20)
                feed.extend(deltas("r", 3).entries)  # as soon as the worker knows of it
            assert [entry.offset for entry in feed.recent(2)] == [3]
            assert feed.recent(1) == []  # not at hand
            nursery.cancel_scope.cancel()
