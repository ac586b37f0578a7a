"""Something is to be done for each of many runs: none of them waits for another.

For one run there is one errand at a time. What fails is told rarely, and tried again after a
while, so that a run that can't be reached harms neither the others nor who serves them.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from .._log.trouble import Trouble

_AGAIN: Final = 1.0
"""Seconds until what failed is tried again."""

_AT_ONCE: Final = 32
"""Errands under way, each of which may read a page of its run's log."""


class Errands:
    """Does what is to be done for runs, each in a task of its own.

    Args:
        act: does, for the run with this id, whatever is to be done by then, which may be nothing.
        trouble: is told what goes wrong, and of which run.
    """

    def __init__(self, act: Callable[[str], Awaitable[None]], trouble: Trouble) -> None:
        self._act = act
        self._trouble = trouble
        self._wanted: set[str] = set()
        self._under_way: set[str] = set()
        self._limiter = trio.CapacityLimiter(_AT_ONCE)
        self._waiting = trio.lowlevel.ParkingLot()

    def want(self, run_id: str) -> None:
        """Act for this run soon; after the errand that is under way for it, if there is one."""
        self._wanted.add(run_id)
        self._waiting.unpark()

    async def run(self) -> None:
        """Run the errands. Never returns."""
        async with trio.open_nursery() as nursery:
            while True:
                for run_id in self._wanted - self._under_way:
                    self._under_way.add(run_id)
                    nursery.start_soon(self._act_for, run_id)
                await self._waiting.park()

    async def _act_for(self, run_id: str) -> None:
        while run_id in self._wanted:
            self._wanted.discard(run_id)
            try:
                async with self._limiter:
                    await self._act(run_id)
            except Exception as exc:
                self._trouble.tell(exc, run_id)
                await trio.sleep(_AGAIN)
                self._wanted.add(run_id)
        self._under_way.discard(run_id)
