import pytest
import trio
import trio.testing

from trio_agent._nursery import open_plain_nursery


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
