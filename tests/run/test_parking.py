"""How a run is put to sleep: in one act, whatever becomes of the way to its store."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
import trio.testing
from log_kit import check_levels
from runtime_kit import logged
from store_kit import record
from wait_kit import LastingStore, asking, asleep, of, outcomes, tags

from trio_agent._errors import UnknownRun
from trio_agent._events import RunContinued, RunFinish, RunWaiting, UserSaid
from trio_agent._log.store import Lease
from trio_agent._run.items import Answer, Said, encode_item
from trio_agent._run.parking import fall_asleep
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, StoreProxy


async def held() -> tuple[FaultyStore, Lease]:
    store = FaultyStore(MemoryStore())
    lease = (await store.create(record("r"))).lease
    assert lease is not None
    return store, lease


async def test_it_sleeps_until_it_is_due(autojump_clock: trio.testing.MockClock) -> None:
    store, lease = await held()
    with trio.testing.assert_checkpoints():
        assert await fall_asleep(store, lease, 0, 60)
    info = await store.info("r")
    assert (info.parked, info.leased) == (True, False)
    assert await store.orphans("", 9) == []
    await trio.sleep(60)
    assert await store.orphans("", 9) == ["r"]


async def test_it_does_not_if_there_is_more() -> None:
    store, lease = await held()
    await store.deliver("r", "k", b"{}")
    assert not await fall_asleep(store, lease, 0, None)
    assert (await store.info("r")).leased
    assert await fall_asleep(store, lease, 1, None)


async def test_it_does_not_if_somebody_cancels_it() -> None:
    store, lease = await held()
    await store.request_cancel("r", "enough")
    assert not await fall_asleep(store, lease, 0, None)
    assert (await store.info("r")).leased


async def test_it_is_not_ours_any_more(autojump_clock: trio.testing.MockClock) -> None:
    """That somebody else has it, or put it to sleep, is no sleep of ours."""
    store, lease = await held()
    await store.release(lease)
    other = await store.claim("r")
    assert other is not None
    assert not await fall_asleep(store, lease, 0, None)
    assert await fall_asleep(store, other, 0, None)
    assert not await fall_asleep(store, lease, 0, None)


async def test_a_store_that_is_away_is_asked_again(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    store, lease = await held()
    store.away.add("park")
    parked: list[bool] = []

    async def park() -> None:
        parked.append(await fall_asleep(store, lease, 0, None))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(park)
        await trio.sleep(3.5)
        assert (parked, store.calls["park"]) == ([], 4)
        store.away.clear()
    assert parked == [True]
    assert caplog.records[0].getMessage() == ("run r could not be put to sleep: the store is away")


async def test_the_way_back_was_lost(autojump_clock: trio.testing.MockClock) -> None:
    """It sleeps already, which the second attempt is refused for."""
    store, lease = await held()
    store.forgetful.add("park")
    async with trio.open_nursery() as nursery:

        async def come_back() -> None:
            await trio.sleep(0.5)
            store.forgetful.clear()

        nursery.start_soon(come_back)
        assert await fall_asleep(store, lease, 0, None)
    assert store.calls["park"] == 2


async def test_it_is_not_there() -> None:
    with pytest.raises(UnknownRun):
        await fall_asleep(MemoryStore(), Lease("r", 1), 0, None)


# What a run does with it


class Meanwhile(StoreProxy):
    """Something happens right before the run is put to sleep for the first time."""

    def __init__(self, store: MemoryStore, act: Callable[[str], Any]) -> None:
        super().__init__(store)
        self._act: Callable[[str], Any] | None = act

    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        if self._act is not None:
            act, self._act = self._act, None
            await act(lease.run_id)
        return await super().park(lease, seen, seconds)


async def test_an_answer_that_comes_at_that_moment(
    autojump_clock: trio.testing.MockClock,
) -> None:
    memory = MemoryStore()

    async def answer(run_id: str) -> None:
        await memory.deliver(run_id, "answer:1", encode_item(Answer("1", True)))

    async with open_runtime(store=Meanwhile(memory, answer)) as runtime:
        run = await runtime.start(asking(), "hi")
        assert (await run.wait()).text == "done"
        events = await logged(memory, run.id)
    check_levels(events)
    assert outcomes(events) == [("1", "ok", "gave 5", None)]
    assert len(of(RunWaiting, events)) == 1
    assert of(RunContinued, events) == []  # It never slept.


async def test_a_message_that_comes_at_that_moment(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It is taken, and the run sleeps then."""
    memory = MemoryStore()

    async def say(run_id: str) -> None:
        await memory.deliver(run_id, "said:1", encode_item(Said("ho")))

    async with open_runtime(store=Meanwhile(memory, say)) as runtime:
        run = await runtime.start(asking(), "hi")
        await asleep(run)
        assert tags(await logged(memory, run.id))[-3:] == ["waiting", "user-message", "waiting"]
        await run.answer("1", approved=True)
        assert (await run.wait()).text == "done"
        events = await logged(memory, run.id)
    assert [said.content for said in of(UserSaid, events)] == ["ho"]


async def test_a_cancel_that_comes_at_that_moment(
    autojump_clock: trio.testing.MockClock,
) -> None:
    memory = MemoryStore()

    async def cancel(run_id: str) -> None:
        await memory.request_cancel(run_id, "enough")

    async with open_runtime(store=Meanwhile(memory, cancel)) as runtime:
        run = await runtime.start(asking(), "hi")
        result = await run.wait()
        events = await logged(memory, run.id)
    check_levels(events)
    assert (result.finish_reason, result.reason) == ("cancelled", "enough")


@pytest.mark.parametrize("how", ["away", "forgetful"])
async def test_a_store_that_is_away_then(how: str, autojump_clock: trio.testing.MockClock) -> None:
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(asking(), "hi")
        getattr(store, how).add("park")
        await trio.sleep(3)
        getattr(store, how).clear()
        await trio.sleep(2)
        assert run.status == "waiting"
        assert runtime.statistics().active == 0
        await run.answer("1", approved=True)
        assert (await run.wait()).text == "done"
        check_levels(await logged(store, run.id))


async def test_an_inbox_that_can_not_be_read_then(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store) as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(asking(), "hi")
        await asleep(run)
        store.away.add("inbox")
        nursery.start_soon(lambda: run.answer("1", approved=True))
        await trio.sleep(5)
        assert outcomes(await logged(store, run.id)) == []
        store.away.clear()
        assert (await run.wait()).text == "done"
        check_levels(await logged(store, run.id))


async def test_a_store_that_is_away_for_good_ends_it_within_its_bound(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A cancel waits while it is being put to sleep, but not for ever."""
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(asking(), "hi")
        store.away.add("park")
        await trio.sleep(1)
        began = trio.current_time()
        await run.cancel("enough")
        assert trio.current_time() - began <= runtime.limits.closing_bound
        last = (await logged(store, run.id))[-1]
    assert isinstance(last, RunFinish)
    assert last.run.reason == "enough"


async def test_what_sleeps_in_a_store_that_lasts_is_left_there(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = LastingStore()
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(asking(), "hi")
        await asleep(run)
    info = await store.info(run.id)
    assert (info.active, info.parked) == (True, True)


@pytest.mark.parametrize("how", ["closed", "raised", "cancelled"])
async def test_what_sleeps_in_one_that_does_not_is_cancelled(
    how: str, autojump_clock: trio.testing.MockClock
) -> None:
    with suppress(KeyError), trio.CancelScope() as scope:
        async with open_runtime() as runtime:
            run = await runtime.start(asking(), "hi")
            await asleep(run)
            if how == "raised":
                raise KeyError("x")
            if how == "cancelled":
                scope.cancel()
                await trio.lowlevel.checkpoint()
    events = await logged(runtime.store, run.id)
    check_levels(events)
    last = events[-1]
    assert isinstance(last, RunFinish)
    assert (last.run.finish_reason, last.run.reason) == ("cancelled", "the runtime closes")


@asynccontextmanager
async def _counted(opened: list[str]) -> AsyncIterator[str]:
    opened.append("open")
    try:
        yield f"db {opened.count('open')}"
    finally:
        opened.append("close")


async def test_what_was_opened_is_closed_before_it_sleeps(
    autojump_clock: trio.testing.MockClock,
) -> None:
    seen: list[str] = []
    agent = asking(open_deps=lambda _: _counted(seen))
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        await asleep(run)
        assert seen == ["open", "close"]
        await run.answer("1", approved=True)
        await run.wait()
    assert seen == ["open", "close"] * 2
