"""A subscription reads a log from a cursor and then follows it live."""

from collections import deque
from collections.abc import Sequence
from typing import Final, Self

import attrs
import trio

from .._errors import CursorExpired, CursorInvalid, StoreUnavailable, UnknownRun
from .._events import AnyEvent
from .cursor import Cursor
from .feed import Feed, Frame
from .log import Entry
from .page import Reader

_PAGE: Final = 1024


@attrs.frozen
class SubscriptionStatistics:
    """Where a subscription stands."""

    cursor: Cursor
    """Everything up to here was received."""
    behind: int
    """Committed events that were not received yet."""


class Subscription(trio.abc.ReceiveChannel[AnyEvent]):
    """Yields the events of one run: what is in the log already, then what comes.

    Replay and live are the same thing here, so nothing is lost or repeated between them. It
    costs O(1) memory however slow you are, and you never slow the run or its other readers.

    The channel ends behind the terminal event, and only there. If the log can't be continued,
    receiving raises `trio.BrokenResourceError`; never take an end you didn't see for success.
    """

    def __init__(self, feed: Feed, store: Reader, after: int) -> None:
        self._feed = feed
        self._store = store
        self._offset = after
        self._unread: deque[Entry] = deque()
        self._over = False
        self._closed = False
        self._receiving = False
        feed.add_viewers(+1)

    @property
    def cursor(self) -> Cursor:
        """Everything up to here was received; subscribe after it to go on from here."""
        offset = self._unread[0].offset - 1 if self._unread else self._offset
        return Cursor(self._feed.run_id, self._feed.epoch, offset)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come into the log; there may be something to receive yet."""
        return self._over or self._feed.ended

    async def receive_entries(self) -> Sequence[Entry]:
        """Return everything pending as log entries, at least one. What servers send.

        A checkpoint. If cancelled, nothing was taken.

        Raises:
            trio.EndOfChannel: the terminal event was received before.
            trio.BrokenResourceError: the log can't be continued.
            trio.BusyResourceError: another task is receiving.
            trio.ClosedResourceError: this subscription is closed.
            CursorExpired: the log was removed meanwhile.
        """
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving from this subscription")
        self._receiving = True
        try:
            if self._is_idle():
                await self._feed.changed()
            else:
                await trio.lowlevel.checkpoint()
            while self._is_idle():
                await self._feed.changed()
            entries = self._at_hand() or await self._read_store()
            self._unread.clear()
            last = entries[-1]
            self._offset, self._over = last.offset, last.terminal
            return entries
        finally:
            self._receiving = False

    def _is_idle(self) -> bool:
        """Whether there is nothing to return or to raise yet."""
        feed = self._feed
        return not (
            self._offset < feed.tail or self._unread or self._closed or self._over or feed.ended
        )

    def _at_hand(self) -> Sequence[Entry]:
        """Return what is pending without taking it; nothing if it has to be read."""
        feed = self._feed
        if self._closed:
            raise trio.ClosedResourceError("this subscription is closed")
        if self._unread:
            return list(self._unread)
        if self._over:
            raise trio.EndOfChannel
        if self._offset < feed.tail:
            return feed.recent(self._offset)
        if feed.closed:
            raise trio.EndOfChannel
        raise trio.BrokenResourceError("the log can't be continued") from feed.failure

    async def _read_store(self) -> Sequence[Entry]:
        try:
            page = await self._store.read(self._feed.run_id, self._offset, _PAGE)
        except StoreUnavailable as exc:
            raise trio.BrokenResourceError("the log can't be read") from exc
        except UnknownRun as exc:
            raise CursorExpired("the log was removed") from exc
        if not page.entries:
            raise trio.BrokenResourceError("the store has lost the end of the log")
        return page.entries

    async def receive_batch(self) -> list[AnyEvent]:
        """Return everything pending, at least one event, with one checkpoint.

        Raises:
            As `receive_entries`.
        """
        while True:
            entries = await self.receive_entries()
            if batch := [event for entry in entries if (event := entry.event) is not None]:
                return batch

    async def receive(self) -> AnyEvent:
        """Return the next event.

        Raises:
            As `receive_entries`.
        """
        while True:
            if self._unread and not (self._receiving or self._closed):
                await trio.lowlevel.checkpoint_if_cancelled()
                entry = self._unread.popleft()
                await trio.lowlevel.cancel_shielded_checkpoint()
            else:
                self._unread.extend(await self.receive_entries())
                entry = self._unread.popleft()
            if entry.event is not None:
                return entry.event

    async def receive_frames(self, frame: Frame) -> bytes:
        """Return everything pending as the bytes of one wire, at least one event.

        `frame` is called once for all subscriptions that are at the same place.

        Raises:
            As `receive_entries`.
        """
        entries, feed = await self.receive_entries(), self._feed
        if self._over and self._offset != feed.tail:
            # Not what is at this place in the log.
            return frame(feed.run_id, feed.epoch, entries)
        return feed.frames(entries, frame)

    async def aclose(self) -> None:
        """Close the subscription; a task that is receiving gets `trio.ClosedResourceError`."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close the subscription without a checkpoint."""
        if not self._closed:
            self._closed = True
            self._feed.add_viewers(-1)
            if self._receiving:
                self._feed.wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def statistics(self) -> SubscriptionStatistics:
        """Tell where this subscription stands."""
        cursor = self.cursor
        return SubscriptionStatistics(cursor, self._feed.tail - cursor.offset)


def resolve_cursor(feed: Feed, after: Cursor | str | int) -> int:
    """Return the offset that `after` means in this log.

    Raises:
        CursorInvalid: no cursor, a negative number, or the cursor of another run.
        CursorExpired: the cursor of another epoch, or beyond the tail.
    """
    if isinstance(after, int):
        if after < 0:
            raise CursorInvalid("a position is 0 (from the start) or the offset of an event")
        offset = after
    else:
        cursor = Cursor.parse(after) if isinstance(after, str) else after
        if cursor.run_id != feed.run_id:
            raise CursorInvalid("this is the cursor of another run")
        if cursor.epoch != feed.epoch:
            raise CursorExpired("this cursor is from before the log was lost")
        offset = cursor.offset
    if offset > feed.tail:
        raise CursorExpired("this cursor is beyond the end of the log")
    return offset
