"""The writing ends of logs, and who commits what is pending: a lane for each part of a store.

What one part of a store can't take holds up the runs of no other part.
"""

from collections.abc import Callable, Hashable, Sequence
from itertools import count
from typing import Final

import trio

from .._errors import FenceLost, LimitExceeded, StoreUnavailable
from .._events import AnyEvent
from .feed import Feed
from .lane import Lane
from .log import Append, Appended, Entry, first_page
from .store import Lease, Store

_BACKLOG: Final = 1 << 18
"""Bytes that a run may have uncommitted before it waits for the store."""


class Writer:
    """Commits what the logs of a runtime have pending.

    Args:
        patience: seconds that a log waits for a store that is away before its readers and its
            run are told. The writer itself keeps trying.
    """

    def __init__(self, store: Store, *, patience: float) -> None:
        self._store = store
        self._patience = patience
        self._lanes: dict[Hashable, Lane] = {}
        self._new: list[Lane] = []
        self._closing = False
        self._waiting = trio.lowlevel.ParkingLot()

    def lane(self, run_id: str) -> Lane:
        """Return the lane on which a run's log is committed."""
        part = self._store.partition(run_id)
        lane = self._lanes.get(part)
        if lane is None:
            lane = self._lanes[part] = Lane(self._store, patience=self._patience)
            self._new.append(lane)
            self._waiting.unpark()
        return lane

    def close(self) -> None:
        """Let `run` return when everything that was submitted is committed."""
        self._closing = True
        self._waiting.unpark()
        for lane in self._lanes.values():
            lane.close()

    async def run(self) -> None:
        """Commit until closed."""
        async with trio.open_nursery() as nursery:
            while self._new or not self._closing:
                # Not where they are asked for: who does so first is nobody to inherit from.
                while self._new:
                    nursery.start_soon(self._new.pop().run)
                if not self._closing:
                    await self._waiting.park()


class RunLog:
    """The writing end of one run's log.

    `append` never waits; `room` and `flush` do. An entry reaches the feed when the store has it.
    """

    def __init__(
        self,
        feed: Feed,
        store: Store,
        lease: Lease,
        writer: Writer,
        *,
        max_bytes: int,
        size: int = 0,
    ) -> None:
        self.feed: Feed = feed
        self.lease: Lease = lease
        self.queued: bool = False
        """Whether the lane was told of pending entries and has not looked yet."""
        self.uncommitted: int = 0
        """Bytes that the store does not have yet."""
        self.cut_short: bool = False
        """Whether the store lost entries that it had acknowledged."""
        self.letting_go: bool = False
        """Whether its holder is about to let go of it, so that it is not lost with its lease."""
        self.on_lost: Callable[[], None] | None = None
        """Called when the log was lost to another worker."""
        self.turn_of_run: Callable[[], bytes] | None = None
        """Makes what the run adds to its thread, when the terminal event is appended."""
        self._store = store
        self._lane = writer.lane(lease.run_id)
        self._taken = False
        self._max_bytes = max_bytes
        self._tail = feed.tail
        self._size = size
        self._pending: list[Entry] = []
        # What is private beside pending entries, by offset.
        self._private: dict[int, bytes] = {}
        self._turn = b""
        # Offsets behind which an append must not be cut.
        self._joined: set[int] = set()
        self._failure: StoreUnavailable | FenceLost | None = None
        self._waiting = trio.lowlevel.ParkingLot()

    @property
    def tail(self) -> int:
        """The offset of the last entry, committed or not."""
        return self._tail

    @property
    def free(self) -> int:
        """Bytes that fit still."""
        return self._max_bytes - self._size

    def append(
        self, events: Sequence[AnyEvent], *, bounded: bool = False, private: bytes = b""
    ) -> None:
        """Append events at the tail.

        Only what comes from outside needs to be `bounded`: the others are few, or repeat at
        most once what is in the log, so that there is always room to close it properly. The others
        are committed together, or not yet: who reads the log later must not find an answer without
        its calls.

        Args:
            events: what happened.
            bounded: whether they may be refused, and committed in pieces.
            private: what is kept beside the first of them, and committed with it.

        Raises:
            LimitExceeded: bounded events don't fit; none of them was appended.
        """
        if isinstance(self._failure, FenceLost):
            return
        entries = list(map(Entry.of, count(self._tail + 1), events))
        beside = {self._tail + 1: private} if private else {}
        if entries[-1].terminal and self.turn_of_run is not None:
            self._turn = self.turn_of_run()
        append = Append(self.lease.run_id, self.lease.fence, entries, beside, self._turn)
        size = append.size
        if bounded and size > self.free:
            raise LimitExceeded(f"the run's log has reached its bound of {self._max_bytes} bytes")
        self._size += size
        self._tail += len(entries)
        if self._tail - len(entries) == self.feed.tail:
            try:
                [outcome] = self._store.append_nowait([append])
            except (trio.WouldBlock, StoreUnavailable):
                pass
            else:
                self._publish(entries, outcome)
                return
        self._pending += entries
        if beside:
            self._private |= beside
        if not bounded and len(entries) > 1:
            self._joined.update(entry.offset for entry in entries[:-1])
        self.uncommitted += size
        self._lane.submit(self, hurry=any(event.prompt_commit for event in events))

    def take(self, limit: int) -> Append | None:
        """Hand what is pending to the lane, about `limit` bytes of it; then it must `release`."""
        self.queued = False
        if self._taken or not self._pending:
            return None
        self._taken = True
        pending, self._pending = self._pending, []
        entries: Sequence[Entry] = pending
        if self.uncommitted > limit:
            entries = self.first(pending, len(first_page(pending, limit, self._private)))
            self._pending = pending[len(entries) :]
        append = Append(self.lease.run_id, self.lease.fence, entries, self._private, self._turn)
        for offset in append.private:
            del self._private[offset]
        return append

    def first(self, entries: Sequence[Entry], count: int) -> Sequence[Entry]:
        """Return the first of these: no more than `count`, but at least what belongs together."""
        end = count
        while end and entries[end - 1].offset in self._joined:
            end -= 1
        if not end:
            end = count
            while entries[end - 1].offset in self._joined:
                end += 1
        return entries[:end]

    def release(self) -> None:
        """The lane is done with what it took, and can take more."""
        self._taken = False
        if self._pending and not self.queued:
            self._lane.submit(self, hurry=True)

    def on_outcome(self, append: Append, outcome: Appended) -> None:
        """The lane says what came of what it took."""
        self.uncommitted -= append.size
        if self._joined:
            self._joined.difference_update(range(append.first_offset, append.last_offset))
        self._publish(append.entries, outcome)
        self._waiting.unpark_all()

    def on_stall(self, failure: StoreUnavailable) -> None:
        """The lane says that the store has been away for too long."""
        if not isinstance(self._failure, FenceLost):
            self._fail(failure)

    def stop_as_lost(self, why: str = "another worker has the run") -> None:
        """The log is somebody else's now: append nothing any more."""
        if self.feed.closed or self.letting_go:
            return
        self._pending.clear()
        self._private.clear()
        self._fail(FenceLost(f"run {self.feed.run_id}: {why}"))
        if self.on_lost is not None:
            self.on_lost()

    def _publish(self, entries: Sequence[Entry], outcome: Appended) -> None:
        if isinstance(self._failure, FenceLost):
            return
        if outcome is Appended.COMMITTED:
            self._failure = None
            self.feed.extend(entries)
        else:
            self.cut_short = outcome is Appended.GAP
            self.stop_as_lost(f"the log is {outcome.value}")

    def _fail(self, failure: StoreUnavailable | FenceLost) -> None:
        self._failure = failure
        self.feed.break_off(failure)
        self._waiting.unpark_all()

    @property
    def has_room(self) -> bool:
        """Whether `room` would return at once."""
        return self.uncommitted <= _BACKLOG and self._failure is None

    async def room(self) -> None:
        """Wait while too much is uncommitted. A checkpoint only then.

        Raises:
            StoreUnavailable: the store has been away for too long.
            FenceLost: another worker has the run.
        """
        while self.uncommitted > _BACKLOG:
            self._raise_failure()
            await self._waiting.park()
        self._raise_failure()

    async def flush(self) -> None:
        """Wait until everything that was appended so far is committed. A checkpoint.

        Raises:
            As `room`.
        """
        await trio.lowlevel.checkpoint()
        target = self._tail
        if self.feed.tail < target:
            self._lane.submit(self, hurry=True)
        while self.feed.tail < target:
            self._raise_failure()
            await self._waiting.park()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            # A new one each time: several tasks may raise it, each with its own traceback.
            raise type(self._failure)(*self._failure.args) from self._failure
