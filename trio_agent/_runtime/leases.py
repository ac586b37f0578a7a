"""Keeping the leases of the runs that are worked on here.

Who can't renew a lease for as long as it holds, by the own clock, has lost it: somebody else may
work on the run by then, and two must not act on the world for longer than they must.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

import trio

from .._errors import StoreUnavailable
from .._log.store import Store
from .._log.trouble import Trouble
from .._log.writer import RunLog

RENEWAL: Final = 0.3
"""Time between two renewals, in terms of what a lease holds."""


class Leases:
    """Those of a runtime.

    Args:
        store: where they are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._trouble = Trouble("leases could not be renewed")

    async def renew(self, held: Callable[[], Sequence[RunLog]]) -> None:
        """Renew those of the logs that `held` returns, again and again. Never returns."""
        renewed = trio.current_time()
        while True:
            await trio.sleep(RENEWAL * self._store.lease)
            logs = {log.lease: log for log in held()}
            began = trio.current_time()
            # A store that does not answer is no better than one that is away.
            lapse = max(renewed + self._store.lease, began + RENEWAL * self._store.lease)
            try:
                with trio.move_on_at(lapse if self._store.shared else math.inf) as scope:
                    lost = await self._store.renew(list(logs))
                if scope.cancelled_caught:
                    raise StoreUnavailable("the store does not answer")
                for lease in lost:
                    logs[lease].stop_as_lost()
                renewed = began
            except Exception as exc:
                self._trouble.tell(exc)
                if self._store.shared and trio.current_time() - renewed >= self._store.lease:
                    for log in logs.values():
                        log.stop_as_lost("its lease could not be renewed in time")
