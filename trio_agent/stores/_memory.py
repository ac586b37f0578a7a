"""The store that keeps logs in this process's memory."""

import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from heapq import nsmallest
from itertools import islice
from math import inf
from typing import Final

import attrs
import trio

from .._errors import CursorExpired, LimitExceeded, UnknownBlob, UnknownRun, UnknownThread
from .._limits import Retention
from .._log.inbox import Delivered, Delivery, check_inbox, first_deliveries
from .._log.log import Append, Appended, Log
from .._log.run_info import RunInfo, RunRecord, first_runs
from .._log.store import Created, Lease, Page, Store, Watch, first_privates
from .._log.surplus import Idle, surplus
from .._log.thread import ThreadCursor, ThreadInfo, Turn
from ._memory_run import MemoryRun
from ._memory_threads import Threads
from ._watch import NewsWatch

_TOMBSTONES: Final = 10_000


class MemoryStore(Store):
    """Keeps logs in memory: nothing survives the process, nothing ever waits for I/O.

    Args:
        lease: seconds that a claim holds without being renewed.
    """

    def __init__(self, *, lease: float = 10.0) -> None:
        self._lease = lease
        self._runs: dict[str, MemoryRun] = {}
        # All but those that are finished, and those that sleep until somebody wakes them.
        self._wakeful: dict[str, MemoryRun] = {}
        self._by_key: dict[tuple[str | None, str | None], str] = {}
        # Finished runs in the order in which they finished, which is the order of removal.
        self._finished: OrderedDict[str, MemoryRun] = OrderedDict()
        self._finished_size = 0
        self._threads = Threads()
        self._removed: OrderedDict[str, None] = OrderedDict()
        self._watches: set[NewsWatch] = set()

    @property
    def lease(self) -> float:
        return self._lease

    async def create(self, record: RunRecord) -> Created:
        await trio.lowlevel.checkpoint()
        if (known := self._lookup(record)) is not None:
            return Created(known, None)
        if record.run_id in self._runs:
            raise LimitExceeded(f"the id {record.run_id!r} is taken")
        self._threads.check(record)
        self._threads.begin(record)
        if record.idempotency_key is not None:
            self._by_key[record.owner, record.idempotency_key] = record.run_id
        log = Log(1, size=record.size)
        log.private[0] = record.private
        run = MemoryRun(record.told(), log, dict(record.blobs), self._lease_end())
        self._runs[record.run_id] = self._wakeful[record.run_id] = run
        return Created(record.run_id, Lease(record.run_id, 1))

    async def lookup(self, record: RunRecord) -> str | None:
        await trio.lowlevel.checkpoint()
        return self._lookup(record)

    def _lookup(self, record: RunRecord) -> str | None:
        known = self._by_key.get((record.owner, record.idempotency_key))
        if known is not None:
            record.check_repeats(self._runs[known].record.digest)
        return known

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        await trio.lowlevel.checkpoint()
        return self.append_nowait(batch)

    def append_nowait(self, batch: Sequence[Append]) -> Sequence[Appended]:
        return list(map(self._append, batch))

    def _append(self, append: Append) -> Appended:
        run = self._runs.get(append.run_id)
        if run is None:
            return Appended.UNKNOWN
        outcome = run.log.append(append)
        if run.log.closed and run.finished_at is None:
            run.finished_at = trio.current_time()
            self._finished[append.run_id] = run
            del self._wakeful[append.run_id]
            self._finished_size += run.log.size
            self._threads.end(run.record, append.turn)
        if outcome is Appended.COMMITTED:
            self._changed(append.run_id, log=True)
        return outcome

    async def read(self, run_id: str, after: int, limit: int) -> Page:
        await trio.lowlevel.checkpoint()
        log = self._get(run_id).log
        return Page(log.after(after, limit), log.tail, log.closed)

    async def read_private(self, run_id: str, offsets: Sequence[int]) -> Sequence[bytes]:
        await trio.lowlevel.checkpoint()
        private = self._get(run_id).log.private
        return first_privates(private.get(offset, b"") for offset in offsets)

    async def read_blob(self, run_id: str, digest: str) -> bytes:
        await trio.lowlevel.checkpoint()
        try:
            return self._get(run_id).blobs[digest]
        except KeyError:
            raise UnknownBlob(run_id, digest) from None

    async def info(self, run_id: str) -> RunInfo:
        await trio.lowlevel.checkpoint()
        return self._get(run_id).info()

    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        await trio.lowlevel.checkpoint()
        runs: Iterator[MemoryRun] = reversed(self._runs.values())
        if before is not None:
            self._get(before)
            for run in runs:
                if run.record.run_id == before:
                    break
        if thread is not None:
            runs = (run for run in runs if run.record.in_thread(owner, thread))
        elif owner is not None:
            runs = (run for run in runs if run.record.owner == owner)
        return first_runs((run.info() for run in runs), limit)

    async def thread(self, owner: str | None, thread: str) -> ThreadInfo:
        await trio.lowlevel.checkpoint()
        return self._threads.get(owner, thread)

    async def threads(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        await trio.lowlevel.checkpoint()
        return self._threads.list(owner, before, limit)

    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        await trio.lowlevel.checkpoint()
        return self._threads.turns(owner, thread, last, limit)

    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        runs = [i for i, run in self._finished.items() if run.record.in_thread(owner, thread)]
        try:
            self._threads.remove((owner, thread))
        except UnknownThread:
            if not runs:
                raise
        for run_id in runs:
            self._remove(run_id)
        return runs

    async def claim(self, run_id: str) -> Lease | None:
        await trio.lowlevel.checkpoint()
        run = self._get(run_id)
        if run.log.closed or run.leased_until > trio.current_time():
            return None
        run.log.fence += 1
        run.leased_until = self._lease_end()
        lease = Lease(run_id, run.log.fence, handed_over=run.handed_over)
        run.parked = run.handed_over = False
        self._changed(run_id)
        return lease

    async def renew(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        await trio.lowlevel.checkpoint()
        lost: list[Lease] = []
        for lease in leases:
            run = self._holding(lease)
            if run is None or run.handed_over:
                lost.append(lease)
            else:
                run.leased_until = self._lease_end()
        return lost

    async def release(self, lease: Lease) -> None:
        await trio.lowlevel.checkpoint()
        run = self._holding(lease)
        if run is not None:
            run.leased_until = trio.current_time()
            run.handed_over = True
            self._changed(lease.run_id)

    async def renew_epoch(self, lease: Lease, epoch: str) -> Appended:
        await trio.lowlevel.checkpoint()
        run = self._runs.get(lease.run_id)
        if run is None:
            return Appended.UNKNOWN
        if run.log.fence != lease.fence:
            return Appended.FENCED
        if run.log.closed:
            return Appended.CLOSED
        run.record = attrs.evolve(run.record, epoch=epoch)
        self._changed(lease.run_id)
        return Appended.COMMITTED

    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        await trio.lowlevel.checkpoint()
        run = self._holding(lease)
        if run is None or run.log.closed:
            return False
        if run.cancel_reason is not None or len(run.inbox) != seen:
            return False
        run.log.fence += 1
        run.parked = run.handed_over = True
        if seconds is None:
            run.leased_until = inf
            del self._wakeful[lease.run_id]
        else:
            run.leased_until = trio.current_time() + seconds
        self._changed(lease.run_id)
        return True

    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        await trio.lowlevel.checkpoint()
        run = self._get(run_id)
        known = run.inbox.get(key)
        if known is not None and known.data == data:
            return Delivered.DELIVERED
        if run.log.closed:
            return Delivered.CLOSED
        if known is not None:
            return Delivered.TAKEN
        check_inbox(len(run.inbox), run.inbox_size, data)
        run.inbox[key] = Delivery(len(run.inbox) + 1, key, data)
        run.inbox_size += len(data)
        run.log.size += len(data)
        self._wake(run_id)
        return Delivered.DELIVERED

    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        await trio.lowlevel.checkpoint()
        return first_deliveries(islice(self._get(run_id).inbox.values(), after, None), limit)

    async def orphans(self, after: str, limit: int) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        runs = self._wakeful.items()
        return nsmallest(limit, (i for i, run in runs if i > after and run.leased_until <= now))

    async def request_cancel(self, run_id: str, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        run = self._get(run_id)
        if run.cancel_reason is None and not run.log.closed:
            run.cancel_reason = reason
            self._wake(run_id)

    def _wake(self, run_id: str) -> None:
        run = self._runs[run_id]
        if run.parked:
            run.leased_until = min(run.leased_until, trio.current_time())
            self._wakeful[run_id] = run
        self._changed(run_id)

    async def set_viewers(self, run_id: str, worker: str, count: int) -> None:
        await trio.lowlevel.checkpoint()
        run = self._get(run_id)
        run.viewers[worker] = (count, self._lease_end())
        if not count:
            del run.viewers[worker]
        self._changed(run_id)

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[Watch]:
        await trio.lowlevel.checkpoint()
        watch = NewsWatch()
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)
            watch.close()

    async def delete(self, run_id: str) -> None:
        await trio.lowlevel.checkpoint()
        if not self._get(run_id).log.closed:
            raise LimitExceeded("the run is active: cancel it first")
        self._remove(run_id)

    async def expire(self, retention: Retention) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        size = self._finished_size + self._threads.size
        removed = self._expire(None, retention, size)
        if retention.owner_bytes != math.inf:
            sizes = self._threads.sizes()
            for run in self._finished.values():
                if (owner := run.record.owner) is not None:
                    sizes[owner] = sizes.get(owner, 0) + run.log.size
            for owner, size in sizes.items():
                if size > retention.owner_bytes:
                    removed += self._expire(owner, retention.of_each_owner(), size)
        return removed

    def _expire(self, owner: str | None, retention: Retention, size: int) -> list[str]:
        """Remove what of an owner's, or of all, is not kept; returns the runs."""
        runs, threads = surplus(
            self._idle(owner),
            self._threads.idle(owner),
            retention,
            now=trio.current_time(),
            count=len(self._finished),
            size=size,
        )
        for run_id in runs:
            self._remove(run_id)
        for key in threads:
            self._threads.remove(key)
        return runs

    def _idle(self, owner: str | None) -> Iterator[Idle[str]]:
        for run_id, run in self._finished.items():
            assert run.finished_at is not None, "it has ended"
            if owner in (None, run.record.owner):
                yield Idle(run_id, run.finished_at, run.log.size)

    def _get(self, run_id: str) -> MemoryRun:
        try:
            return self._runs[run_id]
        except KeyError:
            if run_id in self._removed:
                raise CursorExpired(f"the log of run {run_id!r} was removed") from None
            raise UnknownRun(run_id) from None

    def _holding(self, lease: Lease) -> MemoryRun | None:
        run = self._runs.get(lease.run_id)
        return run if run is not None and run.log.fence == lease.fence else None

    def _remove(self, run_id: str) -> None:
        run = self._runs.pop(run_id)
        del self._finished[run_id]
        self._finished_size -= run.log.size
        self._by_key.pop((run.record.owner, run.record.idempotency_key), None)
        self._removed[run_id] = None
        if len(self._removed) > _TOMBSTONES:
            self._removed.popitem(last=False)
        self._changed(run_id)

    def _changed(self, run_id: str, *, log: bool = False) -> None:
        for watch in self._watches:
            watch.notify(run_id, log=log)

    def _lease_end(self) -> float:
        return trio.current_time() + self._lease

    def statistics(self) -> "MemoryStoreStatistics":
        """Count what is kept."""
        return MemoryStoreStatistics(
            runs=len(self._runs),
            finished=len(self._finished),
            size=sum(run.log.size for run in self._runs.values()),
        )


@attrs.frozen
class MemoryStoreStatistics:
    """What a `MemoryStore` keeps."""

    runs: int
    """All of them."""
    finished: int
    """Those of them that have ended."""
    size: int
    """Bytes of all logs, and of what is kept beside them."""
