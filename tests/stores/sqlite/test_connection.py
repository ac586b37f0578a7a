"""Acts on a connection: one after the other, each done or not done."""

import resource
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from sqlite_kit import limit_pages, opened, rows
from store_kit import deltas, record

from trio_agent._errors import StoreUnavailable, UnknownRun
from trio_agent._limits import Retention
from trio_agent._log.log import Appended
from trio_agent.stores.sqlite._connection import Connection
from trio_agent.stores.sqlite._store import SQLiteStore


def prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE IF NOT EXISTS numbers (n INTEGER)")


def add(db: sqlite3.Connection, n: int) -> None:
    db.execute("INSERT INTO numbers VALUES (?)", (n,))


def count(db: sqlite3.Connection) -> int:
    [number] = db.execute("SELECT count(*) FROM numbers").fetchone()
    return int(number)


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[Connection]:
    path.touch()
    connection = Connection(path)
    async with connection.open(prepare):
        yield connection


async def test_acts_wait_for_their_turn(path: Path) -> None:
    gate = threading.Event()
    inside: list[int] = []

    def act(db: sqlite3.Connection, n: int) -> None:
        inside.append(n)
        gate.wait(60)
        assert inside == [n]
        add(db, n)
        inside.clear()

    async with connected(path) as connection:
        assert connection.waiting == 0
        async with trio.open_nursery() as nursery:
            for n in range(3):
                nursery.start_soon(connection.write, act, n)
            await trio.testing.wait_all_tasks_blocked()
            assert connection.waiting == 2
            gate.set()
        assert connection.waiting == 0
        assert await connection.read(count) == 3


async def test_waiting_for_its_turn_is_waiting(path: Path) -> None:
    """Of many acts that meet a lock of another process, all give up at one time."""
    gate = threading.Event()

    def busy(db: sqlite3.Connection) -> int:
        (milliseconds,) = db.execute("PRAGMA busy_timeout").fetchone()
        return int(milliseconds)

    def act(db: sqlite3.Connection) -> None:
        gate.wait(60)
        time.sleep(0.2)

    async def find_out() -> None:
        left.append(await connection.write(busy))

    left: list[int] = []
    async with connected(path) as connection:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.write, act)
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(3):
                nursery.start_soon(find_out)
            await trio.testing.wait_all_tasks_blocked()
            gate.set()
        assert max(left) <= 4800
        await find_out()
        assert left[-1] == 5000


async def test_an_act_that_has_begun_is_finished(path: Path) -> None:
    begun = trio.Event()
    gate = threading.Event()
    outcomes: list[str] = []

    def act(db: sqlite3.Connection) -> str:
        trio.from_thread.run_sync(begun.set)
        gate.wait(60)
        add(db, 1)
        return "done"

    async def perform() -> None:
        outcomes.append(await connection.write(act))

    async with connected(path) as connection, trio.open_nursery() as nursery:
        nursery.start_soon(perform)
        await begun.wait()
        nursery.start_soon(connection.write, add, 2)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        gate.set()
    # Who waited for it knows so; the one that was still to come is not done.
    assert outcomes == ["done"]
    assert rows(path, "SELECT n FROM numbers") == [(1,)]


async def test_an_act_may_be_forced_to_the_disk(path: Path) -> None:
    def setting(db: sqlite3.Connection, fail: bool = False) -> int:
        if fail:
            raise Refused
        [number] = db.execute("PRAGMA synchronous").fetchone()
        return int(number)

    full, normal = 2, 1
    async with opened(path) as store:
        connection = store._writer
        assert await connection.write(setting) == normal
        assert await connection.force(setting) == full
        assert await connection.write(setting) == normal
        with pytest.raises(Refused):
            await connection.force(setting, True)
        assert await connection.write(setting) == normal


async def test_closing_waits_for_an_act(path: Path) -> None:
    begun = trio.Event()
    gate = threading.Event()

    def act(db: sqlite3.Connection) -> None:
        trio.from_thread.run_sync(begun.set)
        gate.wait(60)
        add(db, 1)

    path.touch()
    connection = Connection(path)
    async with trio.open_nursery() as nursery:
        async with connection.open(prepare):
            nursery.start_soon(connection.write, act)
            await begun.wait()
            nursery.start_soon(trio.to_thread.run_sync, gate.set)
        assert rows(path, "SELECT n FROM numbers") == [(1,)]


class Refused(Exception):
    """What an act or a preparation raises."""


async def test_what_an_act_raises_undoes_it(path: Path) -> None:
    def act(db: sqlite3.Connection) -> None:
        add(db, 1)
        raise Refused

    async with connected(path) as connection:
        with pytest.raises(Refused):
            await connection.write(act)
        assert await connection.read(count) == 0
        await connection.write(add, 2)
        assert await connection.read(count) == 1


async def test_what_sqlite_cannot_do_is_named_without_the_file(path: Path) -> None:
    async with connected(path) as connection:
        for perform in (connection.write, connection.read):
            with pytest.raises(StoreUnavailable, match="no such table: letters") as caught:
                await perform(lambda db: db.execute("SELECT * FROM letters"))
            assert str(path) not in str(caught.value)
            assert isinstance(caught.value.__cause__, sqlite3.Error)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process is writing."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


async def test_a_probe(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_agent.stores.sqlite._connection._PROBE", 0.1)
    async with connected(path) as connection:
        with trio.testing.assert_checkpoints():
            await connection.probe()
        with locked(path), pytest.raises(StoreUnavailable, match="locked by another process"):
            await connection.probe()
        # Others wait as long as ever afterwards.
        busy = await connection.read(lambda db: db.execute("PRAGMA busy_timeout").fetchone())
        assert busy == (5000,)
        await connection.probe()
        path.rename(path.with_name("away"))
        with pytest.raises(StoreUnavailable, match="removed or replaced"):
            await connection.probe()
        with pytest.raises(StoreUnavailable, match="removed or replaced"):
            await connection.write(add, 1)
        assert await connection.read(count) == 0


async def test_a_probe_waits_for_its_turn_not_for_long(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_agent.stores.sqlite._connection._PROBE", 0.05)
    gate = threading.Event()
    async with connected(path) as connection, trio.open_nursery() as nursery:
        nursery.start_soon(connection.write, lambda db: gate.wait(60))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(StoreUnavailable, match="is busy"):
            await connection.probe()
        gate.set()
    with pytest.raises(StoreUnavailable, match="is not open"):
        await connection.probe()


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (sqlite3.SQLITE_BUSY, "locked by another process"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "locked by another process"),
        (sqlite3.SQLITE_IOERR_READ, "the disk failed"),
        (sqlite3.SQLITE_FULL, "the disk is full"),
        (sqlite3.SQLITE_CORRUPT, "restore a back-up"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "may only be read"),
        (sqlite3.SQLITE_MISUSE, "can't do it: in words of SQLite"),
        (None, "can't do it: in words of SQLite"),
    ],
)
async def test_what_sqlite_says_becomes_a_sentence(
    path: Path, code: int | None, sentence: str
) -> None:
    def fail(db: sqlite3.Connection) -> None:
        error = sqlite3.OperationalError("in words of SQLite")
        if code is not None:
            error.sqlite_errorcode = code
        raise error

    async with connected(path) as connection:
        with pytest.raises(StoreUnavailable, match=sentence) as caught:
            await connection.write(fail)
        assert str(path) not in str(caught.value)


async def test_a_reader_sees_one_state(path: Path) -> None:
    def act(db: sqlite3.Connection) -> tuple[int, int]:
        before = count(db)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            add(other, 1)
        return before, count(db)

    async with connected(path) as connection:
        assert await connection.read(act) == (0, 0)
        assert await connection.read(count) == 1


@pytest.mark.parametrize(
    ("error", "seen"), [(Refused("no"), Refused), (sqlite3.DatabaseError("no"), StoreUnavailable)]
)
async def test_what_a_preparation_refuses_is_not_open(
    path: Path, error: Exception, seen: type[Exception]
) -> None:
    def refuse(db: sqlite3.Connection) -> None:
        raise error

    path.touch()
    connection = Connection(path)
    with pytest.raises(seen, match="no"):
        async with connection.open(refuse):
            pytest.fail("it was refused")
    with pytest.raises(StoreUnavailable, match="is not open"):
        await connection.read(count)
    async with connection.open(prepare):
        assert await connection.read(count) == 0


# In a store


async def test_an_odd_name(tmp_path: Path) -> None:
    path = tmp_path / "100% ü?mode=memory#.db"
    async with opened(path) as store:
        await store.create(record("a"))
    async with opened(path) as store:
        assert (await store.info("a")).record == record("a")


async def test_nothing_works_while_it_is_not_open(path: Path) -> None:
    store = SQLiteStore(path)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"is not open"):
            await store.create(record("a"))
        with pytest.raises(StoreUnavailable, match=r"is not open"):
            await store.info("a")
        with pytest.raises(StoreUnavailable, match=r"is not open"):
            async with store.watch():
                pytest.fail("it is not open")
        async with store.open():
            await store.expire(Retention())


async def test_an_opening_that_is_cancelled_leaves_nothing_open(path: Path) -> None:
    store = SQLiteStore(path)
    with trio.CancelScope() as scope:
        scope.cancel()
        async with store.open():
            pytest.fail("it was cancelled")
    assert scope.cancelled_caught
    async with store.open():
        await store.create(record("a"))


# A disk that is full


async def test_a_full_disk(path: Path) -> None:
    async with opened(path) as store:
        await store.create(record("a"))
        await store.create(record("b"))
        await store.append([deltas("a", 1, 3)])
        await limit_pages(store, 1)
        big = [deltas("b", 1), deltas("a", 4, 10, text="x" * 10_000)]
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="disk is full") as caught:
                await store.append(big)
            assert "xxx" not in str(caught.value)
            with pytest.raises(StoreUnavailable, match="disk is full"):
                await store.create(record("c", private=b"x" * 100_000))
        assert [(await store.info(run_id)).tail for run_id in "ab"] == [3, 0]
        with pytest.raises(UnknownRun):
            await store.info("c")
        await limit_pages(store, 1_000_000)
        assert await store.append(big) == [Appended.COMMITTED, Appended.COMMITTED]
        assert [(await store.info(run_id)).tail for run_id in "ab"] == [13, 1]


async def test_a_disk_that_takes_no_more(path: Path) -> None:
    """The operating system refuses to make the files longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with opened(path) as store:
        await store.create(record("a"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        try:
            with pytest.raises(StoreUnavailable):
                await store.append([deltas("a", 1, 200, text="x" * 10_000)])
            assert (await store.append([deltas("a", 1)])) == [Appended.COMMITTED]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (await store.append([deltas("a", 2, 200, text="x" * 10_000)])) == [
            Appended.COMMITTED
        ]
        page = await store.read("a", 150, 1000)
        assert [entry.offset for entry in page.entries] == list(range(151, 202))


async def test_a_probe_after_a_write_that_failed_writes(path: Path) -> None:
    """The operating system refuses whatever is written, though nobody has a lock."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with connected(path) as connection:
        await connection.write(add, 1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
        try:
            await connection.probe()
            with pytest.raises(StoreUnavailable, match="disk"):
                await connection.write(add, 2)
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match="disk"):
                    await connection.probe()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await connection.probe()
        assert await connection.read(count) == 1
