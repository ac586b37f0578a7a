"""Looks for runs that nobody works on and that are due: somebody goes on with them, or ends them.

All processes that share a store look; one of them gets the claim. A herd, as behind a restart, is
taken in no order, so that those who share it don't stand in each other's way.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from .._log.store import Store
from .._log.trouble import Trouble
from .errands import Errands

_AT_ONCE: Final = 100

_EVERY: Final = 1.0
"""Seconds between two looks; less where leases are short."""


class Reaper:
    """Looks into one store.

    Args:
        store: where runs are.
        take: is called for a run that may be due, in a task of its own; not twice at a time.
        skip: says of which ones nothing is to be done now.
    """

    def __init__(
        self, store: Store, take: Callable[[str], Awaitable[None]], skip: Callable[[str], bool]
    ) -> None:
        self._store = store
        self._skip = skip
        self._errands = Errands(take, Trouble("run %s could not be taken over, or closed"))
        self._looking = Trouble("could not look for runs without a worker")

    def want(self, run_id: str) -> None:
        """Look at this run soon."""
        self._errands.want(run_id)

    async def run(self) -> None:
        """Look now, and again and again. Never returns."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._errands.run)
            while True:
                try:
                    await self._look()
                except Exception as exc:
                    self._looking.tell(exc)
                await trio.sleep(min(_EVERY, 0.3 * self._store.lease))

    async def _look(self) -> None:
        after = ""
        while found := await self._store.orphans(after, _AT_ONCE):
            after = found[-1]
            wanted = [run_id for run_id in found if not self._skip(run_id)]
            random.shuffle(wanted)
            for run_id in wanted:
                self._errands.want(run_id)
