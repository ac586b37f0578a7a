"""A connection to an SQLite file that is used in worker threads only."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar, TypeVarTuple

import trio

from ..._errors import StoreUnavailable
from ._schema import transaction

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_BUSY: Final = 5.0
"""Seconds that an act waits for one of another process."""

_CLOSING: Final = 30.0
"""Seconds that closing waits for acts that are still going on."""


class Connection:
    """Performs acts, which are sync functions of a `sqlite3.Connection`, one after the other.

    An act that has begun is finished, whoever is cancelled meanwhile: it is done or not done.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._limiter = trio.CapacityLimiter(1)

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
            StoreUnavailable: SQLite can't do it; nothing was changed.
        """
        return await self._perform("BEGIN IMMEDIATE", act, *args)

    async def read(self, act: Callable[[sqlite3.Connection, *Ts], T], *args: *Ts) -> T:
        """Perform an act on one state of the database. A checkpoint.

        Raises:
            StoreUnavailable: SQLite can't do it.
        """
        return await self._perform("BEGIN", act, *args)

    async def _perform(
        self, begin: str, act: Callable[[sqlite3.Connection, *Ts], T], *args: *Ts
    ) -> T:
        def in_thread() -> T:
            if self._db is None:
                raise StoreUnavailable(f"{self._path} is not open: it is, in store.open()")
            try:
                with transaction(self._db, begin):
                    return act(self._db, *args)
            except sqlite3.Error as exc:
                raise StoreUnavailable(f"{self._path}: {exc}") from exc

        return await trio.to_thread.run_sync(in_thread, limiter=self._limiter)

    def _connect(self, prepare: Callable[[sqlite3.Connection], None]) -> None:
        if self._db is not None:
            raise StoreUnavailable(f"{self._path} is open already: make another SQLiteStore")
        try:
            db = sqlite3.connect(
                f"{self._path.as_uri()}?mode=rw",
                uri=True,
                timeout=_BUSY,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                prepare(db)
            except BaseException:
                db.close()
                raise
        except sqlite3.Error as exc:
            raise StoreUnavailable(f"{self._path}: {exc}") from exc
        self._db = db

    def _close(self) -> None:
        db, self._db = self._db, None
        assert db is not None
        db.close()
