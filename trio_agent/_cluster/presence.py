"""What this process tells its store: who watches a run here, and who wants one cancelled."""

from collections.abc import Callable
from contextlib import suppress

from .._errors import CursorExpired, UnknownRun
from .._log.feed import Feed
from .._log.store import Store
from .._log.trouble import Trouble
from .errands import Errands


class Presence:
    """Tells the store, in tasks of its own, what was said without waiting.

    Args:
        store: what is told.
        worker: names this process among those that share the store.
        on_cancel: is told of which run the store knows now that it is to be cancelled.
    """

    def __init__(
        self, store: Store, worker: str, on_cancel: Callable[[str], None] = lambda _: None
    ) -> None:
        self._store = store
        self._worker = worker
        self._on_cancel = on_cancel
        self._changed: dict[str, Feed] = {}
        self._present: dict[str, tuple[Feed, int]] = {}
        self._cancels: dict[str, str] = {}
        self._leaving = False
        trouble = Trouble("the store could not be told who watches run %s")
        self._errands = Errands(self._tell, trouble)

    def viewers_changed(self, feed: Feed) -> None:
        """Tell soon how many watch this run here."""
        if feed.viewers != self.known_viewers(feed.run_id) and not self._leaving:
            self._changed[feed.run_id] = feed
            self._errands.want(feed.run_id)

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
        self._errands.want(run_id)

    def refresh(self) -> None:
        """Tell of everybody again, before the store forgets them."""
        if self._leaving:
            return
        for run_id, (feed, _) in self._present.items():
            self._changed[run_id] = feed
            self._errands.want(run_id)

    async def run(self) -> None:
        """Tell what there is to tell. Never returns."""
        await self._errands.run()

    # What is told is taken off only then, so that nothing is lost while the store is away.

    async def _tell(self, run_id: str) -> None:
        if (reason := self._cancels.get(run_id)) is not None:
            with suppress(UnknownRun, CursorExpired):  # it is gone, as was wished
                await self._store.request_cancel(run_id, reason)
            del self._cancels[run_id]
            self._on_cancel(run_id)
        while (feed := self._changed.get(run_id)) is not None:
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
