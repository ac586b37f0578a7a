"""What this process tells its store: who watches a run here, and who wants one cancelled."""

import logging
from contextlib import suppress
from typing import Final

import trio

from .._errors import CursorExpired, StoreUnavailable, UnknownRun
from .._log.feed import Feed
from .._log.store import Store

logger = logging.getLogger("trio_agent")

_AGAIN: Final = 1.0
"""Seconds until the store is told again if it was away."""


class Presence:
    """Tells the store, in a task of its own, what was said without waiting.

    Args:
        store: what is told.
        worker: names this process among those that share the store.
    """

    def __init__(self, store: Store, worker: str) -> None:
        self._store = store
        self._worker = worker
        self._changed: dict[str, Feed] = {}
        self._present: dict[str, tuple[Feed, int]] = {}
        self._cancels: dict[str, str] = {}
        self._leaving = False
        self._waiting = trio.lowlevel.ParkingLot()

    def viewers_changed(self, feed: Feed) -> None:
        """Tell soon how many watch this run here."""
        if feed.viewers != self.known_viewers(feed.run_id) and not self._leaving:
            self._changed[feed.run_id] = feed
            self._waiting.unpark()

    def leave(self) -> None:
        """Tell no more who watches here, because they are sent elsewhere.

        What was told lapses by itself; until then, nobody seems to have left.
        """
        self._leaving = True
        self._changed.clear()
        self._present.clear()

    def known_viewers(self, run_id: str) -> int:
        """Return how many viewers here the store knows of, at least."""
        return self._present[run_id][1] if run_id in self._present else 0

    def request_cancel(self, run_id: str, reason: str) -> None:
        """Tell soon that a run of another worker is to be cancelled; the first reason stays."""
        self._cancels.setdefault(run_id, reason)
        self._waiting.unpark()

    def refresh(self) -> None:
        """Tell of everybody again, before the store forgets them."""
        if self._leaving:
            return
        self._changed |= {run_id: feed for run_id, (feed, _) in self._present.items()}
        self._waiting.unpark()

    async def run(self) -> None:
        """Tell what there is to tell. Never returns."""
        while True:
            while not (self._changed or self._cancels):
                await self._waiting.park()
            try:
                await self._tell_cancels()
                await self._tell_viewers()
            except StoreUnavailable as exc:
                logger.warning("the store could not be told who watches: %s", exc)
                await trio.sleep(_AGAIN)

    # What is told is taken off only then, so that nothing is lost while the store is away.

    async def _tell_cancels(self) -> None:
        while self._cancels:
            run_id, reason = next(iter(self._cancels.items()))
            with suppress(UnknownRun, CursorExpired):  # it is gone, as was wished
                await self._store.request_cancel(run_id, reason)
            del self._cancels[run_id]

    async def _tell_viewers(self) -> None:
        while self._changed:
            run_id, feed = next(iter(self._changed.items()))
            count = feed.viewers
            self._remember(feed, min(count, self.known_viewers(run_id)))
            try:
                await self._store.set_viewers(run_id, self._worker, count)
                self._remember(feed, count)
            except (UnknownRun, CursorExpired):
                self._remember(feed, 0)
            if feed.viewers == count:
                self._changed.pop(run_id, None)

    def _remember(self, feed: Feed, count: int) -> None:
        if count:
            self._present[feed.run_id] = (feed, count)
        else:
            self._present.pop(feed.run_id, None)
