"""The tables: made at once, migrated whole, and refused if they are not ours."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlite_kit import cannot_open, opened, rows
from store_kit import finished, record

from trio_agent._errors import StoreUnavailable
from trio_agent._log.store import Created
from trio_agent.stores.sqlite import _schema as _sqlite_schema
from trio_agent.stores.sqlite._schema import (
    MIGRATIONS,
    Migration,
    check_tables,
    migrate,
    transaction,
)


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to an empty file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db


def test_an_empty_file_gets_the_newest_tables(db: sqlite3.Connection, path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="start a server of this version"):
        check_tables(db, path)
    migrate(db, path)
    check_tables(db, path)
    assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("SELECT value FROM meta WHERE key = 'needs'").fetchone() == (
        MIGRATIONS[-1].needs,
    )
    tables = db.execute("SELECT * FROM sqlite_master").fetchall()
    migrate(db, path)
    assert db.execute("SELECT * FROM sqlite_master").fetchall() == tables


def test_an_idempotency_key_is_unique_per_owner(db: sqlite3.Connection, path: Path) -> None:
    migrate(db, path)
    insert = "INSERT INTO runs (run_id, owner, idempotency_key) VALUES (?, ?, ?)"
    for number, (owner, key) in enumerate(
        [(None, None), (None, None), (None, "k"), ("", "k"), ("me", "k"), ("me", None)]
    ):
        db.execute(insert, (str(number), owner, key))
    for owner in (None, "", "me"):
        with pytest.raises(sqlite3.IntegrityError, match="runs_by_key"):
            db.execute(insert, ("again", owner, "k"))


def test_a_transaction_commits(db: sqlite3.Connection, path: Path) -> None:
    with transaction(db, "BEGIN IMMEDIATE"):
        db.execute("CREATE TABLE numbers (n)")
        assert rows(path, "SELECT name FROM sqlite_master") == []
    assert rows(path, "SELECT name FROM sqlite_master") == [("numbers",)]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("ended", [False, True], ids=["open", "rolled back already"])
def test_a_transaction_that_fails_leaves_nothing(
    db: sqlite3.Connection, error: type[BaseException], ended: bool
) -> None:
    def fail() -> None:
        db.execute("CREATE TABLE numbers (n)")
        if ended:
            db.execute("ROLLBACK")
        raise error

    with pytest.raises(error), transaction(db, "BEGIN"):
        fail()
    assert not db.in_transaction
    assert db.execute("SELECT name FROM sqlite_master").fetchall() == []


# Versions


def add_a_column(db: sqlite3.Connection) -> None:
    db.execute("ALTER TABLE runs ADD COLUMN mood TEXT NOT NULL DEFAULT 'good'")


@contextmanager
def next_version(apply: Callable[[sqlite3.Connection], None] = add_a_column) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sqlite_schema, "MIGRATIONS", [*MIGRATIONS, Migration("9.9", apply)])
        yield


async def test_an_older_file_is_migrated(path: Path) -> None:
    async with opened(path) as store:
        await finished(store, "a", 3)
    with next_version():
        await cannot_open(path, "start a server of this version on it first", follow=True)
        for _ in range(2):
            async with opened(path) as store:
                assert (await store.info("a")).tail == 4
                assert len((await store.read("a", 0, 10)).entries) == 4
        assert rows(path, "SELECT mood FROM runs") == [("good",)]
        async with opened(path, follow=True) as store:
            assert (await store.info("a")).tail == 4


async def test_a_migration_is_whole(path: Path) -> None:
    def fail(db: sqlite3.Connection) -> None:
        add_a_column(db)
        db.execute("SELECT nonsense")

    async with opened(path) as store:
        await finished(store, "a")
    with next_version(fail):
        await cannot_open(path, "no such column: nonsense")
    async with opened(path) as store:
        assert (await store.info("a")).tail == 1
    with next_version():
        async with opened(path) as store:
            assert (await store.info("a")).tail == 1


async def test_a_newer_file_is_left_alone(path: Path) -> None:
    with next_version():
        async with opened(path) as store:
            await finished(store, "a")
    for follow in (False, True):
        await cannot_open(path, r"use trio-agent 9\.9 or newer", follow=follow)
    with next_version():
        async with opened(path) as store:
            assert (await store.info("a")).tail == 1


async def test_a_file_of_the_first_version_is_read_on(path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sqlite_schema, "MIGRATIONS", MIGRATIONS[:1])
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            migrate(db, path)
            db.execute("INSERT INTO runs (run_id, idempotency_key) VALUES ('a', 'k')")
            db.execute("INSERT INTO records VALUES (1, 'e', 'a', 0, '{}', x'5b5d')")
    async with opened(path) as store:
        known = (await store.info("a")).record
        assert (known.idempotency_key, known.private, known.digest) == ("k", b"[]", "")
        created = await store.create(record("b", idempotency_key="k", digest="d"))
        assert created == Created("a", None)


@pytest.mark.parametrize("letter", [b"?", b"\xc6"], ids=["ASCII", "no UTF-8"])
@pytest.mark.parametrize("word", [b"finished_at", b"WHERE", b"CREATE TABLE"])
async def test_tables_that_are_damaged(path: Path, word: bytes, letter: bytes) -> None:
    """SQLite repeats in its errors what it found."""
    async with opened(path) as store:
        await finished(store, "a")
    data = path.read_bytes()
    assert word in data
    path.write_bytes(data.replace(word, letter + word[1:]))
    await cannot_open(path, "restore a back-up|can't do it")
