"""How runs and threads are removed: at once out of sight, then piece by piece off the disk.

However much is removed, what others wait for are short transactions only. If it is cut off, what is
left can't be seen any more, and the next removal goes on with it.
"""

import sqlite3
from collections.abc import Generator
from contextlib import closing
from typing import Final

from ..._errors import LimitExceeded, LogDamaged, UnknownThread
from ..._limits import Retention
from ..._log.surplus import Idle, surplus
from . import _clock as clock, _threads as threads
from ._beside import delete_piece
from ._runs import get, number_of
from ._totals import uncount
from ._turns import delete_turns

_TOMBSTONES: Final = 10_000

_PIECE: Final = 2000
"""Rows that are deleted in one transaction, so that appends don't wait for long.

What is kept beside a log counts by its pages, too."""


def delete(db: sqlite3.Connection, run_id: str) -> None:
    """See `Store.delete`; `sweep` does the rest."""
    try:
        if not get(db, run_id).finished:
            raise LimitExceeded("the run is active: cancel it first")
    except LogDamaged:
        # Whatever it was, nobody can go on with it.
        threads.end(db, number_of(db, run_id), b"", clock.now())
    _remove(db, number_of(db, run_id), run_id)


def delete_thread(db: sqlite3.Connection, owner: str | None, name: str) -> list[str]:
    """See `Store.delete_thread`; `sweep` does the rest."""
    runs = db.execute(
        "SELECT run, run_id FROM runs WHERE thread = ? AND owner IS ? ORDER BY run", (name, owner)
    ).fetchall()
    try:
        threads.remove(db, threads.free_number(db, owner, name))
    except UnknownThread:
        if not runs:
            raise
    for each in runs:
        _remove(db, *each)
    return [run_id for _, run_id in runs]


def expire(db: sqlite3.Connection, retention: Retention) -> list[str]:
    """See `Store.expire`; `sweep` does the rest."""
    count, size = db.execute("SELECT total(finished), total(size) FROM totals").fetchone()
    removed = _expire(db, None, retention, count, size)
    of_each = retention.of_each_owner()
    owners = db.execute(
        "SELECT owner, size FROM owned WHERE size > ?", (retention.owner_bytes,)
    ).fetchall()
    for owner, size in owners:
        removed += _expire(db, owner, of_each, 0, size)
    return removed


def _expire(
    db: sqlite3.Connection, owner: str | None, retention: Retention, count: int, size: int
) -> list[str]:
    """Remove what of an owner's, or of all, is not kept; returns the runs."""
    with closing(_finished(db, owner)) as finished, closing(threads.idle(db, owner)) as idle:
        old_runs, old_threads = surplus(
            finished, idle, retention, now=clock.now(), count=count, size=size
        )
    for run in old_runs:
        _remove(db, *run)
    for thread in old_threads:
        threads.remove(db, thread)
    return [run_id for _, run_id in old_runs]


def _finished(
    db: sqlite3.Connection, owner: str | None
) -> Generator[Idle[tuple[int, str]], None, None]:
    query = """
        SELECT run, run_id, finished_at, CAST(size AS INTEGER) FROM runs
        WHERE finished_at IS NOT NULL
        """
    args: list[object] = []
    if owner is not None:
        query += " AND owner = ?"
        args.append(owner)
    rows = db.execute(f"{query} ORDER BY finished_at, run", args)
    with closing(rows):
        for number, run_id, finished_at, size in rows:
            # Behind the numbers come damaged ones: when those ended is not known.
            if not isinstance(finished_at, int | float):
                return
            yield Idle((number, run_id), finished_at, size)


def _remove(db: sqlite3.Connection, number: int, run_id: str) -> None:
    # What is big stays for `sweep`: however much is removed, it is one short transaction.
    uncount(db, number)
    db.execute("DELETE FROM runs WHERE run = ?", (number,))
    db.execute("INSERT INTO garbage VALUES (?)", (number,))
    db.execute("INSERT OR REPLACE INTO tombstones (run_id) VALUES (?)", (run_id,))
    db.execute(
        "DELETE FROM tombstones WHERE number <= (SELECT max(number) FROM tombstones) - ?",
        (_TOMBSTONES,),
    )


def sweep(db: sqlite3.Connection) -> bool:
    """Delete a piece of what was removed; returns whether there may be more."""
    left = _PIECE
    while left > 0:
        if run := db.execute("SELECT run FROM garbage LIMIT 1").fetchone():
            left -= _sweep_run(db, run[0], left)
        elif thread := db.execute("SELECT thread FROM thread_garbage LIMIT 1").fetchone():
            left -= delete_turns(db, thread[0], left)
        else:
            return False
    return True


def _sweep_run(db: sqlite3.Connection, number: int, limit: int) -> int:
    """Delete about so many rows of a run; returns how many."""
    deleted = db.execute(
        """
        DELETE FROM entries WHERE run = :run
        AND offset < :limit + (SELECT min(offset) FROM entries WHERE run = :run)
        """,
        {"run": number, "limit": limit},
    ).rowcount
    if deleted < limit:
        deleted += delete_piece(db, number, limit - deleted)
    if deleted < limit:
        for table in ("records", "viewers", "garbage"):
            db.execute(f"DELETE FROM {table} WHERE run = ?", (number,))  # noqa: S608
    return deleted + 1
