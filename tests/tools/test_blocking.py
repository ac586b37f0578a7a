"""Steps that hold up the event loop. Time passes where the test says so."""

import contextvars
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from trio_agent.tools._blocking import LONGEST_STEP, notice_blocking

LONG = LONGEST_STEP + 0.1


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def steps(clock: Clock, *seconds: float, failure: BaseException | None = None) -> str:
    for each in seconds:
        clock.now += each
        await trio.lowlevel.checkpoint()
    if failure is not None:
        raise failure
    return "done"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        ([], []),
        ([0.1] * 20, []),
        ([LONGEST_STEP], []),
        ([0.1, LONG, 0.1], [LONG]),
        ([LONG, 2, 3], [LONG]),
    ],
)
async def test_the_first_step_that_is_too_long_is_told(
    seconds: list[float], told: list[float]
) -> None:
    clock, seen = Clock(), list[float]()
    assert await notice_blocking(steps(clock, *seconds), seen.append, clock=clock) == "done"
    assert seen == pytest.approx(told)


async def test_what_others_do_meanwhile_is_not_counted() -> None:
    clock, seen = Clock(), list[float]()

    async def wait() -> None:
        await trio.testing.wait_all_tasks_blocked()
        clock.now += LONG

    await notice_blocking(wait(), seen.append, clock=clock)
    assert seen == [pytest.approx(LONG)]
    seen.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await notice_blocking(trio.testing.wait_all_tasks_blocked(0.01), seen.append, clock=clock)
    assert seen == []


@pytest.mark.parametrize("failure", [KeyError("x"), SystemExit(1), KeyboardInterrupt()])
async def test_a_failure_comes_through_and_its_step_counts(failure: BaseException) -> None:
    clock, seen = Clock(), list[float]()

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        clock.now += LONG
        raise failure

    with pytest.raises(type(failure)) as caught:
        await notice_blocking(fail(), seen.append, clock=clock)
    assert caught.value is failure
    assert seen == [pytest.approx(LONG)]


async def test_it_is_cancelled_as_if_nobody_looked() -> None:
    cleaned = False

    @asynccontextmanager
    async def resource() -> AsyncIterator[None]:
        nonlocal cleaned
        try:
            yield
        finally:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
            cleaned = True

    async def work() -> None:
        async with resource(), trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep_forever()

    async def watched() -> None:
        await notice_blocking(work(), lambda _: None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert cleaned


async def test_it_is_closed_as_if_nobody_looked() -> None:
    closed = False

    async def work() -> None:
        nonlocal closed
        try:
            await trio.lowlevel.checkpoint()
        finally:
            closed = True

    generator = notice_blocking(work(), lambda _: None)
    generator.send(None)
    generator.close()
    assert closed


async def test_scopes_and_context_are_those_of_the_task() -> None:
    variable = contextvars.ContextVar[str]("variable")

    async def work() -> object:
        variable.set("set")
        with trio.move_on_after(1):
            await trio.lowlevel.checkpoint()
            return trio.lowlevel.current_task()

    assert await notice_blocking(work(), lambda _: None) is trio.lowlevel.current_task()
    assert variable.get() == "set"
