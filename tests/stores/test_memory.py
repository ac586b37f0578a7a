from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from trio_agent._errors import CursorExpired, LimitExceeded, StoreUnavailable, UnknownRun
from trio_agent._events import RunFinish, RunSummary, TextDelta, Usage
from trio_agent._limits import Retention
from trio_agent._log.log import Append, Entry
from trio_agent._log.store import RunRecord, Store
from trio_agent.stores._memory import MemoryStore, MemoryStoreStatistics
from trio_agent.testing import FaultyStore, InterruptingStore, check_store


@asynccontextmanager
async def open_memory() -> AsyncIterator[Store]:
    yield MemoryStore(lease=5)


@asynccontextmanager
async def open_behind_a_proxy() -> AsyncIterator[Store]:
    yield FaultyStore(MemoryStore(lease=5))


async def test_memory_keeps_the_contract(autojump_clock: trio.testing.MockClock) -> None:
    await check_store(open_memory, lease=5)


async def test_a_proxy_keeps_the_contract(autojump_clock: trio.testing.MockClock) -> None:
    await check_store(open_behind_a_proxy, lease=5)


def record(run_id: str, key: str | None = None) -> RunRecord:
    return RunRecord(run_id=run_id, epoch="e", agent="a", created_at=0, idempotency_key=key)


FINISH = RunFinish(at=0, run=RunSummary("r", "", 1, "stop", Usage()))


async def finished(store: MemoryStore, run_id: str) -> None:
    lease = (await store.create(record(run_id))).lease
    assert lease is not None
    store.append_nowait([Append(run_id, lease.fence, [Entry.of(1, FINISH)])])


async def test_statistics() -> None:
    store = MemoryStore()
    assert store.statistics() == MemoryStoreStatistics(0, 0, 0)
    await finished(store, "a")
    lease = (await store.create(record("b"))).lease
    assert lease is not None
    store.append_nowait([Append("b", 1, [Entry.of(1, TextDelta(at=0, delta="x"))])])
    size = len(Entry.of(1, FINISH).data) + len(Entry.of(1, TextDelta(at=0, delta="x")).data)
    assert store.statistics() == MemoryStoreStatistics(2, 1, size)


async def test_tombstones_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_agent.stores._memory._TOMBSTONES", 2)
    store = MemoryStore()
    for run_id in ("a", "b", "c"):
        await finished(store, run_id)
        await store.delete(run_id)
    with pytest.raises(UnknownRun):
        await store.info("a")
    for run_id in ("b", "c"):
        with pytest.raises(CursorExpired):
            await store.info(run_id)


async def test_an_id_that_is_taken_leaves_no_key_behind() -> None:
    store = MemoryStore()
    await store.create(record("a"))
    with pytest.raises(LimitExceeded):
        await store.create(record("a", key="k"))
    created = await store.create(record("b", key="k"))
    assert (created.run_id, created.lease is None) == ("b", False)


async def test_a_run_expires_at_its_age_to_the_moment(mock_clock: trio.testing.MockClock) -> None:
    store = MemoryStore()
    # (0.1 + 0.4) - 0.4 is less than 0.1: the age is counted forward from the end.
    mock_clock.jump(0.1)
    await finished(store, "a")
    mock_clock.jump(0.4)
    assert await store.expire(Retention(seconds=0.4)) == ["a"]


async def test_a_watch_whose_opening_is_cancelled_leaves_nothing() -> None:
    store = MemoryStore()
    with trio.CancelScope() as scope:
        scope.cancel()
        async with store.watch():
            pytest.fail("it was cancelled")
    assert not store._watches


async def test_a_watch_wakes_its_receiver_when_it_is_closed() -> None:
    store = MemoryStore()
    async with store.watch() as watch, trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await watch.receive()

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        await watch.aclose()
    watch.add("a")
    with pytest.raises(trio.ClosedResourceError):
        await watch.receive()


async def test_a_watch_that_is_cancelled_loses_nothing() -> None:
    store = MemoryStore()
    await store.create(record("a"))
    async with store.watch() as watch:
        watch.add("a")
        with trio.CancelScope() as scope:
            scope.cancel()
            await watch.receive()
        assert scope.cancelled_caught
        assert await watch.receive() == "a"


async def test_faulty_store(autojump_clock: trio.testing.MockClock) -> None:
    store = FaultyStore(MemoryStore())
    async with store.open():
        store.away.add("create")
        with pytest.raises(StoreUnavailable):
            await store.create(record("a"))
        store.away.clear()
        with pytest.raises(UnknownRun):
            await store.info("a")
        store.forgetful.add("create")
        with pytest.raises(StoreUnavailable):
            await store.create(record("a"))
        store.delay = 3
        begin = trio.current_time()
        assert (await store.info("a")).tail == 0
        assert trio.current_time() - begin == 3
        with pytest.raises(trio.WouldBlock):
            store.append_nowait([])
        assert store.calls == {"create": 2, "info": 2}


async def test_interrupting_store() -> None:
    points: list[int] = []

    def point() -> None:
        points.append(memory.statistics().runs)

    memory = MemoryStore()
    await InterruptingStore(memory, point).create(record("a"))
    assert points == [0, 1]
