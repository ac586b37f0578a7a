"""Doing something just before an await really waits."""

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_agent._http.before_waiting import BeforeWaiting


@attrs.define
class Waits:
    """Awaited, it waits for each of its messages and keeps what it gets for it."""

    messages: list[str]
    tell: Callable[[str], None] = lambda _: None
    got: list[Any] = attrs.field(factory=list)

    def __await__(self) -> Generator[str, Any, str]:
        for message in self.messages:
            try:
                self.got.append((yield message))
            except KeyError as exc:
                self.got.append(exc)
            finally:
                self.tell("went on")
        return "result"


def drive(steps: Generator[Any, Any, Any], *answers: Any) -> Any:
    """Answer each wait, an exception by raising it there; return the result."""
    next(steps)
    for answer in answers:
        try:
            if isinstance(answer, BaseException):
                steps.throw(answer)
            else:
                steps.send(answer)
        except StopIteration as done:
            return done.value
    raise AssertionError("it waits still")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_done_before_each_wait_and_only_there(count: int) -> None:
    said: list[str] = []
    waits = Waits([str(n) for n in range(count)], said.append)
    steps = BeforeWaiting(waits, lambda: said.append("do")).__await__()
    assert said == []
    assert next(steps) == "0"
    for n in range(1, count):
        said.append(f"wait {n}")
        assert steps.send(None) == str(n)
    assert said == ["do", *(w for n in range(1, count) for w in (f"wait {n}", "went on", "do"))]


async def test_never_done_without_a_wait() -> None:
    async def at_once() -> int:
        return 7

    done: list[int] = []
    assert await BeforeWaiting(at_once(), lambda: done.append(1)) == 7
    assert done == []


def test_answers_go_in_and_the_result_comes_out() -> None:
    waits = Waits(["a", "b", "c"])
    assert drive(BeforeWaiting(waits, lambda: None).__await__(), 1, None, "x") == "result"
    assert waits.got == [1, None, "x"]


def test_exceptions_pass_into_the_awaitable_which_may_go_on() -> None:
    done: list[int] = []
    waits, failure = Waits(["a", "b", "c"]), KeyError("x")
    steps = BeforeWaiting(waits, lambda: done.append(1)).__await__()
    assert drive(steps, 1, failure, 2) == "result"
    assert waits.got == [1, failure, 2]
    assert len(done) == 3


@pytest.mark.parametrize("failure", [ValueError("x"), KeyboardInterrupt(), GeneratorExit()])
def test_what_the_awaitable_does_not_catch_comes_out_as_it_is(failure: BaseException) -> None:
    said: list[str] = []
    steps = BeforeWaiting(Waits(["a", "b"], said.append), lambda: None).__await__()
    with pytest.raises(type(failure)) as caught:
        drive(steps, failure)
    assert caught.value is failure
    assert said == ["went on"]


@pytest.mark.parametrize("waits", [0, 1, 3])
async def test_what_the_awaitable_raises_comes_out_as_it_is(waits: int) -> None:
    failure = KeyError("mine")

    async def fail() -> None:
        for _ in range(waits):
            await trio.lowlevel.checkpoint()
        raise failure

    with pytest.raises(KeyError) as caught:
        await BeforeWaiting(fail(), lambda: None)
    assert caught.value is failure


def test_closing_it_closes_the_awaitable() -> None:
    said: list[str] = []
    steps = BeforeWaiting(Waits(["a"], said.append), lambda: None).__await__()
    next(steps)
    steps.close()
    assert said == ["went on"]


async def test_cancelled_where_it_waits() -> None:
    said: list[str] = []

    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            said.append("cleaning")
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
            said.append("clean")

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                await BeforeWaiting(work(), lambda: said.append("do"))

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            assert said == ["do"]
            scope.cancel()
    assert scope.cancelled_caught
    assert said[:3] == ["do", "cleaning", "do"]
    assert said[-1] == "clean"


async def test_an_awaitable_that_takes_its_cancellation_may_go_on() -> None:
    async def stubborn() -> str:
        with suppress(trio.Cancelled):
            await trio.sleep_forever()
        return "done"

    done: list[int] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        assert await BeforeWaiting(stubborn(), lambda: done.append(1)) == "done"
    assert not scope.cancelled_caught
    assert done == [1]


async def test_what_is_done_may_cancel_the_wait_that_has_begun() -> None:
    async def work() -> None:
        await trio.sleep_forever()

    with trio.CancelScope() as scope:
        await BeforeWaiting(work(), scope.cancel)
    assert scope.cancelled_caught


async def test_one_in_another() -> None:
    """Both are told of a wait of the inner one, the inner one first."""
    said: list[str] = []

    async def wait() -> None:
        await trio.lowlevel.checkpoint()

    async def work() -> None:
        await BeforeWaiting(wait(), lambda: said.append("inner"))
        await wait()

    await BeforeWaiting(work(), lambda: said.append("outer"))
    assert said == ["inner", "outer", "outer"]
