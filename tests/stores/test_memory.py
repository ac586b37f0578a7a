"""The store in memory: the contract, its bounds, and its statistics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from store_kit import deltas, finish, finished, record

from trio_agent._errors import CursorExpired, LimitExceeded, UnknownBlob, UnknownRun
from trio_agent._limits import Retention
from trio_agent._log.log import Append, Appended
from trio_agent._log.store import Store
from trio_agent.stores._memory import MemoryStore, MemoryStoreStatistics
from trio_agent.testing import check_store


@asynccontextmanager
async def open_memory() -> AsyncIterator[Store]:
    yield MemoryStore(lease=5)


async def test_memory_keeps_the_contract(autojump_clock: trio.testing.MockClock) -> None:
    await check_store(open_memory, lease=5)


async def test_statistics() -> None:
    store = MemoryStore()
    assert store.statistics() == MemoryStoreStatistics(0, 0, 0)
    await finished(store, "a", private=b"x" * 600, blobs={"f0": b"x" * 400}, metadata={"n": "ü"})
    lease = (await store.create(record("b"))).lease
    assert lease is not None
    beside = Append("b", 1, deltas("b", 1).entries, {1: b"beside"})
    store.append_nowait([beside])
    size = 1000 + len('{"n":"ü"}'.encode()) + finish("a", 1).size + len("{}") + beside.size
    assert store.statistics() == MemoryStoreStatistics(2, 1, size)


async def test_files_are_those_that_were_given() -> None:
    store = MemoryStore()
    blobs = {"f0": b"file"}
    await store.create(record("a", blobs=blobs))
    blobs["f1"] = b"late"
    assert await store.read_blob("a", "f0") == b"file"
    with pytest.raises(UnknownBlob):
        await store.read_blob("a", "f1")


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
        await store.create(record("a", idempotency_key="k"))
    created = await store.create(record("b", idempotency_key="k"))
    assert (created.run_id, created.lease is None) == ("b", False)


async def test_a_run_expires_at_its_age_to_the_moment(mock_clock: trio.testing.MockClock) -> None:
    store = MemoryStore()
    # (0.4 + 0.1) - 0.4 is less than 0.1: the age is counted forward from the end.
    mock_clock.jump(0.4)
    await finished(store, "a")
    mock_clock.jump(0.1)
    assert await store.expire(Retention(seconds=0.1)) == ["a"]


async def test_it_is_not_durable_and_counts_what_is_delivered() -> None:
    store = MemoryStore()
    assert not store.durable
    await store.create(record("a"))
    size = store.statistics().size
    for _ in range(2):
        await store.deliver("a", "k", b"x" * 100)
    assert store.statistics().size == size + 100
    assert store.append_nowait([finish("a", 1)]) == [Appended.COMMITTED]
    # What was delivered counts for the retention, too.
    kept = store.statistics().size
    assert await store.expire(Retention(max_bytes=kept)) == []
    assert await store.expire(Retention(max_bytes=kept - 1)) == ["a"]
    assert store.statistics().size == 0


async def test_one_owner_has_a_bound_of_its_own() -> None:
    store = MemoryStore()
    for run_id, owner in {"a": "ann", "b": "bob", "c": "ann", "n": None, "d": "ann"}.items():
        await finished(store, run_id, owner=owner)
    size = (await store.info("a")).size
    # What goes for its age is not there to count.
    for retention, removed in (
        (Retention(max_runs=4, owner_bytes=2 * size), ["a"]),
        (Retention(owner_bytes=2 * size), []),
        (Retention(owner_bytes=size), ["c"]),
        (Retention(owner_bytes=0), ["b", "d"]),
    ):
        assert await store.expire(retention) == removed
    assert store.statistics() == MemoryStoreStatistics(1, 1, size)


async def test_a_look_passes_by_those_that_only_others_can_wake(
    mock_clock: trio.testing.MockClock,
) -> None:
    store = MemoryStore(lease=5)
    for n in range(100):
        lease = (await store.create(record(f"r{n}"))).lease
        assert lease is not None
        assert await store.park(lease, 0, 60.0 if n == 0 else None)
    await finished(store, "done")
    assert set(store._wakeful) == {"r0"}
    await store.deliver("r7", "k", b"")
    await store.request_cancel("r8", "why")
    assert await store.orphans("", 10) == ["r7", "r8"]
    mock_clock.jump(60)
    assert await store.orphans("", 2) == ["r0", "r7"]
    for n in (0, 7, 8):
        lease = await store.claim(f"r{n}")
        assert lease is not None
        assert store.append_nowait([finish(f"r{n}", 1, fence=lease.fence)]) == [Appended.COMMITTED]
    assert not store._wakeful


async def test_a_watch_whose_opening_is_cancelled_leaves_nothing() -> None:
    store = MemoryStore()
    with trio.CancelScope() as scope:
        scope.cancel()
        async with store.watch():
            pytest.fail("it was cancelled")
    assert not store._watches
