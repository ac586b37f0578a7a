"""The store that keeps logs in an SQLite file, where they survive the process."""

import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Final

import attrs
import trio

from ..._errors import StoreUnavailable
from ..._limits import Retention
from ..._log.inbox import Delivered, Delivery
from ..._log.log import Append, Appended
from ..._log.run_info import RunInfo, RunRecord
from ..._log.store import Created, Lease, Page, Store, Watch
from ..._log.thread import ThreadCursor, ThreadInfo, Turn
from ..._nursery import open_plain_nursery
from . import (
    _acts as acts,
    _beside as beside,
    _claims as claims,
    _inbox as inbox,
    _removal as removal,
    _threads as threads,
)
from ._connection import Connection
from ._lock import boot_id, is_served, serving
from ._schema import check_tables, migrate, transaction
from ._watch import PolledWatch

_PRESENCE: Final = 10.0
"""Seconds that a count of viewers holds: unlike a claim, it may be of a process without a lock."""

_SPARE: Final = 16 << 20
"""Bytes that the write-ahead log may keep when all of it is in the database."""


class SQLiteStore(Store):
    """Keeps logs in one SQLite file: what is committed survives the death of the process.

    One server at a time works with the file. It holds a lock on `path` + ``.lock`` that ends
    with its process, so claims end with it, too, and not with time. Other processes of this
    machine open the file with `follow`.

    Commits are not forced to the disk one by one (``synchronous=NORMAL``): if the *machine* dies,
    the newest may be lost, but for those of a run that is parked, and for deliveries. On Linux,
    which tells one life of a machine from the next, logs that were being written then have a new
    epoch, so that no cursor misleads, and are torn. The space of removed logs is used again, but
    the file never shrinks.

    Args:
        path: the file, which is made (for your eyes only) if there is none.
        follow: only read, list, watch, count viewers, deliver and ask for cancels, beside a server
            or without one. All else raises `StoreUnavailable`.

    Raises:
        ValueError: the path is ``:memory:``.
    """

    def __init__(self, path: str | os.PathLike[str], *, follow: bool = False) -> None:
        if os.fspath(path) == ":memory:":
            raise ValueError("SQLiteStore keeps logs in a file: for memory there is MemoryStore()")
        self._path = Path(path).absolute()
        self._follow = follow
        # Two connections, so that reading doesn't wait for commits.
        self._writer = Connection(self._path)
        self._reader = Connection(self._path)
        self._watches: set[PolledWatch] = set()

    @property
    def durable(self) -> bool:
        return True

    @asynccontextmanager
    async def open(self) -> AsyncIterator["SQLiteStore"]:
        """Open the file for as long as the context lasts. A checkpoint.

        Raises:
            StoreUnavailable: it can't be opened or made, it is no database or another program's,
                another server has it, or it needs a newer trio-agent.
        """
        with nullcontext() if self._follow else serving(self._path):
            async with self._writer.open(self._prepare), self._reader.open(_only_read):
                yield self

    def _prepare(self, db: sqlite3.Connection) -> None:
        if self._follow:
            check_tables(db, self._path)
        else:
            migrate(db, self._path)
            with transaction(db, "BEGIN IMMEDIATE"):
                claims.take_over(db, boot_id())
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA journal_size_limit = {_SPARE}")

    def _served(self) -> Connection:
        if self._follow:
            raise StoreUnavailable("the store is open to look on: only its server can do this")
        return self._writer

    async def create(self, record: RunRecord) -> Created:
        return await self._served().write(acts.create, record)

    async def lookup(self, record: RunRecord) -> str | None:
        return await self._reader.read(acts.lookup, record)

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        outcomes = await self._served().write(acts.append, batch)
        for append, outcome in zip(batch, outcomes, strict=True):
            if outcome is Appended.COMMITTED:
                self._changed(append.run_id, log=True)
        return outcomes

    async def read(self, run_id: str, after: int, limit: int) -> Page:
        return await self._reader.read(acts.read, run_id, after, limit)

    async def read_private(self, run_id: str, offsets: Sequence[int]) -> Sequence[bytes]:
        return await self._reader.read(beside.read_private, run_id, offsets)

    async def read_blob(self, run_id: str, digest: str) -> bytes:
        return await self._reader.read(beside.read_blob, run_id, digest)

    async def info(self, run_id: str) -> RunInfo:
        [info] = self._alive([await self._reader.read(acts.info, run_id)])
        return info

    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        return self._alive(await self._reader.read(acts.find, owner, before, limit, thread))

    def _alive(self, infos: Sequence[RunInfo]) -> Sequence[RunInfo]:
        """Claims end with their server, though the file tells of it when the next one comes."""
        if not self._follow or not any(info.leased for info in infos) or is_served(self._path):
            return infos
        return [attrs.evolve(info, leased=False) for info in infos]

    async def thread(self, owner: str | None, thread: str) -> ThreadInfo:
        return await self._reader.read(threads.get, owner, thread)

    async def threads(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        return await self._reader.read(threads.threads, owner, before, limit)

    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        return await self._reader.read(threads.turns, owner, thread, last, limit)

    async def claim(self, run_id: str) -> Lease | None:
        # Forced: if the machine dies, who was parked would else seem to sleep, whatever it did.
        lease = await self._served().force(claims.claim, run_id)
        if lease is not None:
            self._changed(run_id)
        return lease

    async def renew(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        return await self._reader.read(claims.lost, leases)

    async def release(self, lease: Lease) -> None:
        if await self._served().write(claims.release, lease):
            self._changed(lease.run_id)

    async def renew_epoch(self, lease: Lease, epoch: str) -> Appended:
        outcome = await self._served().write(claims.renew_epoch, lease, epoch)
        if outcome is Appended.COMMITTED:
            self._changed(lease.run_id)
        return outcome

    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        parked = await self._served().force(claims.park, lease, seen, seconds)
        if parked:
            self._changed(lease.run_id)
        return parked

    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        outcome = await self._writer.force(inbox.deliver, run_id, key, data)
        if outcome is Delivered.DELIVERED:
            self._changed(run_id)
        return outcome

    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        return await self._reader.read(inbox.inbox, run_id, after, limit)

    async def orphans(self, after: str, limit: int) -> Sequence[str]:
        return await self._reader.read(claims.orphans, after, limit)

    async def request_cancel(self, run_id: str, reason: str) -> None:
        if await self._writer.write(claims.request_cancel, run_id, reason):
            self._changed(run_id)

    async def set_viewers(self, run_id: str, worker: str, count: int) -> None:
        if await self._writer.write(claims.set_viewers, run_id, worker, count, _PRESENCE):
            self._changed(run_id)

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[Watch]:
        # What others change is seen on the connection that makes our own changes, and only there.
        seen, _ = await self._writer.read(acts.poll_changes, None, ())
        watch = PolledWatch()
        self._watches.add(watch)
        try:
            async with open_plain_nursery() as nursery:
                nursery.start_soon(watch.poll, self._writer, seen)
                yield watch
                nursery.cancel_scope.cancel(reason="the watch is closed")
        finally:
            self._watches.discard(watch)
            watch.close()

    async def check(self) -> None:
        await self._served().probe()

    async def delete(self, run_id: str) -> None:
        await self._served().write(removal.delete, run_id)
        await self._removed([run_id])

    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        return await self._removed(await self._served().write(removal.delete_thread, owner, thread))

    async def expire(self, retention: Retention) -> Sequence[str]:
        if self._follow:
            await trio.lowlevel.checkpoint()
            return []  # Its server removes what is due.
        return await self._removed(await self._writer.write(removal.expire, retention))

    async def _removed(self, run_ids: Sequence[str]) -> Sequence[str]:
        for run_id in run_ids:
            self._changed(run_id)
        await self._sweep()
        return run_ids

    async def _sweep(self) -> None:
        # Piece by piece, with the commits of others in between. If it is cut off, what is left
        # can't be seen any more, and the next one goes on.
        while await self._writer.write(removal.sweep):
            pass

    def _changed(self, run_id: str, *, log: bool = False) -> None:
        for watch in self._watches:
            watch.notify(run_id, log=log)

    def statistics(self) -> "SQLiteStoreStatistics":
        """Count who waits."""
        return SQLiteStoreStatistics(
            writes=self._writer.waiting, reads=self._reader.waiting, watches=len(self._watches)
        )


@attrs.frozen
class SQLiteStoreStatistics:
    """How busy a `SQLiteStore` is in this process."""

    writes: int
    """Operations that wait for their transaction."""
    reads: int
    """Operations that wait for the connection that reads."""
    watches: int
    """Open watches."""


def _only_read(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA query_only = ON")
