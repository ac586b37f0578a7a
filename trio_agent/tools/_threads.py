"""Threads for sync tools: so many at work, and each that hangs makes room for another.

Nobody can kill a thread. One whose call is over its time, or was cancelled, gives its place to the
next call although it still runs, or else as many hung tools as there are places would end all sync
tools of the runtime. At most as many threads as there are places are left uncounted like this;
further ones keep their places. So there are never more than twice as many threads.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import trio

from .._nursery import open_plain_nursery

R = TypeVar("R")


class ToolThreads:
    """The threads of a runtime.

    Args:
        places: threads that are at work at once.
    """

    def __init__(self, places: int) -> None:
        self._limiter = trio.CapacityLimiter(places)
        self._overdue = 0

    async def place(self) -> "Place":
        """Wait for a free place, which is to be given back. A checkpoint."""
        place = Place(self)
        await self._limiter.acquire_on_behalf_of(place)
        return place

    def give_back(self, place: "Place") -> None:
        """The place's thread has ended, or was never started."""
        if place.overdue:
            self._overdue -= 1
        else:
            self._limiter.release_on_behalf_of(place)

    def write_off(self, place: "Place") -> None:
        """The place's thread runs, but nobody counts on its end."""
        if self._overdue < self._limiter.total_tokens:
            self._overdue += 1
            place.overdue = True
            self._limiter.release_on_behalf_of(place)


class Place:
    """A place for one thread. It stands for the limiter of `trio.to_thread.run_sync`."""

    def __init__(self, threads: ToolThreads) -> None:
        self.overdue: bool = False
        """Whether its thread no longer counts."""
        self._threads = threads
        self._started = False
        self._ended = False

    @property
    def running(self) -> bool:
        """Whether there is a thread. Behind `run` that means: it was left behind."""
        return self._started and not self._ended

    async def run(self, function: Callable[[], R], *, abandon: bool) -> R:
        """Run a function in the thread. If cancelled, let go of it, or wait for its end."""
        limiter = cast(Any, self)
        watched = trio.Event()
        try:
            async with open_plain_nursery() as nursery:
                nursery.start_soon(self._watch, watched)
                try:
                    return await trio.to_thread.run_sync(
                        function, abandon_on_cancel=abandon, limiter=limiter
                    )
                finally:
                    nursery.cancel_scope.cancel(reason="the thread is not waited for any more")
                    # With nobody to wait for, the nursery can't be cancelled: what the thread
                    # returned after all is not lost.
                    with trio.CancelScope(shield=True):
                        await watched.wait()
        finally:
            if not self._started:
                self._threads.give_back(self)

    async def _watch(self, watched: trio.Event) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:  # noqa: ASYNC103 - who waits for the thread is told, too
            if self.running:
                self._threads.write_off(self)
        finally:
            watched.set()

    async def acquire_on_behalf_of(self, _: object) -> None:
        """Trio starts the thread as soon as this returns."""
        self._started = True

    def release_on_behalf_of(self, _: object) -> None:
        """Trio says that the thread has ended."""
        self._ended = True
        self._threads.give_back(self)
