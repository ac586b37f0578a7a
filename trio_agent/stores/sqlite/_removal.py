"""How runs are removed: at once out of sight, then piece by piece off the disk.

However much is removed, what others wait for are short transactions only. If it is cut off, what is
left can't be seen any more, and the next removal goes on with it.
"""

import sqlite3
from contextlib import closing
from typing import Final

from ..._errors import LimitExceeded, LogDamaged
from ..._limits import Retention
from . import _clock as clock
from ._acts import get, number_of
from ._beside import delete_piece
from ._totals import uncount

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
        pass  # Whatever it was, nobody can go on with it.
    _remove(db, number_of(db, run_id), run_id)


def expire(db: sqlite3.Connection, retention: Retention) -> list[str]:
    """See `Store.expire`; `sweep` does the rest."""
    now = clock.now()
    finished, size = db.execute("SELECT total(finished), total(size) FROM totals").fetchone()
    removed: list[tuple[int, str]] = []
    rows = db.execute(
        """
        SELECT run, run_id, CAST(size AS INTEGER), finished_at FROM runs
        WHERE finished_at IS NOT NULL ORDER BY finished_at, run
        """
    )
    with closing(rows):
        for number, run_id, its_size, finished_at in rows:
            # Behind the numbers come damaged ones: when those ended is not known.
            if not isinstance(finished_at, int | float) or retention.keeps(
                finished_at, now=now, runs=finished, size=size
            ):
                break
            finished -= 1
            size -= its_size
            removed.append((number, run_id))
    for each in removed:
        _remove(db, *each)
    beyond = _beyond(db, retention.owner_bytes)
    for each in beyond:
        _remove(db, *each)
    return [run_id for _, run_id in [*removed, *beyond]]


def _beyond(db: sqlite3.Connection, owner_bytes: float) -> list[tuple[int, str]]:
    """Return the oldest finished runs of those owners who have more than so many bytes."""
    removed: list[tuple[int, str]] = []
    owners = db.execute("SELECT owner, size FROM owned WHERE size > ?", (owner_bytes,)).fetchall()
    for owner, size in owners:
        rows = db.execute(
            """
            SELECT run, run_id, CAST(size AS INTEGER) FROM runs
            WHERE owner = ? AND finished_at IS NOT NULL ORDER BY finished_at, run
            """,
            (owner,),
        )
        with closing(rows):
            for number, run_id, its_size in rows:
                if size <= owner_bytes:
                    break
                size -= its_size
                removed.append((number, run_id))
    return removed


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
        garbage = db.execute("SELECT run FROM garbage LIMIT 1").fetchone()
        if garbage is None:
            return False
        [number] = garbage
        deleted = db.execute(
            """
            DELETE FROM entries WHERE run = :run
            AND offset < :limit + (SELECT min(offset) FROM entries WHERE run = :run)
            """,
            {"run": number, "limit": left},
        ).rowcount
        if deleted < left:
            deleted += delete_piece(db, number, left - deleted)
        if deleted < left:
            for table in ("records", "viewers", "garbage"):
                db.execute(f"DELETE FROM {table} WHERE run = ?", (number,))  # noqa: S608
        left -= deleted + 1
    return True
