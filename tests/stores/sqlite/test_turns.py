"""Turns: a tree in a table, read from one of them back to the first."""

import sqlite3
from itertools import islice

import pytest
from sqlite_kit import begun, ended, said

from trio_agent._errors import LogDamaged, UnknownRun
from trio_agent._log.thread import Turn
from trio_agent.stores.sqlite._runs import number_of
from trio_agent.stores.sqlite._turns import add_turn, back, delete_turns, has_turn

THREAD = 1


@pytest.fixture
def tree(db: sqlite3.Connection) -> sqlite3.Connection:
    """a <- b <- c, b <- d, and e, which follows nothing; and a thread with the same names."""
    for run_id, follows in {"a": None, "b": "a", "c": "b", "d": "b", "e": None}.items():
        said(db, run_id, "t", run_id.encode(), follows=follows)
    said(db, "f", "t", b"else", owner="me")
    return db


@pytest.mark.parametrize(("last", "way"), [("a", "a"), ("c", "cba"), ("d", "dba"), ("e", "e")])
def test_the_way_back(tree: sqlite3.Connection, last: str, way: str) -> None:
    follows = [*way[1:], None]
    expected = [Turn(a, b, a.encode()) for a, b in zip(way, follows, strict=True)]
    assert list(back(tree, THREAD, "t", last)) == expected


@pytest.mark.parametrize("last", ["f", "nobody", ""])
def test_who_has_no_turn_in_it(tree: sqlite3.Connection, last: str) -> None:
    with pytest.raises(UnknownRun):
        next(back(tree, THREAD, "t", last))


@pytest.mark.parametrize(
    ("statement", "readable"),
    [
        ("DELETE FROM turns WHERE run_id = 'a'", 2),
        ("UPDATE turns SET data = 'x' WHERE run_id = 'b'", 1),
        ("UPDATE turns SET data = cast(x'ff' AS TEXT) WHERE run_id = 'c'", 0),
        ("UPDATE turns SET follows = x'00' WHERE run_id = 'c'", 0),
        ("UPDATE turns SET follows = 'f' WHERE run_id = 'c'", 1),
        # In a circle, and to itself.
        ("UPDATE turns SET follows = 'c' WHERE run_id = 'a'", 3),
        ("UPDATE turns SET follows = 'c' WHERE run_id = 'c'", 1),
    ],
)
def test_a_way_that_is_damaged(tree: sqlite3.Connection, statement: str, readable: int) -> None:
    tree.execute(statement)
    assert len(list(islice(back(tree, THREAD, "t", "c"), readable))) == readable
    with pytest.raises(LogDamaged, match="of thread 't'"):
        list(back(tree, THREAD, "t", "c"))
    assert [turn.run_id for turn in back(tree, THREAD, "t", "e")] == ["e"]


def test_what_a_thread_has(tree: sqlite3.Connection) -> None:
    assert has_turn(tree, THREAD)
    assert has_turn(tree, THREAD, "a")
    assert not has_turn(tree, THREAD, "f")
    assert not has_turn(tree, 99)


def test_each_run_adds_one(db: sqlite3.Connection) -> None:
    begun(db, "a", "t", follows="x")
    assert add_turn(db, THREAD, number_of(db, "a"), b"1")
    assert not add_turn(db, THREAD, number_of(db, "a"), b"2")
    assert db.execute("SELECT run_id, follows, data FROM turns").fetchall() == [("a", "x", b"1")]
    begun(db, "b", "u")
    db.execute("DELETE FROM records WHERE run = 2")
    assert not add_turn(db, 2, number_of(db, "b"), b"1")
    ended(db, "b")


def test_a_long_way_takes_no_longer_for_each_turn(db: sqlite3.Connection) -> None:
    with db:
        db.execute("BEGIN")
        for n in range(1000):
            said(db, f"r{n}", "t")
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    taken: list[int] = []
    db.set_progress_handler(step, 1)
    for count in (10, 1000):
        steps = 0
        assert len(list(islice(back(db, THREAD, "t", "r999"), count))) == count
        taken.append(steps)
    assert 0 < taken[1] <= taken[0] * 110


@pytest.mark.parametrize(
    ("sizes", "pieces"),
    [([1] * 3, [4]), ([1] * 4, [5, 1]), ([1] * 9, [5, 5, 2]), ([1, 9 * 4096, 1], [12, 2])],
)
def test_pieces(db: sqlite3.Connection, sizes: list[int], pieces: list[int]) -> None:
    for thread in (1, 2):
        db.execute("INSERT INTO thread_garbage VALUES (?)", (thread,))
        db.executemany(
            "INSERT INTO turns (thread, run_id, data) VALUES (?, ?, zeroblob(?))",
            [(thread, f"r{n}", size) for n, size in enumerate(sizes)],
        )
    assert [delete_turns(db, 1, 4) for _ in pieces] == pieces
    assert db.execute("SELECT DISTINCT thread FROM turns").fetchall() == [(2,)]
    assert db.execute("SELECT thread FROM thread_garbage").fetchall() == [(2,)]
