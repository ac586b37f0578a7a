"""The SQLite store: real files, real processes, the real clock."""

import itertools
import math
import resource
import sqlite3
import stat
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from trio_agent._agent import Agent
from trio_agent._errors import CursorExpired, StoreUnavailable, UnknownRun
from trio_agent._events import AnyEvent, RunFinish, RunSummary, TextDelta, Usage
from trio_agent._limits import Retention
from trio_agent._log.log import Append, Appended, Entry
from trio_agent._log.store import Lease, RunRecord, Store, Watch
from trio_agent._log.subscription import Subscription
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores.sqlite import _schema as _sqlite_schema
from trio_agent.stores.sqlite._schema import MIGRATIONS, Migration
from trio_agent.stores.sqlite._store import SQLiteStore, SQLiteStoreStatistics
from trio_agent.testing import (
    FaultyStore,
    InterruptingStore,
    ScriptedModel,
    Sweep,
    cancel_sweep,
    check_store,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@asynccontextmanager
async def opened(path: Path, *, follow: bool = False) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path, follow=follow)
    async with store.open():
        yield store


def record(run_id: str, **changes: Any) -> RunRecord:
    return RunRecord(run_id=run_id, epoch="e", agent="a", created_at=0, **changes)


def deltas(run_id: str, first: int, count: int = 1, *, text: str = "x", fence: int = 1) -> Append:
    entries = [Entry.of(first + n, TextDelta(at=0, delta=text)) for n in range(count)]
    return Append(run_id, fence, entries)


def finish(run_id: str, offset: int) -> Append:
    event = RunFinish(at=0, run=RunSummary(run_id, "", 1, "stop", Usage()))
    return Append(run_id, 1, [Entry.of(offset, event)])


async def finished(store: Store, run_id: str, count: int = 0) -> None:
    await store.create(record(run_id))
    batch = (
        [finish(run_id, 1)] if not count else [deltas(run_id, 1, count), finish(run_id, count + 1)]
    )
    assert set(await store.append(batch)) == {Appended.COMMITTED}


async def until(watch: Watch, run_id: str) -> None:
    with trio.fail_after(60):
        while await watch.receive() != run_id:
            pass


def rows(path: Path, query: str) -> list[Any]:
    db = sqlite3.connect(path)
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


# The contract


async def test_sqlite_keeps_the_contract(tmp_path: Path) -> None:
    numbers = itertools.count()

    @asynccontextmanager
    async def open_store() -> AsyncIterator[Store]:
        async with opened(tmp_path / f"{next(numbers)}.db") as store:
            yield store

    await check_store(open_store, lease=None)


async def test_what_was_committed_is_there_again(path: Path) -> None:
    store = SQLiteStore(path)
    full = record("a", owner="me", metadata={"ü": [1]}, idempotency_key="k", private=b"secret")
    async with store.open():
        await store.create(full)
        await store.append([deltas("a", 1, 3)])
        await store.request_cancel("a", "why")
        await finished(store, "b")
        await finished(store, "c")
        await store.delete("c")
    async with store.open():
        assert (await store.create(full)).lease is None
        info = await store.info("a")
        assert (info.record, info.tail, info.cancel_reason) == (full, 3, "why")
        page = await store.read("a", 1, 10)
        assert [entry.data for entry in page.entries] == [
            entry.data for entry in deltas("a", 2, 2).entries
        ]
        last = (await store.info("b")).last
        assert last is not None
        assert last.terminal
        with pytest.raises(CursorExpired):
            await store.info("c")


async def test_claims_end_with_the_server(path: Path) -> None:
    async with opened(path) as store:
        await store.create(record("a"))
        await store.set_viewers("a", "w", 3)
        assert await store.orphans(10) == []
    async with opened(path) as store:
        info = await store.info("a")
        assert (info.leased, info.viewers) == (False, 0)
        assert await store.orphans(10) == ["a"]
        lease = await store.claim("a")
        assert lease == Lease("a", 2)
        outcomes = await store.append([deltas("a", 1), deltas("a", 1, fence=2)])
        assert outcomes == [Appended.FENCED, Appended.COMMITTED]


async def test_counts_of_viewers_must_be_told_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path) as store:
        await store.create(record("a"))
        monkeypatch.setattr("trio_agent.stores.sqlite._store._PRESENCE", 0)
        await store.set_viewers("a", "gone", 3)
        assert (await store.info("a")).viewers == 0
        monkeypatch.undo()
        await store.set_viewers("a", "here", 1)
        assert (await store.info("a")).viewers == 1
    assert rows(path, "SELECT worker FROM viewers") == [("here",)]


async def test_telling_viewers_again_is_no_news(path: Path) -> None:
    async with opened(path) as store, store.watch() as watch:
        await store.create(record("a"))
        await store.set_viewers("a", "w", 2)
        watch.add("a")
        await until(watch, "a")
        await store.set_viewers("a", "w", 2)
        await store.set_viewers("a", "v", 0)
        with trio.move_on_after(0) as scope:
            await watch.receive()
        assert scope.cancelled_caught
        await store.set_viewers("a", "w", 1)
        await until(watch, "a")


async def test_a_reason_that_is_no_utf8(path: Path) -> None:
    async with opened(path) as store:
        await store.create(record("a"))
        await store.request_cancel("a", "half \ud83d")
        assert (await store.info("a")).cancel_reason == "half ?"


async def test_reading_the_end_of_a_long_log_takes_no_longer(path: Path) -> None:
    async with opened(path) as store:
        await store.create(record("long"))
        await store.create(record("short"))
        await store.append([deltas("long", 1, 20_000), deltas("short", 1, 20)])
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1

        assert store._reader._db is not None
        store._reader._db.set_progress_handler(step, 1)
        taken: list[int] = []
        for run_id, after in (("short", 10), ("long", 19_990)):
            steps = 0
            page = await store.read(run_id, after, 1024)
            assert [entry.offset for entry in page.entries] == list(range(after + 1, after + 11))
            taken.append(steps)
        assert 0 < taken[1] <= taken[0] + 10


# Removal


async def test_tombstones_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_agent.stores.sqlite._acts._TOMBSTONES", 2)
    async with opened(path) as store:
        for run_id in ("a", "b", "a", "c", "d"):
            await finished(store, run_id)
            await store.delete(run_id)
        with pytest.raises(UnknownRun):
            await store.info("a")
        for run_id in ("c", "d"):
            with pytest.raises(CursorExpired):
                await store.info(run_id)


async def test_removed_logs_are_deleted_in_pieces(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_agent.stores.sqlite._acts._PIECE", 4)
    async with opened(path) as store:
        for run_id, count in (("a", 10), ("b", 0), ("c", 2), ("d", 3), ("e", 4)):
            await finished(store, run_id, count)
        await store.create(record("active"))
        await store.append([deltas("active", 1, 5)])
        swept: list[bool] = []
        write = store._writer.write

        async def counted(act: Callable[..., Any], *args: Any) -> Any:
            outcome = await write(act, *args)
            if act.__name__ == "sweep":
                swept.append(outcome)
            return outcome

        monkeypatch.setattr(store._writer, "write", counted)
        assert await store.expire(Retention(seconds=0)) == ["a", "b", "c", "d", "e"]
        assert len(swept) > 5
        assert swept[-1] is False
    assert rows(path, "SELECT count(*) FROM entries") == [(5,)]
    assert rows(path, "SELECT count(*) FROM records") == [(1,)]
    assert rows(path, "SELECT * FROM garbage") == []


async def test_deleting_that_was_cut_off_goes_on_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path) as store:
        await finished(store, "a", 5)
        with trio.CancelScope() as scope:
            monkeypatch.setattr(store, "_sweep", scope_canceller(scope))
            await store.delete("a")
        assert scope.cancelled_caught
        with pytest.raises(CursorExpired):
            await store.read("a", 0, 10)
        assert rows(path, "SELECT count(*) FROM entries") == [(6,)]
    async with opened(path) as store:
        assert await store.expire(Retention()) == []
    assert rows(path, "SELECT count(*) FROM entries") == [(0,)]


def scope_canceller(scope: trio.CancelScope) -> Callable[[], Awaitable[None]]:
    async def cancel() -> None:
        scope.cancel()
        await trio.lowlevel.checkpoint()

    return cancel


async def test_space_is_used_again(path: Path) -> None:
    async with opened(path) as store:
        sizes: list[int] = []
        for n in range(4):
            await finished(store, f"r{n}", 3000)
            await store.expire(Retention(seconds=0))
            assert store._writer._db is not None
            [pages] = store._writer._db.execute("PRAGMA page_count").fetchone()
            sizes.append(pages)
        assert sizes[3] == sizes[1]


# The file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_files_are_for_nobody_else(path: Path) -> None:
    async with opened(path) as store:
        await store.create(record("a", private=b"secret"))
        files = {each.name: mode(each) for each in path.parent.iterdir()}
    assert files == dict.fromkeys(("runs.db", "runs.db-wal", "runs.db-shm", "runs.db.lock"), 0o600)
    path.chmod(0o640)
    async with opened(path):
        assert mode(path) == 0o640


async def cannot_open(path: Path, why: str, *, follow: bool = False) -> None:
    with pytest.raises(StoreUnavailable, match=why) as caught:
        async with opened(path, follow=follow):
            pytest.fail("it must not be opened")
    assert str(path) in str(caught.value)


async def test_what_cannot_be_opened(tmp_path: Path) -> None:
    await cannot_open(tmp_path, "is a directory: give the path of a file")
    assert not Path(f"{tmp_path}.lock").exists()
    await cannot_open(tmp_path / "none" / "runs.db", "can't be opened: No such file")
    text = tmp_path / "text.db"
    text.write_text("Dear diary, " * 1000)
    await cannot_open(text / "runs.db", "can't be opened: Not a directory")
    await cannot_open(text, "file is not a database")
    assert text.read_text() == "Dear diary, " * 1000
    other = tmp_path / "other.db"
    db = sqlite3.connect(other)
    db.execute("CREATE TABLE theirs (x)")
    db.close()
    await cannot_open(other, "the database of another program")
    assert rows(other, "SELECT name FROM sqlite_master") == [("theirs",)]
    assert rows(other, "PRAGMA journal_mode") == [("delete",)]
    await cannot_open(tmp_path / "nothing.db", "unable to open database file", follow=True)
    empty = tmp_path / "empty.db"
    empty.touch()
    await cannot_open(empty, "start a server of this version", follow=True)


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


async def test_open_twice(path: Path) -> None:
    store = SQLiteStore(path)
    async with store.open():
        for each in (store, SQLiteStore(path)):
            with pytest.raises(StoreUnavailable, match="in use by another server"):
                async with each.open():
                    pytest.fail("two servers")
        follower = SQLiteStore(path, follow=True)
        async with follower.open():
            with pytest.raises(StoreUnavailable, match="open already"):
                async with follower.open():
                    pytest.fail("twice")
            assert await follower.find(None, None, 1) == []
        await store.create(record("a"))


async def test_an_opening_that_is_cancelled_leaves_nothing_open(path: Path) -> None:
    store = SQLiteStore(path)
    with trio.CancelScope() as scope:
        scope.cancel()
        async with store.open():
            pytest.fail("it was cancelled")
    assert scope.cancelled_caught
    async with store.open():
        await store.create(record("a"))


async def test_after_the_death_of_the_machine_cursors_are_of_the_past(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def epochs() -> tuple[str, str]:
        async with opened(path) as store:
            active, done = await store.info("active"), await store.info("done")
            return active.record.epoch, done.record.epoch

    async with opened(path) as store:
        await store.create(record("active"))
        await finished(store, "done")
    assert await epochs() == ("e", "e")
    monkeypatch.setattr("trio_agent.stores.sqlite._store.boot_id", lambda: "another life")
    new, old = await epochs()
    assert new != "e"
    assert old == "e"
    assert await epochs() == (new, "e")


async def test_a_machine_without_a_boot_id(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", raise_os_error)
    async with opened(path) as store:
        await store.create(record("a"))
    async with opened(path) as store:
        assert (await store.info("a")).record.epoch == "e"


def raise_os_error(path: Path) -> str:
    raise FileNotFoundError(path)


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


# A disk that is full


async def limit_pages(store: SQLiteStore, pages: int) -> None:
    await store._writer.read(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchone())


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
        page = await store.read("a", 0, 1000)
        assert [entry.offset for entry in page.entries] == list(range(1, 202))


# Several processes

CHILD = """
import sys
import trio
from trio_agent import _events
from trio_agent._log import store as _store
from trio_agent._log import log as _log
from trio_agent.stores.sqlite import _store as _sqlite

def say(*words):
    print(*words, flush=True)

def delta(offset):
    return _log.Entry.of(offset, _events.TextDelta(at=0, delta=f"{offset}"))

def record(run_id):
    return _store.RunRecord(run_id=run_id, epoch="e", agent="a", created_at=0)

async def append(path):
    async with (store := _sqlite.SQLiteStore(path)).open():
        await store.create(record("a"))
        offset = 1
        while True:
            size = 1 + offset % 7
            entries = [delta(offset + n) for n in range(size)]
            [outcome] = await store.append([_log.Append("a", 1, entries)])
            assert outcome is _log.Appended.COMMITTED
            offset += size
            say(offset - 1)

async def hold(path):
    async with _sqlite.SQLiteStore(path).open():
        say("ready")
        await trio.sleep_forever()

async def follow(path):
    async with (store := _sqlite.SQLiteStore(path, follow=True)).open(), store.watch() as watch:
        watch.add("a")
        async for run_id in watch:
            try:
                info = await store.info(run_id)
            except Exception as exc:
                say(type(exc).__name__)
            else:
                say(info.tail)
                if info.tail == 3:
                    await store.request_cancel("a", "from afar")

trio.run(globals()[sys.argv[1]], sys.argv[2])
"""


class Lines:
    """What a child prints, line by line."""

    def __init__(self, child: trio.Process) -> None:
        assert child.stdout is not None
        self._stdout = child.stdout
        self._buffer = b""

    async def receive(self) -> str:
        while b"\n" not in self._buffer:
            data = await self._stdout.receive_some()
            if not data:
                raise EOFError
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    async def until(self, line: str) -> None:
        with trio.fail_after(60):
            while await self.receive() != line:
                pass


@asynccontextmanager
async def child(role: str, path: Path) -> AsyncIterator[tuple[trio.Process, Lines]]:
    command = [sys.executable, "-c", CHILD, role, str(path)]
    process = await trio.lowlevel.open_process(command, stdout=-1)
    assert process.stdout is not None
    async with process.stdout:
        try:
            yield process, Lines(process)
        finally:
            process.kill()
            with trio.move_on_after(30, shield=True):
                await process.wait()


@pytest.mark.parametrize("moment", [1, 20, 200])
async def test_what_was_acknowledged_survives_sigkill(path: Path, moment: int) -> None:
    acknowledged = 0
    async with child("append", path) as (process, lines):
        with trio.fail_after(60), suppress(EOFError):
            for _ in range(moment):
                acknowledged = int(await lines.receive())
            process.kill()
            while True:
                acknowledged = int(await lines.receive())
    async with opened(path) as store:
        info = await store.info("a")
        assert info.tail >= acknowledged >= moment
        assert (info.record.epoch, info.leased) == ("e", False)
        entries = (await store.read("a", 0, info.tail + 1)).entries
        assert [entry.event for entry in entries] == [
            TextDelta(at=0, delta=str(n + 1)) for n in range(info.tail)
        ]
        lease = await store.claim("a")
        assert lease is not None
        more = deltas("a", info.tail + 1, fence=lease.fence)
        assert await store.append([more]) == [Appended.COMMITTED]


async def test_another_server_has_the_file(path: Path) -> None:
    async with child("hold", path) as (process, lines):
        await lines.until("ready")
        await cannot_open(path, "in use by another server: stop that one")
        process.kill()
        with trio.fail_after(60):
            await process.wait()
        async with opened(path) as store:
            await store.create(record("a"))


async def test_a_follower_in_another_process(path: Path) -> None:
    async with opened(path) as store, store.watch() as watch:
        await store.create(record("a"))
        watch.add("a", log=False)
        await until(watch, "a")
        async with child("follow", path) as (_, lines):
            await lines.until("0")
            await store.append([deltas("a", 1, 2)])
            await lines.until("2")
            await store.append([deltas("a", 3)])
            await lines.until("3")
            await until(watch, "a")
            assert (await store.info("a")).cancel_reason == "from afar"
            await store.append([finish("a", 4)])
            await lines.until("4")
            await store.delete("a")
            await lines.until("CursorExpired")


async def test_a_follower_looks_on(path: Path) -> None:
    async with opened(path) as store, opened(path, follow=True) as follower:
        await store.create(record("a"))
        await store.append([deltas("a", 1, 2)])
        assert await follower.info("a") == await store.info("a")
        assert await follower.find(None, None, 5) == await store.find(None, None, 5)
        assert len((await follower.read("a", 0, 10)).entries) == 2
        assert await follower.renew([Lease("a", 1), Lease("a", 2)]) == [Lease("a", 2)]
        assert await follower.orphans(1) == []
        await follower.set_viewers("a", "f", 2)
        assert (await store.info("a")).viewers == 2
        refused: list[Callable[[], Awaitable[object]]] = [
            lambda: follower.create(record("b")),
            lambda: follower.append([deltas("a", 3)]),
            lambda: follower.claim("a"),
            lambda: follower.release(Lease("a", 1)),
            lambda: follower.renew_epoch(Lease("a", 1), "f"),
            lambda: follower.delete("a"),
            lambda: follower.expire(Retention(seconds=0)),
        ]
        for call in refused:
            with pytest.raises(StoreUnavailable, match="only its server can do this"):
                await call()


async def test_a_watch_tells_what_others_did(path: Path) -> None:
    """What kind of news it is, too: the growing of a log is none where nobody wants it."""
    async with opened(path) as store, opened(path, follow=True) as follower:
        for run_id in ("a", "b"):
            await store.create(record(run_id))
        async with follower.watch() as watch:
            watch.add("a")
            watch.add("b", log=False)
            await store.append([deltas("a", 1), deltas("b", 1)])
            for run_id in ("a", "b"):  # The first looks, after which it can be told apart.
                await until(watch, run_id)
            while not await quiet(watch):
                pass
            await store.append([deltas("b", 2)])
            await store.append([deltas("a", 2)])
            with trio.fail_after(60):
                assert await watch.receive() == "a"
            assert await quiet(watch)
            await store.release(Lease("b", 1))
            with trio.fail_after(60):
                assert await watch.receive() == "b"


async def quiet(watch: Watch) -> bool:
    """Whether there is no news for two looks."""
    with trio.move_on_after(0.12):
        await watch.receive()
        return False
    return True


async def test_a_watch_after_trouble_tells_everything(path: Path) -> None:
    async with opened(path) as store, opened(path, follow=True) as follower:
        for run_id in ("a", "b"):
            await store.create(record(run_id))
        async with follower.watch() as watch:
            for run_id in ("a", "b"):
                watch.add(run_id)
                await until(watch, run_id)
            db = sqlite3.connect(path)
            db.execute("ALTER TABLE runs RENAME TO away")
            with pytest.raises(StoreUnavailable, match="no such table: runs"):
                await follower.info("a")
            assert await quiet(watch)
            db.execute("ALTER TABLE away RENAME TO runs")
            db.close()
            with trio.fail_after(60):
                assert {await watch.receive(), await watch.receive()} == {"a", "b"}


async def test_nothing_is_polled_while_nothing_is_watched(path: Path) -> None:
    def timers() -> float:
        return trio.lowlevel.current_statistics().seconds_to_next_deadline

    async with opened(path) as store, store.watch() as watch:
        await store.create(record("a"))
        await trio.testing.wait_all_tasks_blocked()
        assert timers() == math.inf
        watch.add("a")
        await trio.testing.wait_all_tasks_blocked()
        assert timers() < 1
        watch.discard("a")
        with trio.fail_after(60):
            while timers() < 10:
                await trio.testing.wait_all_tasks_blocked(0.01)


async def test_statistics(path: Path) -> None:
    gate = threading.Event()
    async with opened(path) as store:
        assert store.statistics() == SQLiteStoreStatistics(0, 0, 0)
        async with store.watch(), trio.open_nursery() as nursery:
            for connection in (store._writer, store._reader):
                nursery.start_soon(connection.read, lambda db: gate.wait(30))
            await trio.testing.wait_all_tasks_blocked()
            for n in range(3):
                nursery.start_soon(store.create, record(f"r{n}"))
            nursery.start_soon(store.orphans, 1)
            await trio.testing.wait_all_tasks_blocked()
            assert store.statistics() == SQLiteStoreStatistics(writes=3, reads=1, watches=1)
            gate.set()
        assert store.statistics() == SQLiteStoreStatistics(0, 0, 0)


# Runs


def make_agent(count: int = 20) -> Agent:
    return Agent(model=ScriptedModel([f"word{n} " for n in range(count)]))


async def follow(events: Subscription) -> list[AnyEvent]:
    with events:
        return [event async for event in events]


async def events_of(store: Store, run_id: str) -> list[AnyEvent]:
    page = await store.read(run_id, 0, 1000)
    assert page.closed
    return [event for entry in page.entries if (event := entry.event) is not None]


async def test_a_run_and_its_readers(path: Path) -> None:
    store = SQLiteStore(path)
    seen: list[list[AnyEvent]] = []
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(make_agent(), "hi")

        async def live() -> None:
            seen.append(await follow(run.subscribe()))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(live)
        result = await run.wait()
        seen.append(await follow(run.subscribe()))
        tail = await follow(run.subscribe(after=15))
    async with opened(path) as again:
        log = await events_of(again, run.id)
    assert result.text == "".join(f"word{n} " for n in range(20))
    assert seen == [log] * 4
    assert tail == log[15:]
    assert [event.terminal for event in log] == [False] * (len(log) - 1) + [True]


async def test_runs_are_committed_in_groups(path: Path) -> None:
    store = FaultyStore(SQLiteStore(path))
    async with open_runtime(store=store) as runtime:
        runs = [await runtime.start(make_agent(50), "hi") for _ in range(20)]
        for run in runs:
            await run.wait()
        for run in runs:
            assert len(await events_of(store, run.id)) == 50 + 4
    assert store.calls["append"] < 100


async def test_a_run_waits_for_room_on_the_disk(path: Path) -> None:
    store = SQLiteStore(path)
    go = trio.Event()
    model = ScriptedModel(["a", go, "x" * 100_000, "b"])
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(Agent(model=model), "hi")
        with run.subscribe() as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
            await limit_pages(store, 1)
            go.set()
            with pytest.raises(StoreUnavailable, match="disk is full"):
                await store.create(record("probe", private=b"x" * 100_000))
            await limit_pages(store, 1_000_000)
            rest = [event async for event in events]
        assert (await run.wait()).text == "a" + "x" * 100_000 + "b"
        assert rest[-1].terminal
        assert len(await events_of(store, run.id)) == 1 + 1 + 3 + 2


def test_cancelled_at_every_operation(tmp_path: Path) -> None:
    numbers = itertools.count()

    async def scenario(sweep: Sweep) -> None:
        path = tmp_path / f"{next(numbers)}.db"
        with sweep:
            store = InterruptingStore(SQLiteStore(path), sweep.point)
            async with open_runtime(store=store) as runtime:
                run = await runtime.start(make_agent(3), "hi", idempotency_key="k")
                with run.subscribe() as events:
                    async for _ in events:
                        pass
                await run.wait()
        async with opened(path) as after:
            runs = await after.find(None, None, 10)
            assert len(runs) <= 1
            for info in runs:
                if info.tail:
                    log = await events_of(after, info.record.run_id)
                    assert [event.terminal for event in log] == [False] * (len(log) - 1) + [True]
                else:
                    assert info.active
                    assert not info.leased

    assert cancel_sweep(scenario, steps=False, clock=lambda: None) >= 8
