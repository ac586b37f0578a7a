"""How runs are removed: out of sight at once, off the disk in pieces."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlite_kit import opened, rows
from store_kit import deltas, finish, finished, record

from trio_agent._errors import CursorExpired, UnknownRun
from trio_agent._limits import Retention


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
