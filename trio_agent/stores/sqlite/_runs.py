"""Runs, looked up by their ids, as functions of a connection.

Each is called in a transaction.
"""

import sqlite3

from ..._errors import CursorExpired, LogDamaged, UnknownRun
from ._rows import RunRow, as_run, warn


def _find(db: sqlite3.Connection, run_id: str) -> RunRow | None:
    row = db.execute(
        """
        SELECT run, fence, leased, tail, size, finished_at IS NOT NULL, cancel_reason,
            due_at, handed_over, delivered, inbox_size, torn, thread IS NOT NULL
        FROM runs WHERE run_id = ?
        """,
        (run_id,),
    ).fetchone()
    return None if row is None else as_run(run_id, row)


def get(db: sqlite3.Connection, run_id: str) -> RunRow:
    """Look up a run that must exist. Raises as all methods about one run."""
    run = _find(db, run_id)
    if run is None:
        raise _missing(db, run_id)
    return run


def number_of(db: sqlite3.Connection, run_id: str) -> int:
    """Return the number of a run, which may be damaged."""
    row = db.execute("SELECT run FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if row is None:
        raise _missing(db, run_id)
    number: int = row[0]
    return number


def _missing(db: sqlite3.Connection, run_id: str) -> LookupError:
    if db.execute("SELECT 1 FROM tombstones WHERE run_id = ?", (run_id,)).fetchone():
        return CursorExpired(f"the log of run {run_id!r} was removed")
    return UnknownRun(run_id)


def readable(db: sqlite3.Connection, run_id: str) -> RunRow | None:
    """Look a run up; None if there is none, or, with a warning, if it is damaged."""
    try:
        return _find(db, run_id)
    except LogDamaged:
        warn(run_id)
        return None
