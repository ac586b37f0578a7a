import pytest
import trio
import trio.testing

from trio_agent._errors import StoreUnavailable
from trio_agent._nursery import Trouble, open_plain_nursery


async def test_leaving_waits_for_the_tasks() -> None:
    done = trio.Event()

    async def task() -> None:
        await trio.testing.wait_all_tasks_blocked()
        done.set()

    async with open_plain_nursery() as nursery:
        nursery.start_soon(task)
    assert done.is_set()


async def test_the_bodys_exception_is_plain_and_cancels() -> None:
    failure = KeyError("x")
    cancelled = trio.Event()

    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    with pytest.raises(KeyError) as caught:  # noqa: PT012
        async with open_plain_nursery() as nursery:
            nursery.start_soon(task)
            await trio.testing.wait_all_tasks_blocked()
            raise failure
    assert caught.value is failure
    assert cancelled.is_set()


async def test_a_task_that_fails_is_grouped() -> None:
    async def task() -> None:
        raise KeyError("x")

    with pytest.RaisesGroup(KeyError):
        async with open_plain_nursery() as nursery:
            nursery.start_soon(task)
            await trio.sleep_forever()


async def test_both_fail() -> None:
    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("y")

    with pytest.RaisesGroup(KeyError, pytest.RaisesGroup(ValueError)):
        async with open_plain_nursery() as nursery:
            nursery.start_soon(task)
            await trio.testing.wait_all_tasks_blocked()
            raise KeyError("x")


async def test_cancelled_is_not_swallowed() -> None:
    with trio.CancelScope() as scope:
        async with open_plain_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught


async def test_an_interrupt_is_grouped_as_in_every_nursery() -> None:
    with pytest.RaisesGroup(KeyboardInterrupt):
        async with open_plain_nursery():
            raise KeyboardInterrupt


async def test_the_bodys_failure_is_plain_even_while_it_is_cancelled() -> None:
    with trio.CancelScope() as scope:
        with pytest.raises(KeyError, match="x"):  # noqa: PT012
            async with open_plain_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
                raise KeyError("x")
        await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught


@pytest.mark.parametrize(
    ("failure", "level", "words"),
    [
        (StoreUnavailable("away"), "WARNING", "it failed for a and b: away"),
        (KeyError("x"), "ERROR", "it failed for a and b: a bug"),
    ],
)
async def test_trouble_is_told_at_once_and_then_once_a_minute(
    failure: Exception,
    level: str,
    words: str,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: trio.testing.MockClock,
) -> None:
    trouble = Trouble("it failed for %s and %s")
    trouble.tell(failure, "a", "b")
    trouble.tell(OSError("another kind"), "c", "d")
    for _ in range(59):
        await trio.sleep(1)
        trouble.tell(failure, "e", "f")
    assert [record.message for record in caplog.records] == [words, "it failed for c and d: a bug"]
    assert caplog.records[0].levelname == level
    assert bool(caplog.records[0].exc_info) == (level == "ERROR")
    await trio.sleep(1)
    trouble.tell(failure, "a", "b")
    assert len(caplog.records) == 3
