"""The inboxes of runs: what a run is told while it works or sleeps."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing

from ..._log.inbox import Delivered, Delivery, check_inbox
from ._rows import as_data, as_deliveries, damaged
from ._runs import get

# As beside logs, what is no BLOB is read as NULL.


def deliver(db: sqlite3.Connection, run_id: str, key: str, data: bytes) -> Delivered:
    """See `Store.deliver`."""
    run = get(db, run_id)
    known = db.execute(
        """
        SELECT CASE typeof(data) WHEN 'blob' THEN data END FROM inbox WHERE run = ? AND key = ?
        """,
        (run.number, key),
    ).fetchone()
    if known is not None and as_data(run_id, known) == data:
        return Delivered.DELIVERED
    if run.finished:
        return Delivered.CLOSED
    if known is not None:
        return Delivered.TAKEN
    check_inbox(run.delivered, run.inbox_size, data)
    number = run.delivered + 1
    inserted = db.execute(
        "INSERT OR IGNORE INTO inbox VALUES (?, ?, ?, ?)", (run.number, number, key, data)
    )
    if not inserted.rowcount:
        raise damaged(run_id)
    db.execute(
        """
        UPDATE runs SET delivered = :number, inbox_size = inbox_size + :more, size = size + :more,
            due_at = 0, news = news + 1
        WHERE run = :run
        """,
        {"run": run.number, "number": number, "more": len(data)},
    )
    return Delivered.DELIVERED


def inbox(db: sqlite3.Connection, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
    """See `Store.inbox`."""
    run = get(db, run_id)
    if after >= run.delivered or not limit:
        return []
    rows = db.execute(
        """
        SELECT number, key, CASE typeof(data) WHEN 'blob' THEN data END
        FROM inbox WHERE run = ? AND number > ? ORDER BY number LIMIT ?
        """,
        (run.number, after, limit),
    )
    # Row by row: what does not fit into the page is not read.
    with closing(rows):
        return as_deliveries(run_id, rows, after, limit)
