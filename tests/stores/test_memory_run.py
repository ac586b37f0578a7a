"""A run in a store in memory: what is told of it, as time passes."""

import trio.testing
from store_kit import deltas, finish, record

from trio_agent._log.inbox import Delivery
from trio_agent._log.log import Append, Appended, Log
from trio_agent._log.run_info import RunInfo
from trio_agent.stores._memory_run import MemoryRun


def new_run(*, leased_until: float) -> MemoryRun:
    return MemoryRun(record("a"), Log(1, size=7), {}, leased_until)


async def test_what_is_told_of_a_new_run(mock_clock: trio.testing.MockClock) -> None:
    run = new_run(leased_until=trio.current_time() + 5)
    assert run.last is None
    assert run.info() == RunInfo(record("a"), 0, 7, None, 1, True, None, 0)
    run.cancel_reason = "why"
    run.inbox["k"] = Delivery(1, "k", b"data")
    assert run.log.append(deltas("a", 1)) is Appended.COMMITTED
    info = run.info()
    assert (info.cancel_reason, info.delivered, info.tail) == ("why", 1, 1)
    assert info.size == 7 + deltas("a", 1).size


async def test_a_lease_and_viewers_hold_for_a_while(mock_clock: trio.testing.MockClock) -> None:
    now = trio.current_time()
    run = new_run(leased_until=now + 5)
    run.viewers = {"w1": (2, now + 3), "w2": (1, now + 5)}
    told = []
    for _ in range(3):
        told.append((run.info().leased, run.info().viewers))
        mock_clock.jump(2.5)
    # What holds until a moment does not hold at it any more.
    assert told == [(True, 3), (True, 3), (False, 0)]


async def test_who_sleeps_is_not_held_and_then_due(mock_clock: trio.testing.MockClock) -> None:
    run = new_run(leased_until=trio.current_time() + 5)
    run.parked = True
    assert (run.info().parked, run.info().leased) == (True, False)
    mock_clock.jump(5)
    assert (run.info().parked, run.info().leased) == (False, False)


async def test_what_is_told_of_a_run_that_has_ended(mock_clock: trio.testing.MockClock) -> None:
    run = new_run(leased_until=trio.current_time() + 5)
    end = Append("a", 1, finish("a", 1).entries, turn=b"{}" * 50)
    assert run.log.append(end) is Appended.COMMITTED
    info = run.info()
    assert info.last is run.last is end.entries[0]
    assert not info.active
    assert not info.leased
    # A turn is its thread's.
    assert info.size == 7 + len(end.entries[0].data)
