"""What the store tells this process: the logs of other workers' runs, and news of its own."""

import logging
from collections.abc import Callable
from typing import Final

import trio

from ._errors import CursorExpired, StoreUnavailable, TrioAgentError, UnknownRun
from ._feed import Feed
from ._store import RunInfo, Store, Watch

logger = logging.getLogger("trio_agent")

_PAGE: Final = 1024
_AGAIN: Final = 1.0
"""Seconds until the store is asked again if it was away."""


class Follower:
    """Keeps the feeds of other workers' runs up to date, and tells our runs what is new.

    Args:
        store: what is followed.
        watch: a watch of the store that nobody else uses.
        on_own_news: is told what the store knows of one of our runs now.
    """

    def __init__(self, store: Store, watch: Watch, on_own_news: Callable[[RunInfo], None]) -> None:
        self._store = store
        self._watch = watch
        self._on_own_news = on_own_news
        self._own: set[str] = set()
        self._feeds: dict[str, Feed] = {}

    def add_own(self, run_id: str) -> None:
        """Follow the news of a run that lives here, but for its log."""
        self._own.add(run_id)
        self._watch.add(run_id, log=False)

    def discard_own(self, run_id: str) -> None:
        """Follow them no longer."""
        self._own.discard(run_id)
        self._watch.discard(run_id)

    def feed(self, info: RunInfo) -> Feed:
        """Return the feed of a run that lives elsewhere. It grows while it is in use."""
        run_id = info.record.run_id
        if run_id in self._feeds:
            return self._feeds[run_id]
        feed = Feed(run_id, info.record.epoch, tail=info.tail, closed=not info.active)
        if info.active:
            feed.on_use.append(self._use_changed)
        return feed

    def _use_changed(self, feed: Feed) -> None:
        if not feed.in_use:
            self._drop(feed)
        elif feed.run_id not in self._feeds and not feed.ended:
            self._feeds[feed.run_id] = feed
            self._watch.add(feed.run_id)

    def _drop(self, feed: Feed) -> None:
        if self._feeds.get(feed.run_id) is feed:
            del self._feeds[feed.run_id]
            self._watch.discard(feed.run_id)

    async def run(self) -> None:
        """Follow what is to be followed. Never returns."""
        while True:
            run_id = await self._watch.receive()
            try:
                if (feed := self._feeds.get(run_id)) is not None:
                    await self._extend(feed)
                if run_id in self._own:
                    self._on_own_news(await self._store.info(run_id))
            except StoreUnavailable as exc:
                logger.warning("news of run %s could not be read: %s", run_id, exc)
                await trio.sleep(_AGAIN)
                self._look_again(run_id)
            except (UnknownRun, CursorExpired) as exc:
                self._end(run_id, exc)

    def _look_again(self, run_id: str) -> None:
        if run_id in self._feeds:
            self._watch.add(run_id)
        elif run_id in self._own:
            self._watch.add(run_id, log=False)

    def _end(self, run_id: str, failure: TrioAgentError) -> None:
        if (feed := self._feeds.get(run_id)) is not None:
            self._drop(feed)
            feed.break_off(failure)

    async def _extend(self, feed: Feed) -> None:
        page = await self._store.read(feed.run_id, feed.tail, _PAGE)
        grown = bool(page.entries)
        while page.entries:
            feed.extend(page.entries)
            page = await self._store.read(feed.run_id, feed.tail, _PAGE)
        if feed.closed:
            self._drop(feed)
        elif not grown:
            info = await self._store.info(feed.run_id)
            if info.record.epoch != feed.epoch:
                self._end(feed.run_id, CursorExpired("the end of this log was lost"))
