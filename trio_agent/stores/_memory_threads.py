"""The threads of a `MemoryStore`, in the order in which a run in them began or ended last."""

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from heapq import nlargest
from operator import attrgetter
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

    @property
    def cursor(self) -> ThreadCursor:
        return ThreadCursor(self.updated_at, self.name)

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
    """All threads of a store."""

    def __init__(self) -> None:
        self._threads: OrderedDict[_Key, _Thread] = OrderedDict()
        # Those of each owner, in the same order.
        self._of: dict[str | None, OrderedDict[str, _Thread]] = {}
        self.size: int = 0
        """Bytes of those in which no run is active."""

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
        if record.thread is None:
            return
        key = record.owner, record.thread
        thread = self._threads.get(key)
        if thread is None:
            thread = self._threads[key] = _Thread(*key)
            self._of.setdefault(record.owner, OrderedDict())[record.thread] = thread
        self.size -= thread.size
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
        self.size += thread.size
        if thread.turns:
            self._touch(thread)
        else:
            self.remove((record.owner, record.thread))

    def _touch(self, thread: _Thread) -> None:
        thread.updated_at = time.time_ns() // 1_000_000
        thread.idle_since = trio.current_time()
        self._threads.move_to_end((thread.owner, thread.name))
        self._of[thread.owner].move_to_end(thread.name)

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
        threads = self._of.get(owner, OrderedDict()).values()
        behind = (each for each in threads if before is None or each.cursor < before)
        return [each.info() for each in nlargest(limit, behind, key=attrgetter("cursor"))]

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
        threads = self._threads if owner is None else self._of.get(owner, OrderedDict())
        for thread in threads.values():
            if thread.active is None:
                yield Idle((thread.owner, thread.name), thread.idle_since, thread.size)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each owner's threads in which no run is active."""
        return {
            owner: sum(each.size for each in threads.values() if each.active is None)
            for owner, threads in self._of.items()
            if owner is not None
        }

    def remove(self, key: _Key) -> None:
        """Remove a thread that is idle, and all its turns.

        Raises:
            ThreadBusy: it is not.
            UnknownThread: there is none.
        """
        owner, name = key
        thread = self._get(owner, name)
        if thread.active is not None:
            raise ThreadBusy(name, thread.active)
        del self._threads[key]
        del self._of[owner][name]
        if not self._of[owner]:
            del self._of[owner]
        self.size -= thread.size


def _back(turns: dict[str, Turn], last: str | None) -> Iterator[Turn]:
    while last is not None:
        yield turns[last]
        last = turns[last].follows
