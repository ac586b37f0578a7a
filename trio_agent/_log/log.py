"""The log of one run: append-only, offsets from 1, nothing after the terminal event."""

import enum
from collections.abc import Sequence

import msgspec

from .._events import AnyEvent
from .codec import decode_event, encode_event


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

    @property
    def event(self) -> AnyEvent | None:
        """The event, or None if it is of a type that this version doesn't know."""
        if self._event is None:
            self._event = decode_event(self.data)
        return self._event

    def __repr__(self) -> str:
        return f"<Entry {self.offset} {self.data[:60]!r}>"


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


class Append:
    """Entries that follow each other, for one run, from the holder of `fence`."""

    __slots__ = ("entries", "fence", "first_offset", "last_offset", "run_id", "size", "terminal")

    def __init__(self, run_id: str, fence: int, entries: Sequence[Entry]) -> None:
        self.run_id: str = run_id
        self.fence: int = fence
        self.entries: Sequence[Entry] = entries
        self.size: int = sum([len(entry.data) for entry in entries])
        """Bytes of JSON."""
        last = entries[-1]
        self.first_offset: int = entries[0].offset
        """Where the entries go."""
        self.last_offset: int = last.offset
        """The log's tail when they are in."""
        self.terminal: bool = last.terminal
        """Whether the last of them closes the log."""

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

    __slots__ = ("closed", "entries", "fence", "size")

    def __init__(self, fence: int) -> None:
        self.fence = fence
        self.entries: list[Entry] = []
        self.size = 0
        """Bytes of JSON."""
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
        self.size += append.size
        self.closed = append.terminal
        return Appended.COMMITTED

    def after(self, offset: int, limit: int) -> Sequence[Entry]:
        """Return at most `limit` entries behind `offset`."""
        return self.entries[offset : offset + limit]
