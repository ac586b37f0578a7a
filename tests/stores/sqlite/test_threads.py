"""Threads in tables: taken and freed with their runs, listed, counted, damaged alone."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from sqlite_kit import begun, ended, last, opened, rows, said
from store_kit import deltas, finish, record

from trio_agent._errors import (
    LimitExceeded,
    LogDamaged,
    StoreUnavailable,
    ThreadBusy,
    ThreadMoved,
    UnknownRun,
    UnknownThread,
)
from trio_agent._log.log import PAGE_BYTES, Appended
from trio_agent._log.thread import ThreadInfo
from trio_agent.stores.sqlite import _acts as acts, _removal as removal, _threads as threads
from trio_agent.stores.sqlite._rows import text, warn


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """As if nothing had been warned of before."""
    warn.cache_clear()
    yield
    warn.cache_clear()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the store's clock."""

    def set_clock(value: float) -> None:
        monkeypatch.setattr("trio_agent.stores.sqlite._clock.now", lambda: value)

    set_clock(1.0)
    return set_clock


def names(found: list[ThreadInfo]) -> str:
    return " ".join(info.thread for info in found)


def table(db: sqlite3.Connection) -> list[tuple[object, ...]]:
    return db.execute("SELECT name, head, active, turns, size FROM threads").fetchall()


# Runs in them


def test_a_run_takes_its_thread_and_frees_it(
    db: sqlite3.Connection, now: Callable[[float], None]
) -> None:
    thread = ThreadInfo("t", "me", None, "a", turns=0, size=0, updated_at=1000)
    begun(db, "a", "t", owner="me")
    assert threads.get(db, "me", "t") == thread
    acts.append(db, [deltas("a", 1)])
    now(2.0005)
    # A turn beside what ends nothing is none.
    assert acts.append(db, [last("a", b"said", offset=2)]) == [Appended.COMMITTED]
    thread = attrs.evolve(thread, head="a", active=None, turns=1, size=4, updated_at=2000)
    assert threads.get(db, "me", "t") == thread
    # A repetition finds it done.
    now(9)
    assert acts.append(db, [last("a", b"said", offset=2)]) == [Appended.COMMITTED]
    assert threads.get(db, "me", "t") == thread
    begun(db, "b", "t", owner="me")
    thread = attrs.evolve(thread, active="b", updated_at=9000)
    assert threads.get(db, "me", "t") == thread
    ended(db, "b")
    assert threads.get(db, "me", "t") == attrs.evolve(thread, active=None)
    info = acts.info(db, "b").record
    assert (info.thread, info.follows, info.head) == ("t", "a", None)


def test_one_without_a_turn_is_there_no_more(db: sqlite3.Connection) -> None:
    begun(db, "a", "t")
    ended(db, "a")
    assert table(db) == []
    with pytest.raises(UnknownThread):
        threads.get(db, None, "t")


@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize("head", [None, "a", "b", "x"])
def test_who_may_begin(db: sqlite3.Connection, active: bool, head: str | None) -> None:
    said(db, "a", "t")
    said(db, "b", "t", follows=None)
    before = len(acts.find(db, None, None, 9))
    if active:
        begun(db, "c", "t")
        before += 1
    new = record("d", thread="t", head=head, follows="a")
    if active:
        with pytest.raises(ThreadBusy) as caught:
            acts.create(db, new)
        assert (caught.value.thread, caught.value.run_id) == ("t", "c")
    elif head == "b":
        assert acts.create(db, new).lease
        return
    else:
        with pytest.raises(ThreadMoved, match="has the head 'b' now"):
            acts.create(db, new)
    assert len(acts.find(db, None, None, 9)) == before
    assert threads.get(db, None, "t").active == ("c" if active else None)


def test_the_first_of_a_thread_sees_no_head(db: sqlite3.Connection) -> None:
    with pytest.raises(ThreadMoved, match="has the head None now"):
        acts.create(db, record("a", thread="t", head="x"))
    assert table(db) == []


def test_a_key_that_has_a_run_comes_first(db: sqlite3.Connection) -> None:
    begun(db, "a", "t", idempotency_key="k")
    created = acts.create(db, record("b", thread="t", head="moved", idempotency_key="k"))
    assert (created.run_id, created.lease) == ("a", None)


def test_the_id_of_a_turn_is_taken(db: sqlite3.Connection) -> None:
    said(db, "a", "t")
    removal.delete(db, "a")
    with pytest.raises(LimitExceeded, match="'a' is taken"):
        begun(db, "a", "t")
    begun(db, "a", "u")


def test_threads_are_their_owners(db: sqlite3.Connection) -> None:
    for n, owner in enumerate((None, "", "me")):
        said(db, f"r{n}", "t", owner=owner)
        begun(db, f"s{n}", "t", owner=owner)
    for n, owner in enumerate((None, "", "me")):
        info = threads.get(db, owner, "t")
        assert (info.owner, info.head, info.active) == (owner, f"r{n}", f"s{n}")
        assert [run.record.run_id for run in acts.find(db, owner, None, 9, "t")] == [
            f"s{n}",
            f"r{n}",
        ]
    for act in (threads.get, threads.free_number):
        with pytest.raises(UnknownThread):
            act(db, "you", "t")


@pytest.mark.parametrize("name", ["", "ü\0", "'; --", "x" * 5000])
def test_any_name_will_do(db: sqlite3.Connection, name: str) -> None:
    said(db, "a", name)
    assert names(threads.threads(db, None, None, 9)) == name
    assert threads.turns(db, None, name, "a", 9)
    with pytest.raises(UnknownThread):
        threads.get(db, None, f"{name} ")


def test_runs_of_a_thread(db: sqlite3.Connection) -> None:
    for n in range(9):
        said(db, f"r{n}", "even" if n % 2 == 0 else "odd", owner="me")
    said(db, "x", "even")

    def runs(before: str | None, limit: int, thread: str) -> str:
        found = acts.find(db, "me", before, limit, thread)
        return " ".join(info.record.run_id for info in found)

    assert runs(None, 2, "even") == "r8 r6"
    assert runs("r6", 9, "even") == "r4 r2 r0"
    assert runs("r5", 1, "even") == "r4"
    assert runs(None, 9, "odd") == "r7 r5 r3 r1"
    assert runs(None, 9, "none") == ""


def test_an_append_that_ends_nothing_costs_no_more(db: sqlite3.Connection) -> None:
    begun(db, "a", "t")
    acts.create(db, record("plain"))
    costs: dict[str, list[int]] = {}
    statements = 0

    def note(_: str) -> None:
        nonlocal statements
        statements += 1

    db.set_trace_callback(note)
    for run_id in ("plain", "a"):
        for append in (deltas(run_id, 1), deltas(run_id, 2, 3), finish(run_id, 5)):
            statements = 0
            assert acts.append(db, [append]) == [Appended.COMMITTED]
            costs.setdefault(run_id, []).append(statements)
    # A look, each entry, the run's row.
    assert costs["plain"] == [3, 5, 5]
    assert costs["a"][:2] == costs["plain"][:2]


# Lists


def test_lists(db: sqlite3.Connection, now: Callable[[float], None]) -> None:
    for n, (when, name) in enumerate([(1, "b"), (1, "a"), (1, "ü"), (3, "c"), (2, "d")]):
        now(when)
        said(db, f"r{n}", name, owner="me")
        said(db, f"x{n}", name, owner=None if n else "")
    found = threads.threads(db, "me", None, 9)
    assert names(found) == "c d ü b a"
    for number, info in enumerate(found):
        assert threads.threads(db, "me", info.cursor, 9) == found[number + 1 :]
    assert names(threads.threads(db, "me", None, 2)) == "c d"
    assert names(threads.threads(db, "me", (2000, "d"), 1)) == "ü"
    assert names(threads.threads(db, None, None, 9)) == "c d ü a"
    assert names(threads.threads(db, "", None, 9)) == "b"
    assert threads.threads(db, "you", None, 9) == []
    now(4)
    begun(db, "again", "a", owner="me")
    assert names(threads.threads(db, "me", None, 9)) == "a c d ü b"


@pytest.mark.parametrize(
    ("when", "found"), [(1 << 70, "t"), (-(1 << 70), ""), (1000, "t"), (999, "")]
)
def test_a_cursor_of_any_number(
    db: sqlite3.Connection, now: Callable[[float], None], when: int, found: str
) -> None:
    said(db, "a", "t")
    assert names(threads.threads(db, None, (when, "u"), 9)) == found


# Turns


@pytest.mark.parametrize(("limit", "way"), [(9, "cba"), (3, "cba"), (2, "cb"), (1, "c"), (0, "")])
def test_turns(db: sqlite3.Connection, limit: int, way: str) -> None:
    for run_id in "abc":
        said(db, run_id, "t", owner="me")
    found = threads.turns(db, "me", "t", "c", limit)
    assert "".join(turn.run_id for turn in found) == way
    with pytest.raises(UnknownThread):
        threads.turns(db, None, "t", "c", 9)
    with pytest.raises(UnknownRun):
        threads.turns(db, "me", "t", "x", 9)


def test_a_page_of_turns_has_its_size(db: sqlite3.Connection) -> None:
    for n in range(4):
        said(db, f"r{n}", "t", bytes(PAGE_BYTES // 2 + (n == 3)))
    assert [turn.run_id for turn in threads.turns(db, None, "t", "r2", 9)] == ["r2", "r1"]
    assert [turn.run_id for turn in threads.turns(db, None, "t", "r3", 9)] == ["r3"]


def test_a_turn_stays_when_its_run_goes(db: sqlite3.Connection) -> None:
    for run_id in "ab":
        said(db, run_id, "t")
    before = threads.get(db, None, "t")
    removal.delete(db, "b")
    while removal.sweep(db):
        pass
    assert threads.get(db, None, "t") == before
    assert [turn.run_id for turn in threads.turns(db, None, "t", "b", 9)] == ["b", "a"]


# Damage


@pytest.mark.parametrize(
    ("statement", "busy"),
    [
        ("SELECT 1", True),
        ("UPDATE records SET epoch = '' WHERE run = 2", True),
        ("UPDATE threads SET touched = 'x'", True),
        ("DELETE FROM runs WHERE run = 2", False),
        ("UPDATE runs SET tail = 'x' WHERE run = 2", False),
        ("UPDATE runs SET run_id = x'00' WHERE run = 2", False),
        ("UPDATE runs SET run_id = '../b' WHERE run = 2", False),
        ("UPDATE runs SET finished_at = 1 WHERE run = 2", False),
        ("UPDATE threads SET active = 'x'", False),
        ("UPDATE threads SET active = 99", False),
    ],
)
def test_who_can_never_end_does_not_keep_it(
    db: sqlite3.Connection, statement: str, busy: bool
) -> None:
    said(db, "a", "t")
    begun(db, "b", "t")
    db.execute(statement)
    assert threads.get(db, None, "t").active == ("b" if busy else None)
    if busy:
        for act in (threads.free_number, removal.delete_thread):
            with pytest.raises(ThreadBusy):
                act(db, None, "t")
    else:
        said(db, "c", "t", b"more")
        info = threads.get(db, None, "t")
        assert (info.head, info.active, info.turns, info.size) == ("c", None, 2, 8)
        assert removal.delete_thread(db, None, "t")[-1] == "c"
        assert table(db) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("head", "x'00'"),
        ("head", "cast(x'ff' AS TEXT)"),
        ("turns", "'x'"),
        ("turns", "-1"),
        ("size", "'x'"),
        ("size", "x'00'"),
        ("updated_at", "'x'"),
        ("updated_at", "-1"),
    ],
)
def test_damage_is_of_one_thread(
    db: sqlite3.Connection, column: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    db.text_factory = text
    for n, name in enumerate(("well", "bad", "fine")):
        said(db, f"r{n}", name)
    db.execute(f"UPDATE threads SET {column} = {value} WHERE name = 'bad'")
    for _ in range(2):
        for limit in (2, 9):
            found = names(threads.threads(db, None, None, limit))
            assert set(found.split()) == {"well", "fine"}
    [warning] = caplog.records
    assert "bad" not in warning.getMessage()
    for act in (
        lambda: threads.get(db, None, "bad"),
        lambda: acts.create(db, record("n", thread="bad", head="r1")),
    ):
        with pytest.raises(LogDamaged, match="of thread 'bad' is damaged"):
            act()
    # Its turns are there, and it can be removed.
    assert threads.turns(db, None, "bad", "r1", 9)
    assert removal.delete_thread(db, None, "bad") == ["r1"]
    with pytest.raises(UnknownThread):
        threads.get(db, None, "bad")


@pytest.mark.parametrize(
    "statement", ["DELETE FROM threads", "UPDATE threads SET active = NULL", "DELETE FROM records"]
)
def test_a_run_ends_whatever_has_become_of_its_thread(
    db: sqlite3.Connection, statement: str
) -> None:
    said(db, "a", "t")
    begun(db, "b", "t")
    db.execute(statement)
    before = [(name, head) for name, head, *_ in table(db)]
    ended(db, "b", b"lost")
    assert [(name, head) for name, head, *_ in table(db)] == before
    assert db.execute("SELECT run_id FROM turns").fetchall() == [("a",)]


@pytest.mark.parametrize("turns", [0, 1])
def test_a_damaged_run_that_is_deleted_frees_its_thread(db: sqlite3.Connection, turns: int) -> None:
    if turns:
        said(db, "a", "t")
    begun(db, "b", "t")
    db.execute("UPDATE runs SET tail = 'x' WHERE run_id = 'b'")
    removal.delete(db, "b")
    assert [row[2] for row in table(db)] == [None] * turns


def test_a_lost_run_keeps_no_thread_from_being_idle(db: sqlite3.Connection) -> None:
    for name in ("lost", "busy"):
        begun(db, name, name)
    said(db, "a", "idle")
    db.execute("DELETE FROM runs WHERE run_id = 'lost'")
    assert [each.key for each in threads.idle(db, None)] == [3]
    threads.free_lost(db)
    assert sorted(each.key for each in threads.idle(db, None)) == [1, 3]


# By their age


def test_idle_ones(db: sqlite3.Connection, now: Callable[[float], None]) -> None:
    for when, (run_id, owner) in enumerate({"a": "me", "b": None, "c": "me", "d": "you"}.items()):
        now(when)
        said(db, run_id, run_id, run_id.encode() * 2, owner=owner)
    begun(db, "busy", "d", owner="you")
    begun(db, "new", "n", owner="me")
    assert [(each.key, each.since, each.size) for each in threads.idle(db, None)] == [
        (1, 0, 2),
        (2, 1, 2),
        (3, 2, 2),
    ]
    assert [each.key for each in threads.idle(db, "me")] == [1, 3]
    assert list(threads.idle(db, "you")) == []
    # Since when these are idle is not known.
    db.execute("UPDATE threads SET touched = 'x' WHERE thread = 1")
    assert [each.key for each in threads.idle(db, None)] == [2, 3]


@pytest.mark.parametrize("owner", [None, "me"])
def test_what_is_asked_often_is_in_an_index(db: sqlite3.Connection, owner: str | None) -> None:
    said(db, "a", "t", owner=owner)
    asked: list[str] = []
    db.set_trace_callback(asked.append)
    threads.get(db, owner, "t")
    threads.threads(db, owner, (1 << 50, "t"), 9)
    threads.turns(db, owner, "t", "a", 9)
    acts.find(db, owner, None, 9, "t")
    list(threads.idle(db, owner))
    threads.free_lost(db)
    said(db, "b", "t", owner=owner)
    db.set_trace_callback(None)
    plans = [
        step
        for statement in asked
        for *_, step in db.execute(f"EXPLAIN QUERY PLAN {statement}")
        if "TEMP" in step or ("SCAN" in step and "totals" not in step)
    ]
    # All of them in their order is what that asks for.
    assert set(plans) <= {"SCAN threads USING INDEX threads_idle"}
    [[*_, plan], *_] = db.execute(f"EXPLAIN QUERY PLAN {asked[0]}")
    assert "threads_by_name (<expr>=? AND <expr>=? AND name=?)" in plan


# In a file


async def test_they_outlive_their_server(path: Path) -> None:
    async with opened(path) as store:
        for n in range(3):
            follows = f"r{n - 1}" if n else None
            await store.create(record(f"r{n}", thread="t", head=follows, follows=follows))
            await store.append([last(f"r{n}", b"turn")])
        await store.create(record("active", thread="t", head="r2", follows="r2"))
        before = await store.thread(None, "t")
    async with opened(path) as store:
        assert await store.thread(None, "t") == before
        assert (before.head, before.active, before.turns, before.size) == ("r2", "active", 3, 12)
        with pytest.raises(ThreadBusy):
            await store.create(record("other", thread="t", head="r2"))
        lease = await store.claim("active")
        assert lease is not None
        end = last("active", b"turn")
        end.fence = lease.fence
        assert await store.append([end]) == [Appended.COMMITTED]
        assert len(await store.turns(None, "t", "active", 9)) == 4


async def test_a_follower_reads_them(path: Path) -> None:
    async with opened(path) as server, opened(path, follow=True) as store:
        await server.create(record("a", thread="t", owner="me"))
        await server.append([last("a", b"turn")])
        thread = await server.thread("me", "t")
        assert await store.thread("me", "t") == thread
        assert await store.threads("me", None, 9) == [thread]
        assert [turn.data for turn in await store.turns("me", "t", "a", 9)] == [b"turn"]
        assert [info.record.run_id for info in await store.find("me", None, 9, "t")] == ["a"]
        with pytest.raises(StoreUnavailable, match="only its server can do this"):
            await store.delete_thread("me", "t")


async def test_a_run_that_cannot_begin_leaves_nothing(path: Path) -> None:
    async with opened(path) as store:
        await store.create(record("a", thread="t"))
        for thread, error in (("t", ThreadBusy), ("u", ThreadMoved)):
            with pytest.raises(error):
                await store.create(record("b", thread=thread, head="x", private=b"p"))
    for name in ("runs", "records", "threads"):
        assert rows(path, f"SELECT count(*) FROM {name}") == [(1,)]
    assert rows(path, "SELECT * FROM privates WHERE data != x''") == []
