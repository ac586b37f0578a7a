"""What tests of SQLite files share: a store on one, a look into it, and other processes."""

import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from store_kit import finish, record

from trio_agent._errors import StoreUnavailable, UnknownThread
from trio_agent._log.log import Append, Appended
from trio_agent.stores.sqlite import _acts as acts, _threads as threads
from trio_agent.stores.sqlite._store import SQLiteStore


@asynccontextmanager
async def opened(path: Path, *, follow: bool = False) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path, follow=follow)
    async with store.open():
        yield store


async def cannot_open(path: Path, why: str, *, follow: bool = False) -> None:
    with pytest.raises(StoreUnavailable, match=why) as caught:
        async with opened(path, follow=follow):
            pytest.fail("it must not be opened")
    assert str(path) in str(caught.value)


def rows(path: Path, query: str) -> list[Any]:
    db = sqlite3.connect(path)
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


async def limit_pages(store: SQLiteStore, pages: int) -> None:
    await store._writer.read(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchone())


def begun(db: sqlite3.Connection, run_id: str, thread: str, **changes: Any) -> None:
    """Begin a run behind the head of a thread, or where `follows` says."""
    try:
        head = threads.get(db, changes.get("owner"), thread).head
    except UnknownThread:
        head = None
    acts.create(db, record(run_id, **{"thread": thread, "head": head, "follows": head, **changes}))


def ended(db: sqlite3.Connection, run_id: str, turn: bytes = b"") -> None:
    """End it at its first event, with a turn or without."""
    assert acts.append(db, [last(run_id, turn)]) == [Appended.COMMITTED]


def last(run_id: str, turn: bytes = b"", *, offset: int = 1) -> Append:
    return Append(run_id, 1, finish(run_id, offset).entries, turn=turn)


def said(
    db: sqlite3.Connection, run_id: str, thread: str, turn: bytes = b"turn", **changes: Any
) -> None:
    """A run in a thread, from its beginning to its end, with a turn."""
    begun(db, run_id, thread, **changes)
    ended(db, run_id, turn)


CHILD = """
import sys
import trio
from trio_agent import _events
from trio_agent._log import run_info as _run_info
from trio_agent._log import log as _log
from trio_agent.stores.sqlite import _store as _sqlite

def say(*words):
    print(*words, flush=True)

def delta(offset):
    return _log.Entry.of(offset, _events.TextDelta(at=0, delta=f"{offset}"))

def record(run_id):
    return _run_info.RunRecord(run_id=run_id, epoch="e", agent="a", created_at=0)

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

async def answer(path):
    async with (store := _sqlite.SQLiteStore(path, follow=True)).open():
        say((await store.deliver("a", "k", b"from afar")).name)

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
