"""The threads of a `SQLiteStore`: one run at a time is active in each, and adds its turn.

Each of these functions is called in a transaction. A thread is free when its active run has ended,
is there no more, or can't be told from its row, so that nobody could ever end it.
"""

import sqlite3
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, Final, TypeAlias

from ..._errors import LimitExceeded, LogDamaged, ThreadBusy, ThreadMoved, UnknownThread
from ..._log.run_info import RunRecord
from ..._log.surplus import Idle
from ..._log.thread import ThreadCursor, ThreadInfo, Turn, first_turns
from . import _clock as clock
from ._rows import LARGEST, as_thread, listable, warn
from ._runs import readable
from ._totals import add_bytes
from ._turns import add_turn, back, has_turn

_Row: TypeAlias = tuple[Any, ...]
"""Of `threads`, with the id of the run that is said to be active at its end."""

_SELECT: Final = """
    SELECT threads.thread, name, threads.owner, head, turns, threads.size, updated_at, run_id
    FROM threads LEFT JOIN runs ON run = active
    """

_BY_NAME: Final = """
    WHERE (threads.owner IS NULL) = (:owner IS NULL)
        AND ifnull(threads.owner, '') = ifnull(:owner, '') AND name = :name
    """
"""As in the index, which tells nobody's threads from those of an owner called ""."""


def check(db: sqlite3.Connection, record: RunRecord) -> None:
    """See that a run can begin in the thread of its record, if it is to be in one.

    Raises:
        ThreadBusy, ThreadMoved: it can't.
        LimitExceeded: a removed run with its id has a turn there.
        LogDamaged: it is not known.
    """
    if record.thread is None:
        return
    row = _find(db, record.owner, record.thread)
    head = None
    if row is not None:
        thread = _info(db, record.thread, row)
        if thread.active is not None:
            raise ThreadBusy(record.thread, thread.active)
        if has_turn(db, row[0], record.run_id):
            raise LimitExceeded(f"the id {record.run_id!r} is taken")
        head = thread.head
    if head != record.head:
        raise ThreadMoved(f"the thread {record.thread!r} has the head {head!r} now")


def begin(db: sqlite3.Connection, record: RunRecord, number: int | None) -> None:
    """A run that can begin does; it has this number."""
    if record.thread is None:
        return
    now = clock.now()
    if (row := _find(db, record.owner, record.thread)) is not None:
        _uncount(db, row[0])
    db.execute(
        """
        INSERT INTO threads (owner, name, active, touched, updated_at) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (owner IS NULL, ifnull(owner, ''), name) DO UPDATE
        SET active = excluded.active, touched = excluded.touched, updated_at = excluded.updated_at
        """,
        (record.owner, record.thread, number, now, int(now * 1000)),
    )


def end(db: sqlite3.Connection, number: int, data: bytes, now: float) -> None:
    """The run with this number has ended, and adds a turn to its thread if there are `data`."""
    row = db.execute(
        "SELECT thread, owner, CAST(size AS INTEGER) FROM threads WHERE active = ?", (number,)
    ).fetchone()
    if row is None:
        return
    thread, owner, size = row
    if data and add_turn(db, thread, number, data):
        size += len(data)
        db.execute(
            """
            UPDATE threads SET turns = turns + 1, size = size + ?,
                head = (SELECT run_id FROM runs WHERE run = active)
            WHERE thread = ?
            """,
            (len(data), thread),
        )
    elif not has_turn(db, thread):
        db.execute("DELETE FROM threads WHERE thread = ?", (thread,))
        return
    add_bytes(db, owner, size)
    db.execute(
        "UPDATE threads SET active = NULL, touched = ?, updated_at = ? WHERE thread = ?",
        (now, int(now * 1000), thread),
    )


def free_lost(db: sqlite3.Connection) -> None:
    """Free those whose active run is not there: else they would never be idle."""
    db.execute(
        """
        UPDATE threads SET active = NULL WHERE active IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM runs WHERE run = active AND finished_at IS NULL)
        """
    )


def get(db: sqlite3.Connection, owner: str | None, name: str) -> ThreadInfo:
    """See `Store.thread`."""
    return _info(db, name, _get(db, owner, name))


def threads(
    db: sqlite3.Connection, owner: str | None, before: ThreadCursor | None, limit: int
) -> list[ThreadInfo]:
    """See `Store.threads`."""
    query = f"{_SELECT} WHERE threads.owner IS ?"
    args: list[object] = [owner]
    if before is not None:
        updated_at, name = before
        query += " AND (updated_at, name) < (?, ?)"
        args += [max(-1, min(updated_at, LARGEST)), name]
    rows = db.execute(f"{query} ORDER BY updated_at DESC, name DESC", args)
    with closing(rows):
        return list(islice(_readable(db, rows), limit))


def _readable(db: sqlite3.Connection, rows: Iterable[_Row]) -> Iterator[ThreadInfo]:
    for row in rows:
        try:
            yield _info(db, row[1], row)
        except LogDamaged:
            warn(row[0], "thread")


def turns(
    db: sqlite3.Connection, owner: str | None, name: str, last: str, limit: int
) -> Sequence[Turn]:
    """See `Store.turns`."""
    thread = _get(db, owner, name)[0]
    return first_turns(islice(back(db, thread, name, last), limit), limit)


def idle(db: sqlite3.Connection, owner: str | None) -> Generator[Idle[int], None, None]:
    """Yield those in which no run is active (one owner's, or all), the oldest first, by number."""
    query = "SELECT thread, touched, CAST(size AS INTEGER) FROM threads WHERE active IS NULL"
    args: list[object] = []
    if owner is not None:
        query += " AND owner = ?"
        args.append(owner)
    rows = db.execute(f"{query} ORDER BY touched, thread", args)
    with closing(rows):
        for thread, touched, size in rows:
            # Behind the numbers come damaged ones: since when those are idle is not known.
            if not isinstance(touched, int | float):
                return
            yield Idle(thread, touched, size)


def free_number(db: sqlite3.Connection, owner: str | None, name: str) -> int:
    """Return the number of a thread that is free, and may be damaged else.

    Raises:
        ThreadBusy: it is not free.
        UnknownThread: there is none.
    """
    row = _get(db, owner, name)
    active = _active(db, row)
    if active is not None:
        raise ThreadBusy(name, active)
    number: int = row[0]
    return number


def remove(db: sqlite3.Connection, number: int) -> None:
    """Take one that is free out of sight; its turns are garbage."""
    _uncount(db, number)
    db.execute("DELETE FROM threads WHERE thread = ?", (number,))
    db.execute("INSERT INTO thread_garbage VALUES (?)", (number,))


def _uncount(db: sqlite3.Connection, number: int) -> None:
    """Its bytes count no more; they did if it was idle."""
    row = db.execute(
        "SELECT owner, CAST(size AS INTEGER) FROM threads WHERE thread = ? AND active IS NULL",
        (number,),
    ).fetchone()
    if row is not None:
        owner, size = row
        add_bytes(db, owner, -size)


def _find(db: sqlite3.Connection, owner: str | None, name: str) -> _Row | None:
    key = {"owner": owner, "name": name}
    row: _Row | None = db.execute(_SELECT + _BY_NAME, key).fetchone()
    return row


def _get(db: sqlite3.Connection, owner: str | None, name: str) -> _Row:
    row = _find(db, owner, name)
    if row is None:
        raise UnknownThread(name)
    return row


def _info(db: sqlite3.Connection, name: str, row: _Row) -> ThreadInfo:
    thread = as_thread(name, row[:-1])
    return ThreadInfo(
        thread=thread.name,
        owner=thread.owner,
        head=thread.head,
        active=_active(db, row),
        turns=thread.turns,
        size=thread.size,
        updated_at=thread.updated_at,
    )


def _active(db: sqlite3.Connection, row: _Row) -> str | None:
    run_id = row[-1]
    if run_id is None or not listable(run_id):
        return None
    run = readable(db, run_id)
    return None if run is None or run.finished else str(run_id)
