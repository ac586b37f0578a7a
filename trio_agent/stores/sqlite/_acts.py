"""What a `SQLiteStore` does with runs and their logs, as functions of a connection.

Each is called in a transaction, as those of the modules beside are.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TypeAlias

import msgspec

from ..._errors import LimitExceeded, LogDamaged
from ..._log.log import Append, Appended, Entry
from ..._log.run_info import RunInfo, RunRecord, first_runs
from ..._log.store import Created, Lease, Page
from . import _clock as clock, _threads as threads
from ._rows import as_page, as_record, listable, warn
from ._runs import get, number_of, readable
from ._totals import count

Mark: TypeAlias = tuple[int, int]
"""How much news of a run there was, and its tail."""


def lookup(db: sqlite3.Connection, record: RunRecord) -> str | None:
    """See `Store.lookup`."""
    known = db.execute(
        """
        SELECT run_id, digest FROM runs JOIN records USING (run)
        WHERE idempotency_key = ? AND owner IS ?
        """,
        (record.idempotency_key, record.owner),
    ).fetchone()
    if known is None:
        return None
    run_id, digest = known
    record.check_repeats(digest)
    return str(run_id)


def create(db: sqlite3.Connection, record: RunRecord) -> Created:
    """See `Store.create`."""
    if (known := lookup(db, record)) is not None:
        return Created(known, None)
    if db.execute("SELECT 1 FROM runs WHERE run_id = ?", (record.run_id,)).fetchone():
        raise LimitExceeded(f"the id {record.run_id!r} is taken")
    threads.check(db, record)
    number = db.execute(
        """
        INSERT INTO runs (run_id, owner, idempotency_key, size, thread) VALUES (?, ?, ?, ?, ?)
        """,
        (record.run_id, record.owner, record.idempotency_key, record.size, record.thread),
    ).lastrowid
    threads.begin(db, record, number)
    metadata = msgspec.json.encode(record.metadata).decode()
    db.execute(
        """
        INSERT INTO records (run, epoch, agent, created_at, metadata, digest, follows)
        VALUES (:run, :epoch, :agent, :created_at, :metadata, :digest, :follows)
        """,
        {
            "run": number,
            "epoch": record.epoch,
            "agent": record.agent,
            "created_at": record.created_at,
            "metadata": metadata,
            "digest": record.digest,
            "follows": record.follows,
        },
    )
    if record.private:
        _add_privates(db, number, {0: record.private})
    db.executemany(
        "INSERT INTO blobs (run, digest, data) VALUES (?, ?, ?)",
        [(number, digest, data) for digest, data in record.blobs.items()],
    )
    return Created(record.run_id, Lease(record.run_id, 1))


def append(db: sqlite3.Connection, batch: Sequence[Append]) -> list[Appended]:
    """See `Store.append`."""
    return [_append(db, each) for each in batch]


def _append(db: sqlite3.Connection, append: Append) -> Appended:
    run = readable(db, append.run_id)
    if run is None:
        return Appended.UNKNOWN
    outcome = append.check(fence=run.fence, tail=run.tail, closed=bool(run.finished))
    if outcome is not None:
        return outcome
    db.executemany(
        "INSERT INTO entries VALUES (?, ?, ?)",
        [(run.number, entry.offset, entry.data) for entry in append.entries],
    )
    if append.private:
        _add_privates(db, run.number, append.private)
    size = run.size + append.size
    finished_at = clock.now() if append.terminal else None
    db.execute(
        "UPDATE runs SET tail = ?, size = ?, finished_at = ? WHERE run = ?",
        (append.last_offset, size, finished_at, run.number),
    )
    if finished_at is not None:
        count(db, run.number)
        if run.in_thread:
            threads.end(db, run.number, append.turn, finished_at)
    return Appended.COMMITTED


def _add_privates(
    db: sqlite3.Connection, number: int | None, privates: Mapping[int, bytes]
) -> None:
    db.executemany(
        "INSERT INTO privates (run, offset, data) VALUES (?, ?, ?)",
        [(number, offset, data) for offset, data in privates.items()],
    )


def read(db: sqlite3.Connection, run_id: str, after: int, limit: int) -> Page:
    """See `Store.read`."""
    run = get(db, run_id)
    entries: list[Entry] = []
    if after < run.tail and limit:
        rows = db.execute(
            "SELECT offset, data FROM entries WHERE run = ? AND offset > ? ORDER BY offset LIMIT ?",
            (run.number, after, limit),
        )
        # Row by row: what does not fit into the page is not read.
        with closing(rows):
            entries = as_page(run_id, rows, after, run.tail if run.finished else 0)
    return Page(entries, run.tail, bool(run.finished))


def info(db: sqlite3.Connection, run_id: str) -> RunInfo:
    """See `Store.info`."""
    run = get(db, run_id)
    row = db.execute(
        """
        SELECT epoch, agent, created_at, owner, metadata, idempotency_key, digest, thread, follows
        FROM records JOIN runs USING (run) WHERE run = ?
        """,
        (run.number,),
    ).fetchone()
    record = as_record(run_id, row)
    [viewers] = db.execute(
        "SELECT CAST(ifnull(sum(count), 0) AS INTEGER) FROM viewers WHERE run = ? AND until > ?",
        (run.number, time.time()),
    ).fetchone()
    last: Entry | None = None
    if run.finished:
        [last] = read(db, run_id, run.tail - 1, 1).entries
    return RunInfo(
        record=record,
        tail=run.tail,
        size=run.size,
        last=last,
        fence=run.fence,
        leased=bool(run.leased and not run.finished),
        cancel_reason=run.cancel_reason,
        viewers=viewers,
        parked=not run.due,
        delivered=run.delivered,
        torn=bool(run.torn),
    )


def find(
    db: sqlite3.Connection,
    owner: str | None,
    before: str | None,
    limit: int,
    thread: str | None = None,
) -> list[RunInfo]:
    """See `Store.find`."""
    end = 1 << 62 if before is None else number_of(db, before)
    if thread is not None:
        rows = db.execute(
            """
            SELECT run_id FROM runs WHERE thread = ? AND owner IS ? AND run < ? ORDER BY run DESC
            """,
            (thread, owner, end),
        )
    elif owner is None:
        rows = db.execute("SELECT run_id FROM runs WHERE run < ? ORDER BY run DESC", (end,))
    else:
        rows = db.execute(
            "SELECT run_id FROM runs WHERE owner = ? AND run < ? ORDER BY run DESC", (owner, end)
        )
    with closing(rows):
        return first_runs(_readable_infos(db, rows), limit)


def _readable_infos(db: sqlite3.Connection, rows: Iterable[tuple[str]]) -> Iterator[RunInfo]:
    for [run_id] in rows:
        if listable(run_id):
            try:
                yield info(db, run_id)
            except LogDamaged:
                warn(run_id)


# News


def poll_changes(
    db: sqlite3.Connection, seen: int | None, run_ids: Iterable[str]
) -> tuple[int, Mapping[str, Mark | None] | None]:
    """Return the number of the last change by others and, if it was not seen, marks of runs."""
    [version] = db.execute("PRAGMA data_version").fetchone()
    if version == seen:
        return version, None
    query = "SELECT news, tail FROM runs WHERE run_id = ?"
    return version, {run_id: db.execute(query, (run_id,)).fetchone() for run_id in run_ids}
