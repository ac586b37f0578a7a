"""The tables: made at once, migrated whole, and refused if they are not ours."""

import math
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs
import pytest
from sqlite_kit import cannot_open, last, opened, rows
from store_kit import deltas, finish, finished, record

from trio_agent._errors import StoreUnavailable, UnknownBlob
from trio_agent._limits import Retention
from trio_agent._log.inbox import Delivered
from trio_agent._log.log import Append, Appended
from trio_agent._log.store import Created
from trio_agent.stores.sqlite import _schema as _sqlite_schema
from trio_agent.stores.sqlite._lock import boot_id
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


@contextmanager
def file_of_version(version: int, path: Path) -> Iterator[sqlite3.Connection]:
    """A file as an older trio-agent made it, and a connection to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sqlite_schema, "MIGRATIONS", MIGRATIONS[:version])
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            migrate(db, path)
            yield db


async def test_a_file_of_the_first_version_is_read_on(path: Path) -> None:
    with file_of_version(1, path) as db:
        db.execute("INSERT INTO runs (run_id, idempotency_key) VALUES ('a', 'k')")
        db.execute("INSERT INTO records VALUES (1, 'e', 'a', 0, '{}', x'5b5d')")
    async with opened(path) as store:
        known = (await store.info("a")).record
        assert (known.idempotency_key, known.digest) == ("k", "")
        assert await store.read_private("a", [0]) == [b"[]"]
        created = await store.create(record("b", idempotency_key="k", digest="d"))
        assert created == Created("a", None)


VERSION_2 = """
INSERT INTO runs (run_id, owner, idempotency_key, tail, size, finished_at)
VALUES ('done', 'me', 'k', 2, 109, 1.5), ('plain', NULL, NULL, 0, 2, NULL),
    ('active', 'me', NULL, 1, 5009, NULL);
INSERT INTO records (run, epoch, agent, created_at, metadata, private, digest)
VALUES (1, 'e1', 'a', 7, '{"n":1}', x'00ff', 'd'), (2, 'e2', 'a', 8, '{}', x'', ''),
    (3, 'e3', 'b', 9, '{}', zeroblob(5000), '');
INSERT INTO entries VALUES (1, 1, x'7b7d'), (1, 2, x'7b7d'), (3, 1, x'7b7d');
INSERT INTO viewers VALUES (3, 'w', 1, 9e9);
UPDATE totals SET finished = 1, size = 109;
INSERT INTO tombstones (run_id) VALUES ('removed');
INSERT INTO garbage VALUES (99);
"""


async def test_what_was_private_in_the_second_version_is_set_apart(path: Path) -> None:
    with file_of_version(2, path) as db:
        db.executescript(VERSION_2)
        tables = ("runs", "entries", "tombstones", "garbage")
        before = {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
        migrate(db, path)
    await cannot_open(path, "start a server of this version on it first", follow=True)
    async with opened(path) as store:
        expected = {
            "done": record("done", epoch="e1", created_at=7, metadata={"n": 1}, digest="d"),
            "plain": record("plain", epoch="e2", created_at=8),
            "active": record("active", epoch="e3", created_at=9, agent="b", owner="me"),
        }
        expected["done"] = attrs.evolve(expected["done"], owner="me", idempotency_key="k")
        private = {"done": b"\0\xff", "plain": b"", "active": bytes(5000)}
        for run_id, known in expected.items():
            info = await store.info(run_id)
            # A file that no server of this life of the machine had: active logs begin anew.
            assert attrs.evolve(info.record, epoch="") == attrs.evolve(known, epoch="")
            assert info.record.epoch == known.epoch or info.active
            assert await store.read_private(run_id, [0, 1]) == [private[run_id], b""]
            with pytest.raises(UnknownBlob):
                await store.read_blob(run_id, "0" * 64)
        for table in tables:
            # All that is changed of them is who holds active runs, and what came to be known.
            for row, old in zip(rows(path, f"SELECT * FROM {table}"), before[table], strict=True):
                assert row[:5] + row[6 : len(old)] == old[:5] + old[6:]
        lease = await store.claim("active")
        assert lease is not None
        more = Append("active", lease.fence, deltas("active", 2).entries, {2: b"more"})
        assert await store.append([more, finish("active", 3, fence=2)]) == [Appended.COMMITTED] * 2
        assert await store.read_private("active", [0, 2]) == [bytes(5000), b"more"]
        assert (await store.info("active")).size == 5009 + more.size + finish("active", 3).size
        async with opened(path, follow=True) as follower:
            assert await follower.read_private("active", [2, 0]) == [b"more", bytes(5000)]
        assert await store.expire(Retention(seconds=0)) == ["done", "active"]
    assert rows(path, "SELECT run FROM records") == [(2,)]
    assert rows(path, "SELECT * FROM privates") == []


VERSION_3 = """
INSERT INTO runs (run_id, leased, tail, size, finished_at)
VALUES ('done', 1, 1, 2, 1.5), ('free', 0, 1, 2, NULL), ('held', 1, 1, 2, NULL);
INSERT INTO records VALUES (1, 'e', 'a', 7, '{}', ''), (2, 'e', 'a', 7, '{}', ''),
    (3, 'e', 'a', 7, '{}', '');
INSERT INTO entries SELECT run, 1, x'7b7d' FROM runs;
INSERT OR REPLACE INTO meta VALUES ('boot', ?1);
UPDATE totals SET finished = 1, size = 2;
"""


@pytest.mark.parametrize("torn", [False, True], ids=["the same life", "another life"])
async def test_runs_of_the_third_version_are_free_and_told_nothing(path: Path, torn: bool) -> None:
    boot = "another life" if torn else boot_id()
    with file_of_version(3, path) as db:
        for statement in VERSION_3.split(";\n"):
            db.execute(statement, [boot] if "?1" in statement else [])
    await cannot_open(path, "start a server of this version on it first", follow=True)
    async with opened(path) as store:
        for run_id in ("done", "free", "held"):
            info = await store.info(run_id)
            assert (info.leased, info.parked, info.delivered) == (False, False, 0)
            # Of these it is not known whether a claim was lost: it was not forced to the disk.
            assert info.torn == (torn and info.active)
            assert (info.record.epoch != "e") == info.torn
        assert await store.orphans("", 10) == ["free", "held"]
        for run_id in ("free", "held"):
            assert await store.deliver(run_id, "k", b"{}") is Delivered.DELIVERED
            lease = await store.claim(run_id)
            assert lease is not None
            assert not lease.handed_over
            assert await store.park(lease, 1, None)
        assert await store.orphans("", 10) == []


VERSION_4 = """
INSERT INTO runs (run_id, owner, tail, size, finished_at)
VALUES ('a', 'ann', 0, 10, 1.5), ('b', 'bob', 0, 10, 2.5), ('c', 'ann', 0, 10, 3.5),
    ('n', NULL, 0, 99, 0.5), ('active', 'ann', 0, 99, NULL);
INSERT INTO records SELECT run, 'e', 'a', 7, '{}', '' FROM runs;
UPDATE totals SET finished = 4, size = 129;
"""


async def test_what_the_fourth_version_had_counts_for_its_owners(path: Path) -> None:
    with file_of_version(4, path) as db:
        db.executescript(VERSION_4)
    async with opened(path) as store:
        keep_all = Retention(seconds=math.inf, owner_bytes=20)
        assert await store.expire(keep_all) == []
        assert await store.expire(attrs.evolve(keep_all, owner_bytes=19)) == ["a"]
        assert set(await store.expire(attrs.evolve(keep_all, owner_bytes=0))) == {"b", "c"}


VERSION_5 = """
INSERT INTO runs (run_id, owner, tail, size, finished_at, leased)
VALUES ('done', 'ann', 1, 10, 1.5, 1), ('active', 'ann', 1, 10, NULL, 0);
INSERT INTO records SELECT run, 'e', 'a', 7, '{}', '' FROM runs;
INSERT INTO entries SELECT run, 1, x'7b7d' FROM runs;
UPDATE totals SET finished = 1, size = 10;
INSERT INTO owned VALUES ('ann', 10);
"""


async def test_runs_of_the_fifth_version_are_in_no_thread(path: Path) -> None:
    with file_of_version(5, path) as db:
        db.executescript(VERSION_5)
    await cannot_open(path, "start a server of this version on it first", follow=True)
    async with opened(path) as store:
        for run_id in ("done", "active"):
            known = (await store.info(run_id)).record
            assert (known.thread, known.follows) == (None, None)
        assert await store.threads("ann", None, 9) == []
        assert await store.find("ann", None, 9, "t") == []
        lease = await store.claim("active")
        assert lease is not None
        # One that ends has no thread to add to, and threads begin beside it.
        end = Append("active", lease.fence, finish("active", 2).entries, turn=b"turn")
        assert await store.append([end]) == [Appended.COMMITTED]
        await store.create(record("new", owner="ann", thread="t"))
        await store.append([last("new", b"turn")])
        assert [info.head for info in await store.threads("ann", None, 9)] == ["new"]
        assert await store.expire(Retention(seconds=0)) == ["done", "active", "new"]
        assert len(await store.turns("ann", "t", "new", 9)) == 1
    assert rows(path, "SELECT * FROM owned") == [("ann", 4)]


MIGRATE_IN_LITTLE_MEMORY = """
import sqlite3, sys, tracemalloc
from pathlib import Path
from trio_agent.stores.sqlite._schema import migrate
path = Path(sys.argv[1])
db = sqlite3.connect(path, isolation_level=None)
db.execute("PRAGMA hard_heap_limit = 8000000").fetchall()
tracemalloc.start()
migrate(db, path)
assert tracemalloc.get_traced_memory()[1] < 8_000_000
"""


def test_a_large_file_is_migrated_in_little_memory(path: Path) -> None:
    """The limit holds for a whole process, so that it takes one of its own."""
    with file_of_version(2, path) as db, transaction(db, "BEGIN"):
        db.executemany(
            "INSERT INTO records VALUES (?, 'e', 'a', 0, '{}', ?, '')",
            [(run, bytes([run]) * 1_000_000) for run in range(1, 41)],
        )
    subprocess.run([sys.executable, "-c", MIGRATE_IN_LITTLE_MEMORY, str(path)], check=True)
    assert rows(path, "SELECT count(*), sum(length(data)) FROM privates") == [(40, 40_000_000)]


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
