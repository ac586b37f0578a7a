"""Runs whose worker is gone: found, claimed by one, and closed."""

import logging

import pytest
import trio
import trio.testing
from runtime_kit import endless, logged
from shared_kit import LEASE, orphan, quiet, shared

from trio_agent._agent import Agent
from trio_agent._cluster.reaper import reap
from trio_agent._errors import LogDamaged, RunFailed, StoreUnavailable
from trio_agent._events import ErrorDetail, RunError
from trio_agent._limits import RuntimeLimits
from trio_agent._log.store import Lease
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel


async def test_at_once_and_again_but_for_our_own(autojump_clock: trio.testing.MockClock) -> None:
    store = MemoryStore()
    async with trio.open_nursery() as nursery:
        for run_id in ("first", "ours"):
            await orphan(store, run_id)
        nursery.start_soon(reap, store, {"ours"}.__contains__, 3.0)
        await trio.testing.wait_all_tasks_blocked()
        assert [error.code for error in await errors(store, "first")] == ["worker-lost"]
        await orphan(store, "second")
        await trio.sleep(2.9)
        assert await errors(store, "second") == []
        await trio.sleep(0.2)
        assert [error.code for error in await errors(store, "second")] == ["worker-lost"]
        await trio.sleep(60)
        assert await errors(store, "ours") == []
        assert len(await errors(store, "first")) == 1
        nursery.cancel_scope.cancel()


async def errors(store: MemoryStore, run_id: str) -> list[ErrorDetail]:
    return [event.error for event in await logged(store, run_id) if isinstance(event, RunError)]


async def test_more_than_are_taken_at_once(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr("trio_agent._cluster.reaper._AT_ONCE", 2)
    store = MemoryStore()
    door = FaultyStore(store)
    for n in range(5):
        await orphan(store, str(n))
    with trio.move_on_after(0.5):
        await reap(door, set[str]().__contains__, 1.0)
    assert await store.orphans("", 10) == []
    # Two, two, one, and the empty page that says that there are no more.
    assert door.calls["orphans"] == 4


async def test_those_that_can_not_be_closed_keep_no_others_back(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr("trio_agent._cluster.reaper._AT_ONCE", 2)
    store = MemoryStore()
    for n in range(5):
        await orphan(store, str(n))
    with trio.move_on_after(0.5):
        await reap(store, {"0", "1", "2"}.__contains__, 1.0)
    assert await store.orphans("", 10) == ["0", "1", "2"]


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
    assert {
        "orphans": "could not look for runs without a worker",
    }.get(operation, "run r has lost its worker, and could not be closed") in caplog.text


async def test_a_run_that_is_removed_meanwhile(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Stale(FaultyStore):
        async def orphans(self, after: str, limit: int) -> list[str]:
            found = await super().orphans(after, limit)
            return found if after else ["gone", *found]

    store = MemoryStore()
    await orphan(store)
    with caplog.at_level(logging.INFO), trio.move_on_after(1):
        await reap(Stale(store), set[str]().__contains__, 3.0)
    assert "run gone was removed meanwhile" in caplog.text
    assert not (await store.info("r")).active


async def test_a_run_that_is_damaged_keeps_none_from_being_closed(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Damaged(MemoryStore):
        async def claim(self, run_id: str) -> Lease | None:
            if run_id == "bad":
                raise LogDamaged("what is stored of run 'bad' is damaged")
            return await super().claim(run_id)

    store = Damaged()
    await orphan(store, "bad")
    await orphan(store)
    with trio.move_on_after(1):
        await reap(store, set[str]().__contains__, 3.0)
    assert not (await store.info("r")).active
    assert "bad" in caplog.text
    assert "removed meanwhile" not in caplog.text


async def test_reapers_race(autojump_clock: trio.testing.MockClock) -> None:
    store = MemoryStore(lease=LEASE)
    with trio.CancelScope() as death:
        async with open_runtime(
            store=(door := FaultyStore(store)), limits=RuntimeLimits(closing_bound=0.1)
        ) as doomed:
            run = await doomed.start(Agent(model=ScriptedModel(["a", trio.Event()])), "hi")
            await quiet()
            door.away |= {"append", "renew", "release", "expire"}
            death.cancel()
    assert (await store.info(run.id)).active
    # With a delay, so that each looks before one has claimed.
    async with shared(3, store=store, delay=0.1) as s:
        found = await s.runtimes[0].find(run.id)
        with pytest.raises(RunFailed, match="worker-lost"):
            await found.wait()
        await trio.sleep(30)
        events = await logged(store, run.id)
        assert [event.terminal for event in events] == [False, False, False, True]
        assert sum(door.calls["claim"] for door in s.doors) == 3
        assert sum(door.calls["append"] for door in s.doors) == 1


async def test_a_run_that_was_released(autojump_clock: trio.testing.MockClock) -> None:
    """Another worker need not wait for the end of its lease."""
    store = MemoryStore(lease=1000)
    async with shared(store=store) as s:
        a, b = s.runtimes
        run = await a.start(endless(), "hi")
        _, log = a._live._live[run.id].active
        await quiet()
        begin = trio.current_time()
        a._live.follower.discard_own(run.id)
        del a._live._live[run.id]  # so that it does not look like ours: its process is gone
        await store.release(log.lease)
        with pytest.raises(RunFailed, match="worker-lost"):
            await (await b.find(run.id)).wait()
        assert trio.current_time() - begin <= 300
        run.request_cancel()


async def test_a_runtime_reaps_no_run_of_its_own(autojump_clock: trio.testing.MockClock) -> None:
    async with shared(1) as s:
        [a] = s.runtimes
        run = await a.start(endless(), "hi")
        s.doors[0].away.add("renew")
        await trio.sleep(60)
        assert not (await s.store.info(run.id)).leased
        assert run.status == "active"
        s.doors[0].away.clear()
        await trio.sleep(4)
        assert (await s.store.info(run.id)).leased
        assert (await run.cancel()).outcome == "cancelled"


@pytest.mark.parametrize("failure", [StoreUnavailable("a shard is away"), TypeError("a bug")])
async def test_a_run_that_can_not_be_closed_leaves_the_others_alone(
    failure: Exception, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(MemoryStore):
        async def claim(self, run_id: str) -> Lease | None:
            if run_id == "bad":
                raise failure
            return await super().claim(run_id)

    store = Odd()
    for run_id in ("bad", "r"):
        await orphan(store, run_id)
    with trio.move_on_after(60):
        await reap(store, set[str]().__contains__, 3.0)
    assert not (await store.info("r")).active
    assert caplog.text.count("run bad has lost its worker, and could not be closed") == 1
