"""The tables of a `SQLiteStore`, and the way to them from every older version."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from ..._errors import StoreUnavailable

_APPLICATION_ID: Final = 0x74726167

_TABLES: Final = (
    # What is looked up and what changes; numbered in the order of creation, never twice.
    """
    CREATE TABLE runs (
        run INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id TEXT NOT NULL UNIQUE,
        owner TEXT,
        idempotency_key TEXT,
        fence INTEGER NOT NULL DEFAULT 1,
        leased INTEGER NOT NULL DEFAULT 1,
        tail INTEGER NOT NULL DEFAULT 0,
        size INTEGER NOT NULL DEFAULT 0,
        news INTEGER NOT NULL DEFAULT 0, -- counts what a watch tells, except a longer log
        finished_at REAL,                -- Unix time in seconds
        cancel_reason TEXT
    )
    """,
    """
    CREATE UNIQUE INDEX runs_by_key ON runs (idempotency_key, owner IS NULL, ifnull(owner, ''))
    WHERE idempotency_key IS NOT NULL
    """,
    "CREATE INDEX runs_by_owner ON runs (owner)",
    "CREATE INDEX runs_active ON runs (leased) WHERE finished_at IS NULL",
    "CREATE INDEX runs_finished ON runs (finished_at) WHERE finished_at IS NOT NULL",
    # What is big and stays as it is: every append rewrites a run's row, and never these.
    """
    CREATE TABLE records (
        run INTEGER PRIMARY KEY,
        epoch TEXT NOT NULL,
        agent TEXT NOT NULL,
        created_at INTEGER NOT NULL,     -- Unix time in milliseconds
        metadata TEXT NOT NULL,          -- JSON
        private BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE entries (
        run INTEGER NOT NULL,
        offset INTEGER NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (run, offset)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE viewers (
        run INTEGER NOT NULL,
        worker TEXT NOT NULL,
        count INTEGER NOT NULL,
        until REAL NOT NULL,             -- Unix time in seconds
        PRIMARY KEY (run, worker)
    ) WITHOUT ROWID
    """,
    # Of finished runs only, so that nobody needs to count them.
    "CREATE TABLE totals (finished INTEGER NOT NULL, size INTEGER NOT NULL)",
    "INSERT INTO totals VALUES (0, 0)",
    # Removed runs: who they were, and whose entries are still to be deleted.
    "CREATE TABLE tombstones (number INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE)",
    "CREATE TABLE garbage (run INTEGER PRIMARY KEY)",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)


def _create_tables(db: sqlite3.Connection) -> None:
    db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    for statement in _TABLES:
        db.execute(statement)


def _add_digests(db: sqlite3.Connection) -> None:
    db.execute("ALTER TABLE records ADD COLUMN digest TEXT NOT NULL DEFAULT ''")


def _set_apart_what_is_private(db: sqlite3.Connection) -> None:
    # Tables with a rowid: in others, rows as large as these make every search slow. A column can't
    # be dropped before SQLite 3.35. All of it goes row by row: a file may be larger than memory.
    for statement in (
        """
        CREATE TABLE privates (
            number INTEGER PRIMARY KEY,
            run INTEGER NOT NULL,
            offset INTEGER NOT NULL,         -- 0: what the run was created with
            data BLOB NOT NULL,
            UNIQUE (run, offset)
        )
        """,
        """
        CREATE TABLE blobs (
            number INTEGER PRIMARY KEY,
            run INTEGER NOT NULL,
            digest TEXT NOT NULL,            -- SHA-256 in hexadecimal digits
            data BLOB NOT NULL,
            UNIQUE (run, digest)
        )
        """,
        """
        INSERT INTO privates (run, offset, data)
        SELECT run, 0, private FROM records WHERE private != x''
        """,
        """
        CREATE TABLE new_records (
            run INTEGER PRIMARY KEY,
            epoch TEXT NOT NULL,
            agent TEXT NOT NULL,
            created_at INTEGER NOT NULL,     -- Unix time in milliseconds
            metadata TEXT NOT NULL,          -- JSON
            digest TEXT NOT NULL
        )
        """,
        """
        INSERT INTO new_records SELECT run, epoch, agent, created_at, metadata, digest FROM records
        """,
        "DROP TABLE records",
        "ALTER TABLE new_records RENAME TO records",
    ):
        db.execute(statement)


def _add_inboxes(db: sqlite3.Connection) -> None:
    for statement in (
        # When it is due if nobody holds it, Unix time in seconds; infinite: when it is wanted.
        "ALTER TABLE runs ADD COLUMN due_at REAL NOT NULL DEFAULT 0",
        # Whether its last holder let go of it, and did not die.
        "ALTER TABLE runs ADD COLUMN handed_over INTEGER NOT NULL DEFAULT 0",
        # The number of the newest row of its inbox, and the bytes of all.
        "ALTER TABLE runs ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE runs ADD COLUMN inbox_size INTEGER NOT NULL DEFAULT 0",
        # Whether the end of its log may be lost.
        "ALTER TABLE runs ADD COLUMN torn INTEGER NOT NULL DEFAULT 0",
        # A look for who is due touches no run that sleeps.
        "DROP INDEX runs_active",
        "CREATE INDEX runs_due ON runs (leased, due_at) WHERE finished_at IS NULL",
        # With a rowid, as `privates`.
        """
        CREATE TABLE inbox (
            run INTEGER NOT NULL,
            number INTEGER NOT NULL,         -- from 1, without a gap
            key TEXT NOT NULL,
            data BLOB NOT NULL,
            UNIQUE (run, number),
            UNIQUE (run, key)
        )
        """,
    ):
        db.execute(statement)


def _count_by_owner(db: sqlite3.Connection) -> None:
    for statement in (
        # Bytes of the finished runs of each owner, so that nobody needs to add them up.
        "CREATE TABLE owned (owner TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID",
        """
        CREATE INDEX runs_finished_of ON runs (owner, finished_at)
        WHERE finished_at IS NOT NULL AND owner IS NOT NULL
        """,
    ):
        db.execute(statement)


def _add_threads(db: sqlite3.Connection) -> None:
    for statement in (
        # By its name, which is its owner's: a thread may be removed before its runs.
        "ALTER TABLE runs ADD COLUMN thread TEXT",
        "CREATE INDEX runs_by_thread ON runs (thread, owner) WHERE thread IS NOT NULL",
        # The id of the run whose turn comes before its own.
        "ALTER TABLE records ADD COLUMN follows TEXT",
        # Numbers are never used twice, so that nothing new is taken for garbage.
        """
        CREATE TABLE threads (
            thread INTEGER PRIMARY KEY AUTOINCREMENT,
            owner TEXT,
            name TEXT NOT NULL,
            head TEXT,                       -- a run's id
            active INTEGER,                  -- a run's number
            turns INTEGER NOT NULL DEFAULT 0,
            size INTEGER NOT NULL DEFAULT 0,
            touched REAL NOT NULL,           -- when a run began or ended, Unix time in seconds
            updated_at INTEGER NOT NULL      -- the same in milliseconds, as lists have it
        )
        """,
        "CREATE UNIQUE INDEX threads_by_name ON threads (owner IS NULL, ifnull(owner, ''), name)",
        "CREATE INDEX threads_by_owner ON threads (owner, updated_at, name)",
        "CREATE INDEX threads_active ON threads (active) WHERE active IS NOT NULL",
        "CREATE INDEX threads_idle ON threads (touched) WHERE active IS NULL",
        """
        CREATE INDEX threads_idle_of ON threads (owner, touched)
        WHERE active IS NULL AND owner IS NOT NULL
        """,
        # With a rowid, as `privates`; numbered in the order of their runs' ends.
        """
        CREATE TABLE turns (
            number INTEGER PRIMARY KEY,
            thread INTEGER NOT NULL,
            run_id TEXT NOT NULL,
            follows TEXT,
            data BLOB NOT NULL,
            UNIQUE (thread, run_id)
        )
        """,
        # Removed threads whose turns are still to be deleted.
        "CREATE TABLE thread_garbage (thread INTEGER PRIMARY KEY)",
    ):
        db.execute(statement)


@attrs.frozen
class Migration:
    """A step from one version of the tables to the next."""

    needs: str
    """The first trio-agent that knows the new tables."""
    apply: Callable[[sqlite3.Connection], None]
    """Makes the step, in a transaction that is open already."""


MIGRATIONS: Final = [
    Migration("0.1.0", _create_tables),
    Migration("0.1.0", _add_digests),
    Migration("0.1.0", _set_apart_what_is_private),
    Migration("0.1.0", _add_inboxes),
    Migration("0.1.0", _count_by_owner),
    Migration("0.1.0", _add_threads),
]
"""Every step since the empty file. Old files need them: append to this list, never change it."""


@contextmanager
def transaction(db: sqlite3.Connection, begin: str) -> Iterator[None]:
    """Do all or nothing of the block."""
    db.execute(begin)
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # A full disk or an I/O error may have rolled it back already.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables, or bring them to the newest version.

    Raises:
        StoreUnavailable: the database is not ours, or newer than we are.
    """
    version = _version(db, path)
    # Readers of a database with a write-ahead log wait for nobody. The file remembers it.
    db.execute("PRAGMA journal_mode = WAL")
    for number, migration in enumerate(MIGRATIONS[version:], version + 1):
        with transaction(db, "BEGIN IMMEDIATE"):
            migration.apply(db)
            db.execute("INSERT OR REPLACE INTO meta VALUES ('needs', ?)", (migration.needs,))
            db.execute(f"PRAGMA user_version = {number}")


def check_tables(db: sqlite3.Connection, path: Path) -> None:
    """Make sure that the tables are of the newest version.

    Raises:
        StoreUnavailable: they are not.
    """
    if _version(db, path) < len(MIGRATIONS):
        raise StoreUnavailable(f"{path} is new or old: start a server of this version on it first")


def _version(db: sqlite3.Connection, path: Path) -> int:
    version: int = _value(db, "PRAGMA user_version")
    if _value(db, "PRAGMA application_id") != _APPLICATION_ID:
        if _value(db, "SELECT count(*) FROM sqlite_master"):
            raise StoreUnavailable(f"{path} is the database of another program: use another file")
    elif version > len(MIGRATIONS):
        needs = _value(db, "SELECT max(value) FROM meta WHERE key = 'needs'")
        raise StoreUnavailable(f"{path} is of a newer version: use trio-agent {needs} or newer")
    return version


def _value(db: sqlite3.Connection, query: str) -> Any:
    return db.execute(query).fetchone()[0]
