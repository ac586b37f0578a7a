"""The live end of a log in this process: where subscriptions wait and are woken."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

import trio

from .log import PAGE_BYTES, Entry, first_page

_WINDOW: Final = 1024
"""Entries that a feed keeps at hand, within a page; who is further behind reads from the store."""

Frame: TypeAlias = Callable[[str, str, Sequence[Entry]], bytes]
"""Encodes entries for one wire, given the run's id and its log's epoch."""


class Feed:
    """The committed tail of one run's log, and everybody who waits for it to grow.

    It grows by `extend` and ends by `break_off` or with the terminal entry. A reader that wakes
    takes everything pending in one go, so that many readers cost one wake-up each per burst. When
    it is closed and nobody views it, only the terminal entry stays at hand.
    """

    def __init__(self, run_id: str, epoch: str, *, tail: int = 0, closed: bool = False) -> None:
        self.run_id: str = run_id
        self.epoch: str = epoch
        self.tail: int = tail
        """The offset of the last committed entry."""
        self.closed: bool = closed
        """Whether the terminal entry is committed."""
        self.failure: Exception | None = None
        """Why the feed broke off, if it did and has not grown since."""
        self.viewers: int = 0
        """Open subscriptions."""
        self.on_use: list[Callable[[Feed], None]] = []
        """Called whenever `in_use` or `viewers` may have changed."""
        self._holders = 0
        self._window: list[Entry] = []
        self._size = 0
        self._news = trio.Event()
        self._frames: dict[Frame, tuple[int, int, bytes]] = {}

    def extend(self, entries: Sequence[Entry]) -> None:
        """Add entries that the store has, and wake everybody."""
        self._window.extend(entries)
        for entry in entries:  # mostly one
            self._size += len(entry.data)
        if len(self._window) > 2 * _WINDOW or self._size > 2 * PAGE_BYTES:
            self._shrink(_WINDOW, PAGE_BYTES)
        last = entries[-1]
        self.tail = last.offset
        self.closed = last.terminal
        self.failure = None
        self.wake()
        if self.closed:
            self._rest()

    def skip(self, tail: int, *, closed: bool) -> None:
        """Learn how long the log is; readers take from the store what is not at hand."""
        self._window.clear()
        self._size = 0
        self.tail = tail
        self.closed = closed
        self.wake()

    def break_off(self, failure: Exception) -> None:
        """End the feed without a terminal entry: its readers get `trio.BrokenResourceError`."""
        if not self.closed and self.failure is None:
            self.failure = failure
            self.wake()

    def recent(self, after: int) -> Sequence[Entry]:
        """Return the entries behind the offset `after`; none if they are not at hand."""
        start = len(self._window) - (self.tail - after)
        entries = self._window[start : start + _WINDOW] if start >= 0 else []
        return entries if self._size <= PAGE_BYTES else first_page(entries)

    def _shrink(self, count: int, size: int) -> None:
        """Keep at most so many entries and bytes at hand, but the last one."""
        window = self._window
        gone = max(0, len(window) - count)
        self._size = sum([len(entry.data) for entry in window[gone:]])
        while self._size > size and gone < len(window) - 1:
            self._size -= len(window[gone].data)
            gone += 1
        if not self.viewers:
            for entry in window[:gone]:
                # A store may have it, too, and for longer than somebody needs what it means.
                entry.forget()
        del window[:gone]

    def _rest(self) -> None:
        """Free what nobody needs any more: a finished run may be kept for long."""
        if self.closed and not self.viewers:
            self._shrink(1, 0)
            self._frames.clear()

    async def changed(self) -> None:
        """Wait until the feed grows or breaks off. A checkpoint."""
        await self._news.wait()

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.closed or self.failure is not None

    @property
    def in_use(self) -> bool:
        """Whether anybody needs it to grow."""
        return self.viewers > 0 or self._holders > 0

    def add_viewers(self, change: int) -> None:
        """Count subscriptions that come and go."""
        self.viewers += change
        self._rest()
        self._tell_use()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Need it to grow, without being a viewer."""
        self._holders += 1
        self._tell_use()
        try:
            yield
        finally:
            self._holders -= 1
            self._tell_use()

    def _tell_use(self) -> None:
        for tell in self.on_use:
            tell(self)

    def frames(self, entries: Sequence[Entry], frame: Frame) -> bytes:
        """Return `frame(run_id, epoch, entries)`, made once for all readers at the same place."""
        first, last = entries[0].offset, entries[-1].offset
        made = self._frames.get(frame)
        if made is None or made[0] != first or made[1] != last:
            data = frame(self.run_id, self.epoch, entries)
            made = self._frames[frame] = (first, last, data)
        return made[2]

    def wake(self) -> None:
        """Let all waiting readers look again."""
        self._news.set()
        self._news = trio.Event()
