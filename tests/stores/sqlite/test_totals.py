"""What finished runs and threads have, counted: always what they themselves say."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_kit import begun, ended, said
from store_kit import deltas, finish, record

from trio_agent._log.log import Appended
from trio_agent.stores.sqlite import (
    _acts as acts,
    _removal as removal,
    _threads as threads,
    _totals as totals,
)
from trio_agent.stores.sqlite._runs import number_of
from trio_agent.stores.sqlite._schema import migrate

OWNERS = {"a": "ann", "b": "", "c": "ann", "n": None}


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a file with a run of each of these owners, none of which has ended."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, path)
        for run_id, owner in OWNERS.items():
            acts.create(db, record(run_id, owner=owner))
            acts.append(db, [deltas(run_id, 1)])
        yield db


def counted(db: sqlite3.Connection) -> tuple[int, int, dict[str, int]]:
    [(finished, size)] = db.execute("SELECT finished, size FROM totals")
    return finished, size, dict(db.execute("SELECT owner, size FROM owned"))


def end(db: sqlite3.Connection, run_id: str) -> int:
    """End a run; return its number."""
    assert acts.append(db, [finish(run_id, 2)]) == [Appended.COMMITTED]
    return number_of(db, run_id)


def test_a_run_counts_from_its_end_until_it_is_removed(db: sqlite3.Connection) -> None:
    assert counted(db) == (0, 0, {})
    numbers = {run_id: end(db, run_id) for run_id in OWNERS}
    size = acts.info(db, "a").size
    everything = 4, 4 * size, {"ann": 2 * size, "": size}
    assert counted(db) == everything
    # A repetition finds it done.
    assert acts.append(db, [finish("a", 2)]) == [Appended.COMMITTED]
    assert counted(db) == everything
    totals.uncount(db, numbers["a"])
    assert counted(db) == (3, 3 * size, {"ann": size, "": size})
    totals.uncount(db, numbers["n"])
    totals.uncount(db, numbers["c"])
    assert counted(db) == (1, size, {"": size})


def test_turns_count_from_their_runs_ends_until_their_thread_is_removed(
    db: sqlite3.Connection,
) -> None:
    before = counted(db)
    for n, owner in enumerate(("ann", None, "")):
        begun(db, f"t{n}", "t", owner=owner)
    assert counted(db) == before
    for n in range(3):
        ended(db, f"t{n}", b"turn" * 10)
    [size, other, _] = [acts.info(db, f"t{n}").size for n in range(3)]
    everything = 3, 2 * size + other + 120, {"ann": size + 40, "": size + 40}
    assert counted(db) == everything
    begun(db, "again", "t", owner="ann")  # Until it ends, its thread can't be removed.
    in_use = 3, everything[1] - 40, {"ann": size, "": size + 40}
    assert counted(db) == in_use
    totals.recount(db)
    assert counted(db) == in_use
    ended(db, "again")
    totals.recount(db)
    more = acts.info(db, "again").size
    assert counted(db) == (4, everything[1] + more, {"ann": size + 40 + more, "": size + 40})
    removal.delete(db, "t0")
    removal.delete(db, "again")
    assert counted(db) == (2, size + other + 120, {"ann": 40, "": size + 40})
    threads.remove(db, threads.free_number(db, "ann", "t"))
    threads.remove(db, threads.free_number(db, None, "t"))
    assert counted(db) == (2, size + other + 40, {"": size + 40})
    removal.delete_thread(db, "", "t")
    assert counted(db) == (1, other, {})


def test_what_has_not_ended_counts_nothing(db: sqlite3.Connection) -> None:
    end(db, "c")
    before = counted(db)
    for number in (number_of(db, "a"), 99):
        totals.uncount(db, number)
    assert counted(db) == before


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM totals",
        "UPDATE totals SET finished = 'x', size = -1",
        "DELETE FROM owned",
        "UPDATE owned SET size = 'x'",
        "INSERT INTO owned VALUES ('nobody', 7)",
    ],
)
def test_counts_are_what_runs_say_whatever_they_were(
    db: sqlite3.Connection, statement: str
) -> None:
    for run_id in ("a", "b", "n"):
        end(db, run_id)
    for n, owner in enumerate(("ann", "bob", None)):
        said(db, f"t{n}", "t", owner=owner)
    before = counted(db)
    db.execute(statement)
    totals.recount(db)
    assert counted(db) == before
