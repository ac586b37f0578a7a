"""From runs into the store: one task commits what all runs have pending, in groups."""

import math
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

import trio

from .._errors import FenceLost, LimitExceeded, StoreUnavailable
from .._events import AnyEvent
from .feed import Feed
from .log import Append, Appended, Entry
from .store import Lease, Store

_COMPANY: Final = 0.005
"""Seconds that deltas may wait for more, so that one commit takes them all."""

_BACKLOG: Final = 1 << 18
"""Bytes that a run may have uncommitted before it waits for the store."""

_RETRY: Final = (0.05, 2.0)
"""Seconds before a failed commit is repeated: the first time, and at most."""


class Writer:
    """Commits what the logs of a runtime have pending.

    Args:
        patience: seconds that a log waits for a store that is away before its readers and its
            run are told. The writer itself keeps trying.
    """

    def __init__(self, store: Store, *, patience: float) -> None:
        self._store = store
        self._patience = patience
        # Unbounded because it can't grow: a log is in it at most once, and logs are bounded.
        self._logs, self._submitted = trio.open_memory_channel[RunLog](math.inf)
        self._hurry = trio.Event()

    def submit(self, log: "RunLog", *, hurry: bool) -> None:
        """Commit this log's pending entries soon, or, if `hurry`, at once."""
        if not log.queued:
            log.queued = True
            self._logs.send_nowait(log)
        if hurry:
            self._hurry.set()

    def close(self) -> None:
        """Let `run` return when everything that was submitted is committed."""
        self._logs.close()
        self._hurry.set()

    async def run(self) -> None:
        """Commit until closed."""
        with self._submitted:
            async for log in self._submitted:
                with trio.move_on_after(_COMPANY):
                    await self._hurry.wait()
                logs = [log, *self._also_submitted()]
                while logs:
                    logs = await self._commit(logs)

    def _also_submitted(self) -> list["RunLog"]:
        # What a closed writer holds is still in the channel, and its hurry never ends.
        if self._logs.statistics().open_send_channels:
            self._hurry = trio.Event()
        also: list[RunLog] = []
        while True:
            try:
                also.append(self._submitted.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                return also

    async def _commit(self, logs: list["RunLog"]) -> list["RunLog"]:
        """Commit what is pending in these logs; return those that came while the store was away."""
        behind: list[RunLog] = []
        taken = [(log, append) for log in logs if (append := log.take()) is not None]
        if not taken:
            return behind
        batch = [append for _, append in taken]
        started = trio.current_time()
        delay, longest = _RETRY
        outcomes: Sequence[Appended] | None = None
        while outcomes is None:
            try:
                outcomes = await self._store.append(batch)
            except StoreUnavailable as exc:
                behind += self._also_submitted()
                if trio.current_time() - started >= self._patience:
                    for log in [*(log for log, _ in taken), *behind]:
                        log.on_stall(exc)
                await trio.sleep(delay)
                delay = min(2 * delay, longest)
        for (log, append), outcome in zip(taken, outcomes, strict=True):
            log.on_outcome(append.entries, outcome)
        return behind


class RunLog:
    """The writing end of one run's log.

    `append` never waits; `room` and `flush` do. An entry reaches the feed when the store has it.
    """

    def __init__(
        self, feed: Feed, store: Store, lease: Lease, writer: Writer, *, max_bytes: int
    ) -> None:
        self.feed: Feed = feed
        self.lease: Lease = lease
        self.queued: bool = False
        """Whether the writer was told of pending entries and has not taken them yet."""
        self.cut_short: bool = False
        """Whether the store lost entries that it had acknowledged."""
        self.on_lost: Callable[[], None] | None = None
        """Called when the log was lost to another worker."""
        self._store = store
        self._writer = writer
        self._max_bytes = max_bytes
        self._tail = feed.tail
        self._size = 0
        self._pending: list[Entry] = []
        self._uncommitted = 0
        self._failure: StoreUnavailable | FenceLost | None = None
        self._waiting = trio.lowlevel.ParkingLot()

    @property
    def free(self) -> int:
        """Bytes that fit still."""
        return self._max_bytes - self._size

    def append(self, events: Sequence[AnyEvent], *, bounded: bool = False) -> None:
        """Append events at the tail.

        Only what comes from outside needs to be `bounded`: the others are few, or repeat at
        most once what is in the log, so that there is always room to close it properly.

        Raises:
            LimitExceeded: bounded events don't fit; none of them was appended.
        """
        if isinstance(self._failure, FenceLost):
            return
        entries = list(map(Entry.of, count(self._tail + 1), events))
        append = Append(self.lease.run_id, self.lease.fence, entries)
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
        self._uncommitted += size
        self._writer.submit(self, hurry=any(event.prompt_commit for event in events))

    def take(self) -> Append | None:
        """Hand what is pending to the writer."""
        self.queued = False
        entries, self._pending = self._pending, []
        return Append(self.lease.run_id, self.lease.fence, entries) if entries else None

    def on_outcome(self, entries: Sequence[Entry], outcome: Appended) -> None:
        """The writer says what came of entries that it took."""
        self._uncommitted -= sum(len(entry.data) for entry in entries)
        self._publish(entries, outcome)
        self._waiting.unpark_all()

    def on_stall(self, failure: StoreUnavailable) -> None:
        """The writer says that the store has been away for too long."""
        if not isinstance(self._failure, FenceLost):
            self._fail(failure)

    def stop_as_lost(self, why: str = "another worker has the run") -> None:
        """The log is somebody else's now: append nothing any more."""
        if self.feed.closed:
            return
        self._pending.clear()
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
        return self._uncommitted <= _BACKLOG and self._failure is None

    async def room(self) -> None:
        """Wait while too much is uncommitted. A checkpoint only then.

        Raises:
            StoreUnavailable: the store has been away for too long.
            FenceLost: another worker has the run.
        """
        while self._uncommitted > _BACKLOG:
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
            self._writer.submit(self, hurry=True)
        while self.feed.tail < target:
            self._raise_failure()
            await self._waiting.park()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            # A new one each time: several tasks may raise it, each with its own traceback.
            raise type(self._failure)(*self._failure.args) from self._failure
