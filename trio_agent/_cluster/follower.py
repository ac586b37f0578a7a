"""What the store tells this process: the logs of other workers' runs, and news of its own."""

from collections.abc import Awaitable, Callable
from typing import Final
from weakref import WeakValueDictionary

import trio

from .._errors import CursorExpired, StoreUnavailable, UnknownRun
from .._log.feed import Feed
from .._log.page import ViewerPages
from .._log.run_info import RunInfo
from .._log.store import Store, Watch
from .._log.trouble import Trouble
from .errands import Errands

_PAGE: Final = 1024
_LOST: Final = "the end of this log was lost"
_AGAIN: Final = 1.0
"""Seconds until a watch that failed is asked again."""


class Follower:
    """Keeps the feeds of other workers' runs up to date, and tells our runs what is new.

    Args:
        store: what is followed.
        watch: a watch of the store that nobody else uses.
        on_own_news: is called when there is news of one of our runs.
    """

    def __init__(
        self, store: Store, watch: Watch, on_own_news: Callable[[str], Awaitable[None]]
    ) -> None:
        self._store = store
        self._pages = ViewerPages(store)
        self._watch = watch
        self._on_own_news = on_own_news
        self._own: set[str] = set()
        # One for all who look a run up, for as long as one of them has it.
        self._known: WeakValueDictionary[str, Feed] = WeakValueDictionary()
        self._growing: dict[str, Feed] = {}
        self._errands = Errands(self._look, Trouble("news of run %s could not be read"))
        self._deaf = Trouble("no news could be received")

    def add_own(self, run_id: str) -> None:
        """Follow the news of a run that lives here, but for its log. Again: look again."""
        self._own.add(run_id)
        self._watch_or_not(run_id)

    def discard_own(self, run_id: str) -> None:
        """Follow them no longer."""
        self._own.discard(run_id)
        self._watch_or_not(run_id)

    def feed(self, info: RunInfo) -> Feed:
        """Return the feed of a run that lives elsewhere. It grows while it is in use."""
        run_id, epoch = info.record.run_id, info.record.epoch
        feed = self._known.get(run_id)
        if feed is not None and feed.epoch != epoch:
            # Who still reads it can't go on, and it must not grow in the place of the new one.
            self._drop(feed)
            feed.break_off(CursorExpired(_LOST))
        if feed is None or feed.failure is not None or feed.epoch != epoch:
            feed = self._known[run_id] = Feed(run_id, epoch)
            feed.on_use.append(self._use_changed)
        if feed.tail < info.tail:
            feed.skip(info.tail, closed=not info.active)
            self._use_changed(feed)
        return feed

    def take(self, info: RunInfo, tail: int) -> Feed:
        """Return the feed of a run that is to live here, with a log of this length.

        Who reads it here reads on: it grows no more by itself.
        """
        feed = self.feed(info)
        self._drop(feed)
        feed.on_use.remove(self._use_changed)
        del self._known[feed.run_id]
        feed.skip(tail, closed=False)
        return feed

    def give(self, feed: Feed) -> None:
        """Follow a run that lives here no more, for those who read its feed."""
        self._known[feed.run_id] = feed
        feed.on_use.append(self._use_changed)
        self._use_changed(feed)

    async def catch_up(self, run_id: str) -> None:
        """Let the feed of a run that lives elsewhere have all that the store has. A checkpoint.

        Raises:
            As `Store.read`.
        """
        feed = self._known.get(run_id)
        if feed is not None:
            await self._read_on(feed)

    def _use_changed(self, feed: Feed) -> None:
        if feed.in_use and not feed.ended:
            if self._growing.get(feed.run_id) is not feed:
                self._growing[feed.run_id] = feed
                self._watch_or_not(feed.run_id)
        else:
            self._drop(feed)

    def _drop(self, feed: Feed) -> None:
        if self._growing.get(feed.run_id) is feed:
            del self._growing[feed.run_id]
            self._watch_or_not(feed.run_id)

    def _watch_or_not(self, run_id: str) -> None:
        """Watch of a run what is to be watched, if anything; what is, is yielded once at first."""
        if run_id in self._growing:
            self._watch.add(run_id)
        elif run_id in self._own:
            self._watch.add(run_id, log=False)
        else:
            self._watch.discard(run_id)

    async def run(self) -> None:
        """Follow what is to be followed. Never returns."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._errands.run)
            while True:
                try:
                    self._errands.want(await self._watch.receive())
                except Exception as exc:
                    self._deaf.tell(exc)
                    await trio.sleep(_AGAIN)

    async def _look(self, run_id: str) -> None:
        try:
            if (feed := self._growing.get(run_id)) is not None:
                await self._extend(feed)
            if run_id in self._own:
                await self._on_own_news(run_id)
        except (UnknownRun, CursorExpired) as exc:
            self._end(run_id, exc)

    def _end(self, run_id: str, failure: Exception) -> None:
        if (feed := self._growing.get(run_id)) is not None:
            self._drop(feed)
            feed.break_off(failure)

    async def _extend(self, feed: Feed) -> None:
        try:
            await self._read_on(feed)
        except (UnknownRun, CursorExpired, StoreUnavailable):
            raise
        except Exception as exc:
            # Its readers would wait for ever for what can't be read.
            self._end(feed.run_id, exc)
            raise

    async def _read_on(self, feed: Feed) -> None:
        while not feed.ended:
            after = feed.tail
            page = await self._pages.read(feed.run_id, after, _PAGE)
            if page.closed or not page.entries:
                # Behind an end that was lost come only closing events, under a new epoch.
                info = await self._store.info(feed.run_id)
                if info.record.epoch != feed.epoch:
                    self._end(feed.run_id, CursorExpired(_LOST))
                    return
            if self._use_changed not in feed.on_use:
                return  # it was taken meanwhile: who works on the run adds to it
            if feed.tail != after:
                continue  # it was looked up meanwhile
            if not page.entries:
                if page.tail > after:
                    self._end(feed.run_id, CursorExpired(_LOST))
                return
            feed.extend(page.entries)
        self._drop(feed)
