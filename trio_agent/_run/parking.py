"""Putting a run to sleep, whatever becomes of the way to its store."""

from typing import Final

import trio

from .._errors import StoreUnavailable
from .._log.store import Lease, Store
from .._log.trouble import Trouble

_AGAIN: Final = 1.0
"""Seconds until a store that is away is asked again."""


async def fall_asleep(store: Store, lease: Lease, seen: int, seconds: float | None) -> bool:
    """Park a run; see `Store.park`. A checkpoint; it waits while the store is away.

    Raises:
        UnknownRun, CursorExpired: there is no such run, or no more.
    """
    trouble = Trouble("run %s could not be put to sleep")
    while True:
        try:
            if await store.park(lease, seen, seconds):
                return True
            # It may have been done, and the way back was lost.
            info = await store.info(lease.run_id)
            return info.parked and info.fence == lease.fence + 1
        except StoreUnavailable as exc:
            trouble.tell(exc, lease.run_id)
            await trio.sleep(_AGAIN)
