"""What is kept beside logs: read only by who asks for it, damaged alone, removed in pieces."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_kit import limit_pages, opened, rows
from store_kit import deltas, finish, record

from trio_agent._errors import LogDamaged, StoreUnavailable, UnknownBlob
from trio_agent._limits import Retention
from trio_agent._log.log import Append, Appended
from trio_agent._log.store import Store
from trio_agent.stores.sqlite import _acts as acts, _beside as beside, _claims as claims
from trio_agent.stores.sqlite._schema import migrate

FILE = b"file" * 1000


async def fill(store: Store, run_id: str) -> None:
    """A finished run with something beside it at offsets 0, 2 and 3, and a file."""
    await store.create(record(run_id, private=b"[0]", blobs={"f0": FILE, "f1": b""}))
    append = Append(run_id, 1, deltas(run_id, 1, 3).entries, {2: b"[2]", 3: b"[3]"})
    assert await store.append([append, finish(run_id, 4)]) == [Appended.COMMITTED] * 2


@pytest.mark.parametrize(
    ("offsets", "found"),
    [
        ([], []),
        ([0], [b"[0]"]),
        ([3, 1, 2], [b"[3]", b"", b"[2]"]),
        ([2, 2], [b"[2]", b"[2]"]),
        ([-1, 5, 1 << 70], [b""] * 3),
    ],
)
async def test_offsets(path: Path, offsets: Sequence[int], found: Sequence[bytes]) -> None:
    async with opened(path) as store:
        await fill(store, "a")
        assert await store.read_private("a", offsets) == found


@pytest.mark.parametrize("value", ["'x'", "7", "cast(x'ff' AS TEXT)"])
async def test_damage_is_of_one_run_and_told_to_who_reads_it(path: Path, value: str) -> None:
    async with opened(path) as store:
        for run_id in ("a", "bad"):
            await fill(store, run_id)
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"UPDATE privates SET data = {value} WHERE run = 2 AND offset = 2")
            db.execute(f"UPDATE blobs SET data = {value} WHERE run = 2 AND digest = 'f0'")
            db.commit()
        for act in (store.read_private("bad", [0, 2]), store.read_blob("bad", "f0")):
            with pytest.raises(LogDamaged, match="of run 'bad' is damaged"):
                await act
        # All else is there.
        assert await store.read_private("bad", [0, 3]) == [b"[0]", b"[3]"]
        assert await store.read_blob("bad", "f1") == b""
        assert await store.read_private("a", [0, 2]) == [b"[0]", b"[2]"]
        assert await store.read_blob("a", "f0") == FILE
        assert [info.record.run_id for info in await store.find(None, None, 9)] == ["bad", "a"]
        await store.delete("bad")
    assert rows(path, "SELECT DISTINCT run FROM privates UNION SELECT run FROM blobs") == [(1,)]


async def test_what_does_not_ask_for_it_does_not_touch_it(path: Path) -> None:
    async with opened(path) as store:
        await fill(store, "a")
        with closing(sqlite3.connect(path)) as db:
            db.execute("DROP TABLE privates")
            db.execute("DROP TABLE blobs")
            db.commit()
        assert (await store.info("a")).record == record("a")
        assert len(await store.find(None, None, 9)) == 1
        assert len((await store.read("a", 0, 9)).entries) == 4
        assert await store.expire(Retention()) == []


async def test_a_follower_reads_it(path: Path) -> None:
    async with opened(path) as server, opened(path, follow=True) as store:
        await fill(server, "a")
        assert await store.read_private("a", [0, 2]) == [b"[0]", b"[2]"]
        assert await store.read_blob("a", "f0") == FILE
        with pytest.raises(UnknownBlob):
            await store.read_blob("a", "f2")


async def test_a_creation_that_fails_leaves_nothing(path: Path) -> None:
    async with opened(path) as store:
        await fill(store, "a")
        await limit_pages(store, 1)
        with pytest.raises(StoreUnavailable, match="disk is full"):
            await store.create(record("b", private=b"p", blobs={"f0": b"b", "f1": bytes(100_000)}))
    for table in ("runs", "records", "blobs"):
        assert rows(path, f"SELECT DISTINCT run FROM {table}") == [(1,)]


# Removal

PAGE = beside._PAGE


@pytest.mark.parametrize(
    ("privates", "blobs", "size", "pieces"),
    [
        ([], [], 4, [0]),
        ([1], [1], 4, [2]),
        ([1] * 9, [1], 4, [4, 4, 2]),
        ([1] * 2, [1] * 2, 4, [4, 0]),
        # A large one counts by its pages, and is deleted in one go.
        ([3 * PAGE], [1], 4, [4, 1]),
        ([1, 9 * PAGE, 1], [], 4, [11, 1]),
        ([1], [9 * PAGE] * 2, 4, [11, 10, 0]),
    ],
)
def test_pieces(
    path: Path, privates: list[int], blobs: list[int], size: int, pieces: list[int]
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, path)
        for run in (1, 2):
            db.executemany(
                "INSERT INTO privates (run, offset, data) VALUES (?, ?, zeroblob(?))",
                [(run, offset, length) for offset, length in enumerate(privates)],
            )
            db.executemany(
                "INSERT INTO blobs (run, digest, data) VALUES (?, ?, zeroblob(?))",
                [(run, f"f{n}", length) for n, length in enumerate(blobs)],
            )
        assert [beside.delete_piece(db, 1, size) for _ in pieces] == pieces
        assert db.execute("SELECT count(*) FROM privates").fetchone() == (len(privates),)
        assert db.execute("SELECT count(*) FROM blobs").fetchone() == (len(blobs),)


async def test_nobody_else_reads_it(path: Path) -> None:
    async with opened(path) as store:
        await fill(store, "r")
    read: set[str] = set()

    def note(action: int, table: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_READ:
            read.add(str(table))
        return sqlite3.SQLITE_OK

    with closing(sqlite3.connect(path)) as db:
        db.set_authorizer(note)
        acts.info(db, "r")
        acts.find(db, None, None, 9)
        acts.read(db, "r", 0, 9)
        claims.orphans(db, "", 9)
        assert {"runs", "entries"} <= read
        assert not read & {"privates", "blobs", "inbox"}
        assert beside.read_blob(db, "r", "f0") == FILE
        assert "blobs" in read
