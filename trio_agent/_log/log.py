"""The log of one run: append-only, offsets from 1, nothing after the terminal event."""

import enum
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import add, attrgetter
from typing import Final

import msgspec

from .._events import AnyEvent, ErrorDetail, RunError
from .codec import EventInvalid, decode_event, encode_event

PAGE_BYTES: Final = 1 << 20
"""What is read from a store at once, whoever asks."""

_DAMAGED: Final = RunError(
    at=0,
    error=ErrorDetail(
        "log-damaged", "from here on this log can't be read: it is damaged, or of a newer version"
    ),
)


class Entry(msgspec.Struct, eq=False, gc=False):
    """An event at its place in the log, encoded once and decoded at most once."""

    # Millions of them may be kept, none in a cycle: the garbage collector need not look at them.

    offset: int
    data: bytes
    """The event's JSON."""
    terminal: bool
    _event: AnyEvent | None = None

    @classmethod
    def of(cls, offset: int, event: AnyEvent) -> "Entry":
        """Make the entry of an event."""
        return cls(offset, encode_event(event), event.terminal, event)

    @classmethod
    def damaged(cls, offset: int) -> "Entry":
        """Make what readers get where the log can't be read: an `error` that ends their reading."""
        return cls.of(offset, _DAMAGED)

    @property
    def event(self) -> AnyEvent | None:
        """The event, or None if it is of a type that this version doesn't know.

        A terminal one that can't be read or isn't known is an `error` with the code `log-damaged`.

        Raises:
            EventInvalid: it is not terminal and can't be read.
        """
        if self._event is None:
            try:
                event = self._decode()
            except EventInvalid:
                if not self.terminal:
                    raise
                event = None
            if self.terminal and not (event is not None and event.terminal):
                event = _DAMAGED
            self._event = event
        return self._event

    @property
    def readable(self) -> bool:
        """Whether it may be shown: one line of JSON, an event as far as its type is known."""
        try:
            return self.event is not _DAMAGED
        except EventInvalid:
            return False

    def forget(self) -> None:
        """Free the decoded event; who asks for it again decodes it again."""
        self._event = None

    def _decode(self) -> AnyEvent | None:
        # As `encode_event` writes it, and as every wire relies on.
        if not self.data.startswith(b"{") or b"\n" in self.data or b"\r" in self.data:
            raise EventInvalid("not an event: not one line of JSON")
        event = decode_event(self.data)
        if event is None:
            try:
                self.data.decode()
            except UnicodeDecodeError:
                raise EventInvalid("not an event: not UTF-8") from None
        return event

    def __repr__(self) -> str:
        return f"<Entry {self.offset} {self.data[:60]!r}>"


_DECODED = attrgetter("_event")


class Appended(enum.Enum):
    """What came of an `Append`. Only `COMMITTED` changed anything, or found it done before."""

    COMMITTED = "committed"
    FENCED = "fenced"
    """Somebody else holds the run now."""
    CLOSED = "closed"
    """The log has its terminal event."""
    GAP = "gap"
    """The entries don't follow the tail."""
    UNKNOWN = "unknown"
    """There is no such log."""


_NOTHING: Final[Mapping[int, bytes]] = {}


class Append:
    """Entries that follow each other, for one run, from the holder of `fence`.

    Args:
        run_id: the run.
        fence: the number of the holder's claim.
        entries: what to append.
        private: bytes beside some of the entries, by offset: committed with them, and only for
            whoever works on the run. Those of other offsets are left out.
        turn: what the run adds to its thread, beside its terminal event; nothing if it adds none.
    """

    __slots__ = (
        "entries",
        "fence",
        "first_offset",
        "last_offset",
        "private",
        "run_id",
        "size",
        "terminal",
        "turn",
    )

    def __init__(
        self,
        run_id: str,
        fence: int,
        entries: Sequence[Entry],
        private: Mapping[int, bytes] = _NOTHING,
        turn: bytes = b"",
    ) -> None:
        self.run_id: str = run_id
        self.fence: int = fence
        self.entries: Sequence[Entry] = entries
        self.size: int = sum([len(entry.data) for entry in entries])
        """Bytes of JSON, and of what is private; without the turn, which is its thread's."""
        last = entries[-1]
        self.first_offset: int = entries[0].offset
        """Where the entries go."""
        self.last_offset: int = last.offset
        """The log's tail when they are in."""
        self.terminal: bool = last.terminal
        """Whether the last of them closes the log."""
        self.turn: bytes = turn if last.terminal else b""
        """JSON: what its thread gets."""
        self.private: Mapping[int, bytes] = _NOTHING
        """What is private, by offset."""
        if private:
            offsets = range(self.first_offset, self.last_offset + 1)
            self.private = {n: data for n, data in private.items() if n in offsets}
            self.size += sum(map(len, self.private.values()))

    def __repr__(self) -> str:
        return f"<Append to {self.run_id}: {self.first_offset} to {self.last_offset}>"

    def check(self, *, fence: int, tail: int, closed: bool) -> Appended | None:
        """Say what comes of it in a log like this; None if it is to be written."""
        if self.fence != fence:
            return Appended.FENCED
        if self.last_offset <= tail:
            return Appended.COMMITTED
        if closed:
            return Appended.CLOSED
        if self.first_offset != tail + 1:
            return Appended.GAP
        return None


class Log:
    """One run's entries in memory. All checks of an append are one act."""

    __slots__ = ("closed", "entries", "fence", "private", "size")

    def __init__(self, fence: int, *, size: int = 0) -> None:
        self.fence = fence
        self.entries: list[Entry] = []
        self.private: dict[int, bytes] = {}
        """What is kept beside some entries, by offset."""
        self.size = size
        """Bytes of JSON, of what is private, and of what is kept beside it from the start."""
        self.closed = False

    @property
    def tail(self) -> int:
        """The offset of the last entry, 0 if there is none."""
        return len(self.entries)

    def append(self, append: Append) -> Appended:
        """Check fence, tail and not-terminal, then append; a repetition is a success."""
        outcome = append.check(fence=self.fence, tail=self.tail, closed=self.closed)
        if outcome is not None:
            return outcome
        self.entries.extend(append.entries)
        if append.private:
            self.private.update(append.private)
        self.size += append.size
        self.closed = append.terminal
        return Appended.COMMITTED

    def after(self, offset: int, limit: int) -> Sequence[Entry]:
        """Return at most `limit` entries behind `offset`, and no more than a page."""
        entries = self.entries[offset : offset + limit]
        return entries if self.size <= PAGE_BYTES else first_page(entries)


def first_page(
    entries: Sequence[Entry],
    max_bytes: int = PAGE_BYTES,
    private: Mapping[int, bytes] = _NOTHING,
) -> Sequence[Entry]:
    """Return the first of these, as many as are no more than `max_bytes`, but at least one.

    By default they are no more than `PAGE_BYTES`. What is `private`, by offset, counts, too.
    """
    sizes = [len(entry.data) for entry in entries]
    if private:
        beside = [len(private.get(entry.offset, b"")) for entry in entries]
        sizes = list(map(add, sizes, beside))
    if sum(sizes) <= max_bytes:
        return entries
    number = bisect_right(list(accumulate(sizes)), max_bytes)
    return entries[: max(1, number)]


def find_damage(entries: Sequence[Entry]) -> int | None:
    """Return the index of the first entry that may not be shown; None if all may."""
    # What was decoded before may be shown, but for a terminal one that could not be.
    if all(map(_DECODED, entries)) and not (entries and entries[-1].terminal):
        return None
    return next((n for n, entry in enumerate(entries) if not entry.readable), None)
