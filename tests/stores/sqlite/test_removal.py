"""How runs and threads are removed: out of sight at once, off the disk in pieces."""

import itertools
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from sqlite_kit import last, opened, rows
from store_kit import deltas, finish, finished, heard, record

from trio_agent._errors import CursorExpired, ThreadBusy, UnknownRun, UnknownThread
from trio_agent._limits import Retention
from trio_agent.stores.sqlite._removal import sweep
from trio_agent.stores.sqlite._store import SQLiteStore


async def test_tombstones_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_agent.stores.sqlite._removal._TOMBSTONES", 2)
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
    monkeypatch.setattr("trio_agent.stores.sqlite._removal._PIECE", 4)
    async with opened(path) as store:
        for run_id, count in (("a", 10), ("b", 0), ("c", 2), ("d", 3), ("e", 4)):
            await store.create(record(run_id, private=b"p", blobs={"f0": b"b" * 20_000}))
            for key in ("k", "l"):
                await store.deliver(run_id, key, b"d" * 20_000)
            before = [deltas(run_id, 1, count)] if count else []
            await store.append([*before, finish(run_id, count + 1)])
        await store.create(record("active", private=b"p", blobs={"f0": b"b"}))
        await store.append([deltas("active", 1, 5)])
        await store.deliver("active", "k", b"d")
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
    for table in ("records", "privates", "blobs", "inbox"):
        assert rows(path, f"SELECT count(*) FROM {table}") == [(1,)]
    assert rows(path, "SELECT * FROM garbage") == []


async def test_deleting_that_was_cut_off_goes_on_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path) as store:
        await finished(store, "a", 5, private=b"p", blobs={"f0": b"b" * 20_000, "f1": b"b"})
        with trio.CancelScope() as scope:
            monkeypatch.setattr(store, "_sweep", scope_canceller(scope))
            await store.delete("a")
        assert scope.cancelled_caught
        with pytest.raises(CursorExpired):
            await store.read("a", 0, 10)
        assert rows(path, "SELECT count(*) FROM entries") == [(6,)]
    async with opened(path) as store:
        assert await store.expire(Retention()) == []
    for table in ("entries", "records", "privates", "blobs", "garbage"):
        assert rows(path, f"SELECT count(*) FROM {table}") == [(0,)]


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
            db, _ = store._writer._open()
            [pages] = db.execute("PRAGMA page_count").fetchone()
            sizes.append(pages)
        assert sizes[3] == sizes[1]


# Threads


async def said(store: SQLiteStore, run_id: str, thread: str, **changes: Any) -> None:
    """A run in a thread behind its head, with a turn of 1000 bytes and a log of about 200."""
    owner = changes.get("owner")
    heads = {info.thread: info.head for info in await store.threads(owner, None, 9)}
    head = heads.get(thread)
    await store.create(record(run_id, thread=thread, head=head, follows=head, **changes))
    await store.append([last(run_id, b"x" * 1000)])


async def left(store: SQLiteStore, owner: str | None = None) -> str:
    """Name what is there: runs, and threads by capital letters."""
    runs = [info.record.run_id for info in await store.find(owner, None, 99)]
    threads = [info.thread for info in await store.threads(owner, None, 99)]
    return " ".join(sorted([*runs, *threads]))


async def test_a_thread_goes_with_its_runs(path: Path) -> None:
    async with opened(path) as store, store.watch() as watch:
        for run_id, thread in {"a": "T", "b": "U", "c": "T", "d": "T"}.items():
            await said(store, run_id, thread, owner="me")
        await said(store, "x", "T")
        await store.delete("c")
        watch.add("a")
        await heard(watch, "a")
        assert await store.delete_thread("me", "T") == ["a", "d"]
        await heard(watch, "a")
        assert (await left(store, "me"), await left(store)) == ("U b", "T b x")
        for run_id in "acd":
            with pytest.raises(CursorExpired):
                await store.info(run_id)
        for owner, thread in (("me", "T"), ("you", "U"), (None, "U")):
            with pytest.raises(UnknownThread):
                await store.delete_thread(owner, thread)
        # Its name is free, and what was said is not in it.
        await said(store, "n", "T", owner="me")
        assert [turn.run_id for turn in await store.turns("me", "T", "n", 9)] == ["n"]
        await store.create(record("active", thread="T", owner="me", head="n"))
        with pytest.raises(ThreadBusy):
            await store.delete_thread("me", "T")
        assert await left(store, "me") == "T U active b n"
    assert rows(path, "SELECT run_id FROM turns ORDER BY number") == [("b",), ("x",), ("n",)]
    assert rows(path, "SELECT * FROM thread_garbage") == []


async def test_turns_are_deleted_in_pieces(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_agent.stores.sqlite._removal._PIECE", 4)
    async with opened(path) as store:
        for n in range(20):
            await said(store, f"r{n}", "T" if n % 2 else "U")
        with trio.CancelScope() as scope, monkeypatch.context() as patch:
            patch.setattr(store, "_sweep", scope_canceller(scope))
            await store.delete_thread(None, "T")
        assert scope.cancelled_caught
        # Out of sight at once, and all of it there still.
        with pytest.raises(UnknownThread):
            await store.turns(None, "T", "r19", 9)
        assert rows(path, "SELECT count(*) FROM turns") == [(20,)]
        db, _ = store._writer._open()
        pieces: list[int] = []
        while sweep(db):
            pieces.append(rows(path, "SELECT count(*) FROM turns")[0][0])
        assert len(pieces) > 5
        assert max(a - b for a, b in itertools.pairwise([20, *pieces])) <= 4
    assert rows(path, "SELECT count(*) FROM turns") == [(10,)]
    assert rows(path, "SELECT * FROM thread_garbage") == []


KEEP_ALL = Retention(seconds=math.inf)


@pytest.mark.parametrize(
    ("retention", "removed", "there"),
    [
        (KEEP_ALL, "", "T U V a b c d e"),
        # Those that have ended, whatever their threads do; and what was said stays.
        (Retention(seconds=0), "a b c d", "T U V e"),
        (attrs.evolve(KEEP_ALL, max_runs=1), "a b c", "T U V d e"),
        (attrs.evolve(KEEP_ALL, thread_seconds=0), "", "V a b c d e"),
        (Retention(seconds=0, thread_seconds=0), "a b c d", "V e"),
        # There are 4 turns and 4 logs to count: V is in use.
        ((4, 4), "", "T U V a b c d e"),
        ((4, 3), "a", "T U V b c d e"),
        ((4, 2), "a b", "T U V c d e"),
        ((4, 1), "a b c", "T U V d e"),
        ((3, 1), "a b c", "U V d e"),
        ((2, 1), "a b c", "U V d e"),
        ((2, 0), "a b c d", "U V e"),
        ((0, 0), "a b c d", "V e"),
    ],
)
@pytest.mark.parametrize("again", [False, True], ids=["", "opened again"])
async def test_the_oldest_of_runs_and_threads_go_first(
    path: Path, retention: Retention | tuple[int, int], removed: str, there: str, again: bool
) -> None:
    async with opened(path) as store:
        for run_id, thread in {"a": "U", "b": "T", "c": "T", "d": "U"}.items():
            await said(store, run_id, thread)
        await said(store, "v", "V")
        await store.delete("v")
        await store.create(record("e", thread="V", head="v"))
        if isinstance(retention, tuple):
            turns, logs = retention
            size = (await store.info("a")).size
            retention = attrs.evolve(KEEP_ALL, max_bytes=turns * 1000 + logs * size)
        if not again:
            assert " ".join(await store.expire(retention)) == removed
            assert await left(store) == there
    if again:
        async with opened(path) as store:
            assert " ".join(await store.expire(retention)) == removed
            assert await left(store) == there
            assert await store.expire(retention) == []


async def test_threads_count_for_their_owners(path: Path) -> None:
    async with opened(path) as store:
        for run_id, owner in {"a": "ann", "b": "bob", "c": "ann", "n": None}.items():
            await said(store, run_id, run_id.upper(), owner=owner)
        size = (await store.info("a")).size
        for bound, removed, there in (
            (2000 + 2 * size, "", "A C a c"),
            (2000 + size, "a", "A C c"),
            (1000 + size, "", "C c"),
            (1000, "c b", "C"),
            (999, "", ""),
        ):
            retention = attrs.evolve(KEEP_ALL, owner_bytes=bound)
            assert " ".join(await store.expire(retention)) == removed
            assert await left(store, "ann") == there
        assert (await left(store), await left(store, "bob")) == ("N n", "")


async def test_runs_of_a_removed_thread_stay_its_own(path: Path) -> None:
    async with opened(path) as store:
        for run_id in "ab":
            await said(store, run_id, "T")
        assert await store.expire(attrs.evolve(KEEP_ALL, thread_seconds=0)) == []
        assert await left(store) == "a b"
        await said(store, "c", "T")
        assert (await store.thread(None, "T")).turns == 1
        listed = await store.find(None, None, 9, "T")
        assert [info.record.run_id for info in listed] == ["c", "b", "a"]
        assert await store.delete_thread(None, "T") == ["a", "b", "c"]
