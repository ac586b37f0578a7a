"""Errands for many runs: side by side, one at a time for each, and again if they fail."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from trio_agent._cluster.errands import Errands
from trio_agent._errors import StoreUnavailable
from trio_agent._log.trouble import Trouble


@asynccontextmanager
async def running(act: Callable[[str], Awaitable[None]]) -> AsyncIterator[Errands]:
    errands = Errands(act, Trouble("nothing was done for %s"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(errands.run)
        yield errands
        nursery.cancel_scope.cancel()


async def test_a_run_that_hangs_holds_up_no_other() -> None:
    done: list[str] = []

    async def act(run_id: str) -> None:
        await trio.lowlevel.checkpoint()
        if run_id == "hangs":
            await trio.sleep_forever()
        done.append(run_id)

    async with running(act) as errands:
        for run_id in ("hangs", "a", "b"):
            errands.want(run_id)
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(done) == ["a", "b"]
        errands.want("a")
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(done) == ["a", "a", "b"]


async def test_so_many_at_once() -> None:
    gate, under_way = trio.Event(), 0

    async def act(run_id: str) -> None:
        nonlocal under_way
        under_way += 1
        await gate.wait()

    async with running(act) as errands:
        for number in range(100):
            errands.want(str(number))
        await trio.testing.wait_all_tasks_blocked()
        assert under_way == 32
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert under_way == 100


async def test_one_at_a_time_for_each_run_and_once_more_if_it_was_wanted_meanwhile() -> None:
    gates: list[trio.Event] = []

    async def act(run_id: str) -> None:
        gates.append(trio.Event())
        await gates[-1].wait()

    async with running(act) as errands:
        for _ in range(3):
            errands.want("a")
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(3):
            errands.want("a")
        await trio.testing.wait_all_tasks_blocked()
        assert len(gates) == 1
        for done in (2, 2):
            gates[-1].set()
            await trio.testing.wait_all_tasks_blocked()
            assert len(gates) == done


@pytest.mark.parametrize("failure", [StoreUnavailable("away"), TypeError("a bug")])
async def test_what_fails_is_tried_again_and_told_rarely(
    failure: Exception,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: trio.testing.MockClock,
) -> None:
    times: list[float] = []

    async def act(run_id: str) -> None:
        times.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if len(times) < 5:
            raise failure

    async with running(act) as errands:
        errands.want("a")
        await trio.sleep(100)
        assert [at - times[0] for at in times] == [0, 1, 2, 3, 4]
    assert caplog.text.count("nothing was done for a") == 1
