"""News of runs in an SQLite file, those that other processes make among them."""

from collections.abc import Mapping
from typing import Final

import trio

from ..._errors import StoreUnavailable
from .._watch import NewsWatch
from ._acts import Mark, poll_changes
from ._connection import Connection

_POLL: Final = 0.05
"""Seconds between two looks: SQLite tells nobody of a change, so it must be asked."""


class PolledWatch(NewsWatch):
    """A `Watch` that is told by its store what this process does, and looks for the rest."""

    def __init__(self) -> None:
        super().__init__()
        self._added = trio.Event()

    def add(self, run_id: str, *, log: bool = True) -> None:
        """Watch this run, too; see `Watch.add`."""
        super().add(run_id, log=log)
        self._added.set()

    async def poll(self, connection: Connection, seen: int | None) -> None:
        """Look for changes that came after `seen`, while something is watched. Never returns."""
        known: Mapping[str, Mark | None] = {}
        while True:
            if not self.watched:
                self._added = trio.Event()
                await self._added.wait()
            await trio.sleep(_POLL)
            try:
                seen, marks = await connection.read(poll_changes, seen, self.watched)
            except StoreUnavailable:
                # What is missed meanwhile is told when the store is back.
                seen, known = None, {}
                continue
            if marks is not None:
                self._compare(known, marks)
                known = marks

    def _compare(self, known: Mapping[str, Mark | None], marks: Mapping[str, Mark | None]) -> None:
        for run_id, mark in marks.items():
            # A run that was added since the last change may have changed since it was looked at.
            if run_id not in known or mark != known[run_id]:
                before = known.get(run_id)
                longer = before is not None and mark is not None and before[0] == mark[0]
                self.notify(run_id, log=longer)
