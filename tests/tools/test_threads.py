"""Threads for sync tools: their places, and what becomes of those that hang."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing

from trio_agent.testing import Sweep, cancel_sweep
from trio_agent.tools._threads import Place, ToolThreads


class Hung:
    """A thread that hangs, and what becomes of the call that waits for it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.scope = trio.CancelScope()
        self.returned: list[str] = []
        self.started, self.left = trio.Event(), trio.Event()
        self._go_on = threading.Event()

    async def run(self, abandon: bool) -> None:
        try:
            with self.scope:
                self.returned.append(await self.place.run(self._hang, abandon=abandon))
        finally:
            self.left.set()

    def _hang(self) -> str:
        trio.from_thread.run_sync(self.started.set)
        self._go_on.wait()
        return "late"

    async def go_on(self) -> None:
        self._go_on.set()
        await self.left.wait()


@asynccontextmanager
async def hung(threads: ToolThreads, *, abandon: bool = False) -> AsyncIterator[Hung]:
    thread = Hung(await threads.place())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(thread.run, abandon)
        try:
            await thread.started.wait()
            yield thread
        finally:
            with trio.fail_after(60, shield=True):
                await thread.go_on()


def free(threads: ToolThreads) -> int:
    return int(threads._limiter.available_tokens)


@pytest.mark.parametrize("failure", [None, ValueError("x"), SystemExit(1)])
async def test_a_place_is_given_back_when_its_thread_ends(failure: BaseException | None) -> None:
    def work() -> int:
        if failure is not None:
            raise failure
        return 1

    threads = ToolThreads(1)
    for _ in range(2):
        place = await threads.place()
        if failure is None:
            assert await place.run(work, abandon=False) == 1
        else:
            with pytest.raises(type(failure)):
                await place.run(work, abandon=False)
        assert not place.running


async def test_a_thread_that_is_at_work_keeps_its_place() -> None:
    threads = ToolThreads(1)
    async with hung(threads) as thread:
        assert thread.place.running
        assert free(threads) == 0
    assert free(threads) == 1


async def test_a_thread_that_never_started_leaves_its_place() -> None:
    threads = ToolThreads(1)
    place = await threads.place()
    with trio.CancelScope() as scope:
        scope.cancel()
        await place.run(lambda: pytest.fail("it ran"), abandon=True)
    assert not place.running
    assert free(threads) == 1


@pytest.mark.parametrize("abandon", [False, True])
async def test_a_cancelled_thread_makes_room(abandon: bool) -> None:
    """And is waited for all the same, unless it may be abandoned."""
    threads = ToolThreads(1)
    async with hung(threads, abandon=abandon) as thread:
        thread.scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert free(threads) == 1
        assert thread.place.running
        assert thread.left.is_set() is abandon
        await thread.go_on()
        with trio.fail_after(60):
            while thread.place.running:  # nobody is told of an abandoned thread's end
                await trio.sleep(0.001)
    assert thread.returned == ([] if abandon else ["late"])
    assert not thread.place.running
    assert free(threads) == 1


async def test_what_hangs_is_bounded() -> None:
    """With as many written off as there are places, the next one that hangs keeps its place."""
    threads = ToolThreads(1)
    async with hung(threads) as first:
        first.scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert (first.place.overdue, free(threads)) == (True, 1)
        async with hung(threads) as second:
            second.scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
            assert (second.place.overdue, free(threads)) == (False, 0)
            await first.go_on()
            assert free(threads) == 0
        assert free(threads) == 1
    # What was written off has ended: there is room for the next one.
    async with hung(threads) as third:
        third.scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert (third.place.overdue, free(threads)) == (True, 1)


async def test_it_may_ask_whether_it_is_cancelled() -> None:
    threads = ToolThreads(1)
    started = trio.Event()

    def work() -> None:
        trio.from_thread.run_sync(started.set)
        while True:
            trio.from_thread.check_cancelled()

    async def run(work: Callable[[], None]) -> None:
        await (await threads.place()).run(work, abandon=False)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, work)
        await started.wait()
        nursery.cancel_scope.cancel()
    assert free(threads) == 1


def test_no_place_is_lost_wherever_it_is_cancelled() -> None:
    async def scenario(sweep: Sweep) -> None:
        threads = ToolThreads(1)

        async def run() -> None:
            assert await (await threads.place()).run(lambda: 1, abandon=False) == 1

        with sweep:
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(run)
        assert free(threads) == 1

    clock = partial(trio.testing.MockClock, autojump_threshold=0.01)
    assert cancel_sweep(scenario, clock=clock) > 10
