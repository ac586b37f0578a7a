"""Runs by their ids: there, damaged, removed, or never there."""

import sqlite3
from collections.abc import Callable

import pytest
from store_kit import finish, record

from trio_agent._errors import CursorExpired, LogDamaged, UnknownRun
from trio_agent.stores.sqlite import _acts as acts, _removal as removal
from trio_agent.stores.sqlite._rows import warn
from trio_agent.stores.sqlite._runs import get, number_of, readable

Look = Callable[[sqlite3.Connection, str], object]


@pytest.fixture
def runs(db: sqlite3.Connection) -> sqlite3.Connection:
    warn.cache_clear()
    for run_id in ("gone", "a", "bad"):
        acts.create(db, record(run_id, thread="t" if run_id == "a" else None))
    acts.append(db, [finish("gone", 1)])
    removal.delete(db, "gone")
    db.execute("UPDATE runs SET fence = 'x' WHERE run_id = 'bad'")
    return db


def test_a_run_that_is_there(runs: sqlite3.Connection) -> None:
    run = get(runs, "a")
    assert readable(runs, "a") == run
    assert (number_of(runs, "a"), run.number) == (2, 2)
    assert (run.fence, run.finished, run.in_thread) == (1, 0, 1)


def test_one_that_is_damaged_has_its_number(
    runs: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    assert number_of(runs, "bad") == 3
    with pytest.raises(LogDamaged, match="of run 'bad'"):
        get(runs, "bad")
    for _ in range(2):
        assert readable(runs, "bad") is None
    assert len(caplog.records) == 1


@pytest.mark.parametrize("look", [get, number_of])
@pytest.mark.parametrize(("run_id", "error"), [("gone", CursorExpired), ("never", UnknownRun)])
def test_one_that_is_not_there(
    runs: sqlite3.Connection, look: Look, run_id: str, error: type[Exception]
) -> None:
    assert readable(runs, run_id) is None
    with pytest.raises(error):
        look(runs, run_id)
