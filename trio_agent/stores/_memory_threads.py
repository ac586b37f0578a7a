"""The threads of a `MemoryStore`."""

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import attrs
import trio

from .._errors import ThreadBusy, ThreadMoved, UnknownRun, UnknownThread
from .._log.run_info import RunRecord
from .._log.surplus import Idle
from .._log.thread import ThreadCursor, ThreadInfo, Turn, first_turns

_Key: TypeAlias = tuple[str | None, str]
"""Owner and name."""


@attrs.define
class _Thread:
    owner: str | None
    name: str
    head: str | None = None
    active: str | None = None
    turns: dict[str, Turn] = attrs.field(factory=dict)
    size: int = 0
    # By Trio's clock, and by that of the world.
    idle_since: float = 0
    updated_at: int = 0

    def info(self) -> ThreadInfo:
        return ThreadInfo(
            thread=self.name,
            owner=self.owner,
            head=self.head,
            active=self.active,
            turns=len(self.turns),
            size=self.size,
            updated_at=self.updated_at,
        )


class Threads:
    """Them."""

    def __init__(self) -> None:
        # In the order in which a run in them began or ended last.
        self._threads: OrderedDict[_Key, _Thread] = OrderedDict()
        self.size: int = 0
        """Bytes of all turns."""

    def check(self, record: RunRecord) -> None:
        """See that a run can begin.

        Raises:
            ThreadBusy, ThreadMoved: it can't.
        """
        if record.thread is None:
            return
        thread = self._threads.get((record.owner, record.thread))
        if thread is not None and thread.active is not None:
            raise ThreadBusy(record.thread, thread.active)
        head = None if thread is None else thread.head
        if head != record.head:
            raise ThreadMoved(f"the thread {record.thread!r} has the head {head!r} now")

    def begin(self, record: RunRecord) -> None:
        """A run that can begin does."""
        if record.thread is not None:
            key = record.owner, record.thread
            thread = self._threads.setdefault(key, _Thread(*key))
            thread.active = record.run_id
            self._touch(thread)

    def end(self, record: RunRecord, data: bytes) -> None:
        """A run has ended, and adds a turn if there are `data`."""
        if record.thread is None:
            return
        thread = self._threads[record.owner, record.thread]
        thread.active = None
        if data:
            thread.turns[record.run_id] = Turn(record.run_id, record.follows, data)
            thread.head = record.run_id
            thread.size += len(data)
            self.size += len(data)
        if thread.turns:
            self._touch(thread)
        else:
            del self._threads[record.owner, record.thread]

    def _touch(self, thread: _Thread) -> None:
        thread.idle_since = trio.current_time()
        thread.updated_at = time.time_ns() // 1_000_000
        self._threads.move_to_end((thread.owner, thread.name))

    def get(self, owner: str | None, name: str) -> ThreadInfo:
        """See `Store.thread`."""
        return self._get(owner, name).info()

    def _get(self, owner: str | None, name: str) -> _Thread:
        try:
            return self._threads[owner, name]
        except KeyError:
            raise UnknownThread(name) from None

    def list(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        """See `Store.threads`."""
        infos = [each.info() for each in self._threads.values() if each.owner == owner]
        infos.sort(key=lambda info: info.cursor, reverse=True)
        return [info for info in infos if before is None or info.cursor < before][:limit]

    def turns(self, owner: str | None, name: str, last: str, limit: int) -> Sequence[Turn]:
        """See `Store.turns`."""
        turns = self._get(owner, name).turns
        if last not in turns:
            raise UnknownRun(last)
        return first_turns(_back(turns, last), limit)

    def idle(self, owner: str | None = None) -> Iterator[Idle[_Key]]:
        """Return those in which no run is active (one owner's, or all), the oldest first.

        The key is for `remove`.
        """
        for key, thread in self._threads.items():
            if thread.active is None and owner in (None, thread.owner):
                yield Idle(key, thread.idle_since, thread.size)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each owner's turns."""
        sizes: dict[str, int] = {}
        for (owner, _), thread in self._threads.items():
            if owner is not None:
                sizes[owner] = sizes.get(owner, 0) + thread.size
        return sizes

    def remove(self, key: _Key) -> None:
        """Remove a thread that is idle, and all its turns.

        Raises:
            ThreadBusy: it is not.
            UnknownThread: there is none.
        """
        thread = self._get(*key)
        if thread.active is not None:
            raise ThreadBusy(thread.name, thread.active)
        del self._threads[key]
        self.size -= thread.size


def _back(turns: dict[str, Turn], last: str | None) -> Iterator[Turn]:
    while last is not None:
        yield turns[last]
        last = turns[last].follows
