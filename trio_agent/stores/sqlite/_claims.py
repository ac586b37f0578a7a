"""Who holds a run, who looks on, and what others want of it.

A run has a time at which it is due: a parked one sleeps until then, or until somebody wants
something of it; any other is always due, in case that nobody holds it.
"""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from math import inf

from ..._log.log import Appended
from ..._log.plain import plain_text
from ..._log.store import Lease
from . import _clock as clock
from ._rows import listable
from ._runs import get, readable
from ._threads import free_lost
from ._totals import recount


def take_over(db: sqlite3.Connection, boot: str) -> None:
    """Know that every process that held a run is dead.

    Its commits are there, unless the machine died, too: if this is another `boot`, the logs that
    were being written may have lost their ends, so that their cursors must not be taken for good.

    A log that its holder let go of is whole. That commit is in the file, so all before it are, and
    nobody wrote since: claims are forced to the disk, so that one would be in the file, too.
    """
    if (
        db.execute("SELECT 1 FROM meta WHERE key = 'boot' AND value = ?", (boot,)).fetchone()
        is None
    ):
        db.execute("INSERT OR REPLACE INTO meta VALUES ('boot', ?)", (boot,))
        db.execute(
            """
            UPDATE runs SET torn = 1
            WHERE finished_at IS NULL AND NOT (leased = 0 AND handed_over = 1)
            """
        )
        db.execute(
            """
            UPDATE records SET epoch = lower(hex(randomblob(4)))
            WHERE run IN (SELECT run FROM runs WHERE finished_at IS NULL AND torn)
            """
        )
    db.execute("UPDATE runs SET leased = 0 WHERE leased IS NOT 0 AND finished_at IS NULL")
    db.execute("DELETE FROM viewers")
    free_lost(db)
    recount(db)


def claim(db: sqlite3.Connection, run_id: str) -> Lease | None:
    """See `Store.claim`."""
    run = get(db, run_id)
    if run.finished or run.leased or not run.due:
        return None
    db.execute(
        """
        UPDATE runs SET fence = fence + 1, leased = 1, due_at = 0, handed_over = 0, news = news + 1
        WHERE run = ?
        """,
        (run.number,),
    )
    return Lease(run_id, run.fence + 1, handed_over=bool(run.handed_over))


def lost(db: sqlite3.Connection, leases: Sequence[Lease]) -> list[Lease]:
    """Return those of the leases that don't hold any more."""
    return [
        lease
        for lease in leases
        if (run := readable(db, lease.run_id)) is None
        or run.fence != lease.fence
        or not (run.leased or run.finished)
    ]


def release(db: sqlite3.Connection, lease: Lease) -> bool:
    """See `Store.release`; returns whether it was held."""
    changed = db.execute(
        """
        UPDATE runs SET leased = 0, handed_over = 1, news = news + 1
        WHERE run_id = ? AND fence = ? AND leased = 1
        """,
        (lease.run_id, lease.fence),
    )
    return changed.rowcount > 0


def park(db: sqlite3.Connection, lease: Lease, seen: int, seconds: float | None) -> bool:
    """See `Store.park`."""
    run = readable(db, lease.run_id)
    if run is None or run.fence != lease.fence or run.finished or not run.leased:
        return False
    if run.delivered != seen or run.cancel_reason is not None:
        return False
    db.execute(
        """
        UPDATE runs SET fence = fence + 1, leased = 0, due_at = ?, handed_over = 1, news = news + 1
        WHERE run = ?
        """,
        (inf if seconds is None else clock.now() + seconds, run.number),
    )
    return True


def renew_epoch(db: sqlite3.Connection, lease: Lease, epoch: str) -> Appended:
    """See `Store.renew_epoch`."""
    run = readable(db, lease.run_id)
    if run is None:
        return Appended.UNKNOWN
    if run.fence != lease.fence:
        return Appended.FENCED
    if run.finished:
        return Appended.CLOSED
    db.execute("UPDATE records SET epoch = ? WHERE run = ?", (epoch, run.number))
    db.execute("UPDATE runs SET news = news + 1 WHERE run = ?", (run.number,))
    return Appended.COMMITTED


def orphans(db: sqlite3.Connection, after: str, limit: int) -> list[str]:
    """See `Store.orphans`."""
    rows = db.execute(
        """
        SELECT run_id FROM runs
        WHERE finished_at IS NULL AND leased = 0 AND due_at <= ? AND run_id > ? ORDER BY run_id
        """,
        (clock.now(), after),
    )
    with closing(rows):
        # Who can't be told from its row can't be closed either.
        found = (
            run_id for [run_id] in rows if listable(run_id) and readable(db, run_id) is not None
        )
        return list(islice(found, limit))


def request_cancel(db: sqlite3.Connection, run_id: str, reason: str) -> bool:
    """See `Store.request_cancel`; returns whether it is news."""
    run = get(db, run_id)
    if run.finished or run.cancel_reason is not None:
        return False
    db.execute(
        "UPDATE runs SET cancel_reason = ?, due_at = 0, news = news + 1 WHERE run = ?",
        # As in events, what UTF-8 can't hold becomes `?`.
        (plain_text(reason), run.number),
    )
    return True


def set_viewers(
    db: sqlite3.Connection, run_id: str, worker: str, count: int, seconds: float
) -> bool:
    """See `Store.set_viewers`; it holds for so many seconds. Returns whether it is news."""
    now = time.time()
    run = get(db, run_id)
    before = db.execute(
        "SELECT count FROM viewers WHERE run = ? AND worker = ? AND until > ?",
        (run.number, worker, now),
    ).fetchone() or (0,)
    db.execute(
        "DELETE FROM viewers WHERE run = ? AND (worker = ? OR until <= ?)",
        (run.number, worker, now),
    )
    if count:
        db.execute(
            "INSERT INTO viewers VALUES (?, ?, ?, ?)", (run.number, worker, count, now + seconds)
        )
    if before == (count,):
        return False
    db.execute("UPDATE runs SET news = news + 1 WHERE run = ?", (run.number,))
    return True
