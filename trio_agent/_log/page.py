"""Pages of a log as viewers get them: what can't be read ends in an error that they can see.

A viewer that is cut off comes back and asks again. Where the log is damaged, that would go on for
ever; so its reading ends there, with a terminal `error` that is in nobody's log.
"""

from typing import Protocol

from .._errors import LogDamaged
from .log import Entry, find_damage
from .store import Page


class Reader(Protocol):
    """Where entries are read: a store."""

    async def read(self, run_id: str, after: int, limit: int) -> Page:
        """Read at most `limit` entries behind the offset `after`."""


class ViewerPages:
    """Reads from a store for viewers."""

    def __init__(self, store: Reader) -> None:
        self._store = store

    async def read(self, run_id: str, after: int, limit: int) -> Page:
        """See `Store.read`, but for the stand-in at the end of what can be read. A checkpoint."""
        try:
            page = await self._store.read(run_id, after, limit)
        except LogDamaged:
            return Page([Entry.damaged(after + 1)], after + 1, closed=False)
        number = find_damage(page.entries)
        if number is None:
            return page
        damaged = Entry.damaged(page.entries[number].offset)
        return Page([*page.entries[:number], damaged], page.tail, page.closed)
