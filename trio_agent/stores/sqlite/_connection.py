"""A connection to an SQLite file that is used in worker threads only.

What SQLite can't do is said in a sentence of ours, without the path: it may be told to strangers.
Only who opens the file reads where it is.
"""

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Final, TypeVar, TypeVarTuple

import trio

from ..._errors import StoreUnavailable
from ._place import FULL, Place
from ._rows import text
from ._schema import transaction

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_BUSY: Final = 5.0
"""Seconds that an act waits for one of another process, its turn here included."""

_TURN: Final = 0.1
"""Seconds that waiting for its turn may take without being counted."""

_CLOSING: Final = 30.0
"""Seconds that closing waits for acts that are still going on."""

_PROBE: Final = 1.0
"""Seconds that a probe waits for its turn, and as many for an act of another process."""

_BUSY_ELSEWHERE: Final = "the database is locked by another process"
_DAMAGED: Final = "the database is damaged: restore a back-up"
_SENTENCES: Final = {
    sqlite3.SQLITE_BUSY: _BUSY_ELSEWHERE,
    sqlite3.SQLITE_LOCKED: _BUSY_ELSEWHERE,
    sqlite3.SQLITE_READONLY: "the database may only be read",
    sqlite3.SQLITE_IOERR: "the disk failed",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_CANTOPEN: "the database can't be opened",
    sqlite3.SQLITE_NOTADB: "the file is no database, or a damaged one",
}
"""By the primary result code (https://sqlite.org/rescode.html)."""

_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises; its messages repeat what they found, which may be no UTF-8."""


class Connection:
    """Performs acts, which are sync functions of a `sqlite3.Connection`, one after the other.

    An act that has begun is finished, whoever is cancelled meanwhile: it is done or not done.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: tuple[sqlite3.Connection, Place] | None = None
        self._limiter = trio.CapacityLimiter(1)
        self._write_failed = False

    @property
    def waiting(self) -> int:
        """Acts that wait for their turn."""
        return self._limiter.statistics().tasks_waiting

    @asynccontextmanager
    async def open(self, prepare: Callable[[sqlite3.Connection], None]) -> AsyncIterator[None]:
        """Be connected for as long as the context lasts; `prepare` comes before all acts.

        Raises:
            StoreUnavailable: the file can't be opened, or `prepare` refuses it.
        """
        await trio.to_thread.run_sync(self._connect, prepare, limiter=self._limiter)
        try:
            yield
        finally:
            # This may take a while: who leaves last moves the WAL into the database.
            with trio.move_on_after(_CLOSING, shield=True):
                await trio.to_thread.run_sync(self._close, limiter=self._limiter)

    async def write(self, act: Callable[[sqlite3.Connection, *Ts], T], *args: *Ts) -> T:
        """Perform an act in one transaction. A checkpoint.

        Raises:
            StoreUnavailable: SQLite can't do it, or the file is gone; nothing was changed.
        """
        return await self._perform("BEGIN IMMEDIATE", act, *args)

    async def force(self, act: Callable[[sqlite3.Connection, *Ts], T], *args: *Ts) -> T:
        """Like `write`; what was committed up to then survives the death of the machine, too."""
        return await self._perform("BEGIN IMMEDIATE", act, *args, forced=True)

    async def probe(self) -> None:
        """See whether an act that writes would be done, soon. A checkpoint.

        Raises:
            StoreUnavailable: it would not.
        """
        with trio.move_on_after(_PROBE) as scope:
            await trio.to_thread.run_sync(self._probe, limiter=self._limiter)
        if scope.cancelled_caught:
            raise StoreUnavailable("the database is busy")

    async def read(self, act: Callable[[sqlite3.Connection, *Ts], T], *args: *Ts) -> T:
        """Perform an act on one state of the database. A checkpoint.

        Raises:
            StoreUnavailable: SQLite can't do it.
        """
        return await self._perform("BEGIN", act, *args)

    async def _perform(
        self,
        begin: str,
        act: Callable[[sqlite3.Connection, *Ts], T],
        *args: *Ts,
        forced: bool = False,
    ) -> T:
        until = time.monotonic() + _BUSY

        def in_thread() -> T:
            db, place = self._open()
            writes = begin != "BEGIN"
            if writes:
                place.glance()
            try:
                with (
                    _busy_until(db, until),
                    _forced(db) if forced else nullcontext(),
                    transaction(db, begin),
                ):
                    return act(db, *args)
            except _ERRORS as exc:
                self._write_failed = self._write_failed or writes
                raise StoreUnavailable(_sentence(exc)) from exc

        return await trio.to_thread.run_sync(in_thread, limiter=self._limiter)

    def _open(self) -> tuple[sqlite3.Connection, Place]:
        if self._db is None:
            raise StoreUnavailable("the store is not open: it is, in store.open()")
        return self._db

    def _probe(self) -> None:
        db, place = self._open()
        place.look()
        place.look_for_room()
        try:
            until = time.monotonic() + _PROBE
            with _busy_until(db, until), transaction(db, "BEGIN IMMEDIATE"):
                if self._write_failed:
                    # A lock is not all that it takes.
                    (version,) = db.execute("PRAGMA user_version").fetchone()
                    db.execute(f"PRAGMA user_version = {version}")
            self._write_failed = False
        except _ERRORS as exc:
            raise StoreUnavailable(_sentence(exc)) from exc

    def _connect(self, prepare: Callable[[sqlite3.Connection], None]) -> None:
        if self._db is not None:
            raise StoreUnavailable("the store is open already: make another SQLiteStore")
        try:
            db = sqlite3.connect(
                f"{self._path.as_uri()}?mode=rw",
                uri=True,
                timeout=_BUSY,
                isolation_level=None,
                check_same_thread=False,
            )
            db.text_factory = text
            try:
                prepare(db)
                place = Place(self._path)
            except BaseException:
                db.close()
                raise
        except _ERRORS as exc:
            raise StoreUnavailable(f"{self._path}: {_sentence(exc)}") from exc
        self._db = db, place

    def _close(self) -> None:
        db, _ = self._open()
        self._db = None
        db.close()


@contextmanager
def _busy_until(db: sqlite3.Connection, until: float) -> Iterator[None]:
    """Wait for acts of other processes no longer than to this time of the monotonic clock.

    Acts that have waited for their turn would else fail one after the other, each after its time.
    """
    left = max(0.0, until - time.monotonic())
    if left > _BUSY - _TURN:
        yield
        return
    db.execute(f"PRAGMA busy_timeout = {round(left * 1000)}")
    try:
        yield
    finally:
        db.execute(f"PRAGMA busy_timeout = {round(_BUSY * 1000)}")


@contextmanager
def _forced(db: sqlite3.Connection) -> Iterator[None]:
    """Force the commit of the block to the disk, and with it all that were made before.

    They stand before it in the write-ahead log, which is synced as a whole. The setting can be
    changed outside of transactions only (https://sqlite.org/pragma.html#pragma_synchronous).
    """
    db.execute("PRAGMA synchronous = FULL")
    try:
        yield
    finally:
        db.execute("PRAGMA synchronous = NORMAL")


def _sentence(exc: Exception) -> str:
    if isinstance(exc, UnicodeDecodeError):
        return _DAMAGED
    code = getattr(exc, "sqlite_errorcode", None)
    known = None if code is None else _SENTENCES.get(code & 0xFF)
    return known or f"the database can't do it: {exc}"
