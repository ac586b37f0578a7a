"""The store in memory: the contract, its bounds, and its statistics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from store_kit import deltas, finish, finished, record

from trio_agent._errors import CursorExpired, LimitExceeded, UnknownBlob, UnknownRun
from trio_agent._limits import Retention
from trio_agent._log.log import Append
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


async def test_a_watch_whose_opening_is_cancelled_leaves_nothing() -> None:
    store = MemoryStore()
    with trio.CancelScope() as scope:
        scope.cancel()
        async with store.watch():
            pytest.fail("it was cancelled")
    assert not store._watches
