"""What the runs of several runtimes leave open: see `test_shared_store.py` for the rest."""

import logging

import pytest
import trio
import trio.testing

from trio_agent._cluster.closing import close_log
from trio_agent._cluster.reaper import reap
from trio_agent._events import RunError, RunStart
from trio_agent._log.log import Append, Appended, Entry
from trio_agent._log.store import Lease, RunRecord
from trio_agent._run.record import said_before
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore


def record(run_id: str = "r") -> RunRecord:
    return RunRecord(run_id=run_id, epoch="e", agent="a", created_at=0)


async def orphan(store: MemoryStore, run_id: str = "r") -> Lease:
    lease = (await store.create(record(run_id))).lease
    assert lease is not None
    start = RunStart(at=0, run_id=run_id, agent="a")
    await store.append([Append(run_id, lease.fence, [Entry.of(1, start)])])
    await store.release(lease)
    return lease


async def test_a_removed_run_has_nothing_to_close() -> None:
    store = MemoryStore()
    assert await close_log(store, Lease("nope", 1), "x", "y") is Appended.UNKNOWN


async def test_closed_by_the_holder_only() -> None:
    store = MemoryStore()
    old = await orphan(store)
    lease = await store.claim("r")
    assert lease is not None
    assert await close_log(store, old, "x", "y") is Appended.FENCED
    assert await close_log(store, lease, "x", "y") is Appended.COMMITTED
    last = (await store.info("r")).last
    assert last is not None
    assert isinstance(last.event, RunError)
    assert await close_log(store, lease, "x", "y") is Appended.CLOSED


@pytest.mark.parametrize("operation", ["orphans", "claim", "read", "append"])
async def test_a_store_that_is_away_is_asked_again(
    operation: str, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore(lease=2)
    door = FaultyStore(store)
    await orphan(store)
    door.away.add(operation)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reap, door, set[str]().__contains__, 3.0)
        await trio.sleep(10)
        assert (await store.info("r")).active
        door.away.clear()
        await trio.sleep(6)
        nursery.cancel_scope.cancel()
    assert (await store.info("r")).tail == 2
    assert "could not look for runs without a worker" in caplog.text


async def test_a_run_that_is_removed_meanwhile(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Stale(FaultyStore):
        async def orphans(self, limit: int) -> list[str]:
            return ["gone", *await super().orphans(limit)]

    store = MemoryStore()
    await orphan(store)
    with caplog.at_level(logging.INFO), trio.move_on_after(1):
        await reap(Stale(store), set[str]().__contains__, 3.0)
    assert "run gone was removed meanwhile" in caplog.text
    assert not (await store.info("r")).active


def test_a_record_without_a_private_part() -> None:
    assert said_before(record()) == ()
