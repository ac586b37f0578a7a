"""Keeping the leases of the runs that are worked on here.

Who can't renew a lease for as long as it holds, by the own clock, has lost it: somebody else may
work on the run by then, and two must not act on the world for longer than they must.
"""

from collections.abc import Callable, Sequence
from typing import Final

import trio

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
            try:
                for lease in await self._store.renew(list(logs)):
                    logs[lease].stop_as_lost()
                renewed = began
            except Exception as exc:
                self._trouble.tell(exc)
                if self._store.shared and trio.current_time() - renewed > self._store.lease:
                    for log in logs.values():
                        log.stop_as_lost("its lease could not be renewed in time")
