"""Inboxes: each key once, numbers without a gap, pages, damage of one run."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_kit import limit_pages, opened
from store_kit import deltas, finish, record

from trio_agent._errors import LimitExceeded, LogDamaged, StoreUnavailable, UnknownRun
from trio_agent._limits import Retention
from trio_agent._log.inbox import Delivered, Delivery
from trio_agent._log.log import PAGE_BYTES
from trio_agent._log.store import Lease
from trio_agent.stores.sqlite import _acts as acts, _inbox as inbox


def test_each_key_is_taken_once(db: sqlite3.Connection) -> None:
    for run_id in ("a", "b"):
        acts.create(db, record(run_id))
    for run_id, key, data, outcome in [
        ("a", "k", b"1", Delivered.DELIVERED),
        ("a", "k", b"1", Delivered.DELIVERED),
        ("a", "k", b"2", Delivered.TAKEN),
        ("a", "", b"", Delivered.DELIVERED),
        ("b", "k", b"2", Delivered.DELIVERED),
        ("a", "ü\0", b"\xff\0", Delivered.DELIVERED),
    ]:
        assert inbox.deliver(db, run_id, key, data) is outcome
    acts.append(db, [finish("a", 1)])
    assert inbox.deliver(db, "a", "k", b"1") is Delivered.DELIVERED
    assert inbox.deliver(db, "a", "k", b"2") is Delivered.CLOSED
    found = [Delivery(1, "k", b"1"), Delivery(2, "", b""), Delivery(3, "ü\0", b"\xff\0")]
    assert inbox.inbox(db, "a", 0, 10) == found
    assert inbox.inbox(db, "b", 0, 10) == [Delivery(1, "k", b"2")]
    assert (acts.info(db, "a").delivered, acts.info(db, "b").delivered) == (3, 1)
    for act in (inbox.deliver, inbox.inbox):
        with pytest.raises(UnknownRun):
            act(db, "nobody", *(("k", b"") if act is inbox.deliver else (0, 10)))


@pytest.mark.parametrize(
    ("after", "limit", "numbers"),
    [
        (0, 10, [1, 2, 3, 4, 5]),
        (0, 2, [1, 2]),
        (3, 10, [4, 5]),
        (0, 0, []),
        (5, 10, []),
        (1 << 70, 10, []),
    ],
)
def test_pages(db: sqlite3.Connection, after: int, limit: int, numbers: list[int]) -> None:
    acts.create(db, record("a"))
    for n in range(5):
        inbox.deliver(db, "a", f"k{n}", b"")
    assert [each.number for each in inbox.inbox(db, "a", after, limit)] == numbers


def test_a_page_has_its_size(db: sqlite3.Connection) -> None:
    acts.create(db, record("a"))
    for n in range(3):
        inbox.deliver(db, "a", f"k{n}", bytes(PAGE_BYTES // 2 + n))
    assert [each.number for each in inbox.inbox(db, "a", 0, 10)] == [1]
    assert [each.number for each in inbox.inbox(db, "a", 1, 10)] == [2]


@pytest.mark.parametrize(("bound", "value"), [("INBOX_ITEMS", 2), ("INBOX_BYTES", 20)])
def test_it_is_bounded(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(f"trio_agent._log.inbox.{bound}", value)
    acts.create(db, record("a"))
    for key in ("k", "l"):
        assert inbox.deliver(db, "a", key, bytes(10)) is Delivered.DELIVERED
    with pytest.raises(LimitExceeded):
        inbox.deliver(db, "a", "m", b"x")
    # What is there is there.
    assert inbox.deliver(db, "a", "l", bytes(10)) is Delivered.DELIVERED
    assert inbox.deliver(db, "a", "l", b"x") is Delivered.TAKEN


async def test_it_counts_in_the_size_of_its_run(path: Path) -> None:
    async with opened(path) as store:
        for run_id in ("a", "b"):
            await store.create(record(run_id))
            before = (await store.info(run_id)).size
            for data in (bytes(100_000), bytes(100_000), b"else"):
                await store.deliver(run_id, "k", data)
            assert (await store.info(run_id)).size == before + 100_000
            await store.append([finish(run_id, 1)])
        assert await store.expire(Retention(max_bytes=150_000)) == ["a"]
    async with opened(path) as store:
        assert await store.expire(Retention(max_bytes=50_000)) == ["b"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE inbox SET data = 'x' WHERE run = 2",
        "UPDATE inbox SET data = cast(x'ff' AS TEXT) WHERE run = 2",
        "UPDATE inbox SET key = 'other', data = 7 WHERE run = 2",
        "UPDATE inbox SET number = 'x' WHERE run = 2",
        "DELETE FROM inbox WHERE run = 2",
    ],
)
async def test_damage_is_of_one_run(path: Path, statement: str) -> None:
    async with opened(path) as store:
        for run_id in ("a", "bad"):
            await store.create(record(run_id))
            await store.deliver(run_id, "k", b"{}")
        with closing(sqlite3.connect(path)) as db:
            db.execute(statement)
            db.commit()
        with pytest.raises(LogDamaged, match="of run 'bad' is damaged"):
            await store.inbox("bad", 0, 10)
        assert await store.inbox("a", 0, 10) == [Delivery(1, "k", b"{}")]
        # All else is there, and goes on.
        assert (await store.info("bad")).delivered == 1
        await store.append([deltas("bad", 1), finish("bad", 2)])
        await store.delete("bad")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE inbox SET data = 'x'",
        "UPDATE inbox SET key = 'other', number = 2",
        "UPDATE runs SET delivered = 0; UPDATE inbox SET key = 'other'",
    ],
)
def test_what_is_damaged_takes_nothing_more(db: sqlite3.Connection, statement: str) -> None:
    acts.create(db, record("a"))
    inbox.deliver(db, "a", "k", b"{}")
    db.executescript(statement)
    with pytest.raises(LogDamaged):
        inbox.deliver(db, "a", "k", b"{}")


async def test_a_full_disk_takes_nothing(path: Path) -> None:
    async with opened(path) as store:
        await store.create(record("a"))
        await limit_pages(store, 1)
        with pytest.raises(StoreUnavailable, match="disk is full"):
            await store.deliver("a", "k", bytes(100_000))
        await limit_pages(store, 1_000_000)
        assert (await store.info("a")).delivered == 0
        assert await store.park(Lease("a", 1), 0, None)
