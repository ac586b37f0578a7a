"""Leases are renewed in time; who can't for as long as they hold stops by its own clock."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest
import trio
import trio.testing
from crash_kit import reasons, server
from runtime_kit import endless, logged
from shared_kit import LEASE, quiet
from store_kit import record

from trio_agent._agent import Agent
from trio_agent._errors import FenceLost
from trio_agent._log.feed import Feed
from trio_agent._log.store import Lease, Store
from trio_agent._log.writer import RunLog, Writer
from trio_agent._runtime.leases import RENEWAL, Leases
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import CrashingStore, FaultyStore, ScriptedModel, StoreProxy, call
from trio_agent.tools._tool import tool

T = TypeVar("T")


class Hung(StoreProxy):
    """It does not answer while it hangs."""

    hung: trio.Event | None = None

    async def perform(self, operation: str, act: Callable[[], Awaitable[T]]) -> T:
        if operation == "renew" and self.hung is not None:
            await self.hung.wait()
        return await act()


async def log_in(store: Store, run_id: str = "r") -> RunLog:
    lease = (await store.create(record(run_id))).lease
    assert lease is not None
    return RunLog(Feed(run_id, "e"), store, lease, Writer(store, patience=5), max_bytes=1 << 20)


def lost(log: RunLog) -> bool:
    return isinstance(log.feed.failure, FenceLost)


async def test_all_in_one_act_three_times_in_a_lease(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = FaultyStore(MemoryStore(lease=LEASE))
    logs = [await log_in(store, str(n)) for n in range(3)]
    with trio.move_on_after(10 * LEASE):
        await Leases(store).renew(lambda: logs)
    assert store.calls["renew"] == int(10 / RENEWAL)
    for log in logs:
        assert (await store.info(log.lease.run_id)).leased
        assert not lost(log)


async def test_what_somebody_else_has_is_lost(autojump_clock: trio.testing.MockClock) -> None:
    store = MemoryStore(lease=LEASE)
    ours, theirs = await log_in(store, "ours"), await log_in(store, "theirs")
    await store.release(theirs.lease)
    assert await store.claim("theirs") is not None
    with trio.move_on_after(LEASE / 2):
        await Leases(store).renew(lambda: [ours, theirs])
    assert (lost(ours), lost(theirs)) == (False, True)


@pytest.mark.parametrize("how", ["it is away", "it does not answer"])
@pytest.mark.parametrize(
    ("shared", "seconds", "gone"),
    [
        (True, 0.7 * LEASE, False),
        (True, 1.4 * LEASE, True),
        # Nobody else could have taken it.
        (False, 10 * LEASE, False),
    ],
)
async def test_a_store_that_can_not_be_reached(
    how: str,
    shared: bool,
    seconds: float,
    gone: bool,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    faulty = FaultyStore(hung := Hung(MemoryStore(lease=LEASE)))
    store = CrashingStore(faulty, shared=shared)
    log = await log_in(store)
    told: list[str] = []
    log.on_lost = lambda: told.append("lost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Leases(store).renew, lambda: [] if lost(log) else [log])
        await trio.sleep(2 * LEASE)
        if how == "it is away":
            faulty.away.add("renew")
        else:
            hung.hung = trio.Event()
        await trio.sleep(seconds)
        assert lost(log) == gone
        assert told == ["lost"] * gone
        if gone:
            assert str(log.feed.failure) == "run r: its lease could not be renewed in time"
            assert "leases could not be renewed" in caplog.text
            assert "a bug" not in caplog.text
        faulty.away.clear()
        if hung.hung is not None:
            hung.hung.set()
            hung.hung = None
        # What comes later is renewed again.
        await trio.sleep(LEASE)
        log = await log_in(store, "later")
        await trio.sleep(5 * LEASE)
        assert not lost(log)
        assert (await store.info("later")).leased
        nursery.cancel_scope.cancel()


async def test_a_worker_that_is_cut_off_acts_no_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Not on the world, either; and somebody else goes on."""
    ticks: list[float] = []

    @tool(deadline=1000)
    async def tick() -> None:
        """Act on the world, again and again."""
        while True:
            ticks.append(trio.current_time())
            await trio.sleep(0.5)

    store = MemoryStore(lease=LEASE)
    agent = Agent(model=ScriptedModel([call("1", "tick")], ["done"]), name="a", tools=[tick])
    away = FaultyStore(store)
    async with server(away, agent) as first, server(store, agent) as second:
        run = await first.runtime.start(agent, "hi")
        await quiet()
        away.away |= {"renew", "append", "info", "claim"}
        cut = trio.current_time()
        found = await second.runtime.find(run.id)
        assert (await found.wait()).text == "done"
        with pytest.raises(FenceLost):
            await run.wait()
        assert LEASE / 2 <= ticks[-1] - cut <= (1 + RENEWAL) * LEASE
        assert first.runtime.statistics().active == 0
        away.away.clear()
    assert await reasons(store, run.id) == ["worker-lost"]


async def test_where_there_is_but_one_server_the_run_outlasts_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = FaultyStore(MemoryStore(lease=LEASE))
    async with server(store, shared=False) as first:
        run = await first.runtime.start(endless(), "hi")
        await quiet()
        store.away.add("renew")
        await trio.sleep(5 * LEASE)
        assert run.status == "active"
        store.away.clear()
        await run.cancel()
    assert len(await logged(store, run.id)) == 4


async def test_who_holds_nothing_asks_for_nothing_of_others(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Strict(MemoryStore):
        async def renew(self, leases: Sequence[Lease]) -> Sequence[Lease]:
            assert list(leases) == []
            return await super().renew(leases)

    with trio.move_on_after(3 * LEASE):
        await Leases(Strict(lease=LEASE)).renew(list)
