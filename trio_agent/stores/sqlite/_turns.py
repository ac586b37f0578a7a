"""Turns, as functions of a connection: what was said in threads, each once, beside the runs."""

import sqlite3
from collections.abc import Iterator

from ..._errors import UnknownRun
from ..._log.thread import Turn
from ._beside import delete_rows
from ._rows import LARGEST, as_turn


def add_turn(db: sqlite3.Connection, thread: int, run: int, data: bytes) -> bool:
    """Add that of a run to a thread, both by their numbers.

    Returns whether it is added: not if the row that has what it follows is gone.
    """
    added = db.execute(
        """
        INSERT OR IGNORE INTO turns (thread, run_id, follows, data)
        SELECT ?, run_id, follows, ? FROM runs JOIN records USING (run) WHERE run = ?
        """,
        (thread, data, run),
    )
    return added.rowcount > 0


def has_turn(db: sqlite3.Connection, thread: int, run_id: str | None = None) -> bool:
    """Whether a thread has that of a run; None: any."""
    query = "SELECT 1 FROM turns WHERE thread = ?"
    if run_id is None:
        row = db.execute(f"{query} LIMIT 1", (thread,)).fetchone()
    else:
        row = db.execute(f"{query} AND run_id = ?", (thread, run_id)).fetchone()
    return row is not None


def back(db: sqlite3.Connection, thread: int, name: str, last: str) -> Iterator[Turn]:
    """Yield those of a thread with this name, from that of the run `last` back to the first.

    Raises:
        UnknownRun: that run has none.
        LogDamaged: one on the way is not there, or damaged.
    """
    before = LARGEST
    run_id: str | None = last
    while run_id is not None:
        # What is no BLOB is read as NULL. A turn is younger than what it follows, so that the way
        # ends, whatever rows say.
        row = db.execute(
            """
            SELECT number, run_id, follows, CASE typeof(data) WHEN 'blob' THEN data END
            FROM turns WHERE thread = ? AND run_id = ? AND number < ?
            """,
            (thread, run_id, before),
        ).fetchone()
        if row is None and before == LARGEST:
            raise UnknownRun(last)
        before, turn = as_turn(name, row)
        yield turn
        run_id = turn.follows


def delete_turns(db: sqlite3.Connection, thread: int, limit: int) -> int:
    """Delete about so many rows of a removed thread; returns how many."""
    deleted = delete_rows(db, "turns", "thread", thread, limit)
    if deleted < limit:
        db.execute("DELETE FROM thread_garbage WHERE thread = ?", (thread,))
    return deleted + 1
