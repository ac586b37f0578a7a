"""What is kept beside logs: private bytes by offset, and files by digest.

It may be large, so that no other act reads it, and it is removed in pieces.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

from ..._errors import UnknownBlob
from ..._log.store import first_privates
from ._rows import as_data
from ._runs import get

_PAGE: Final = 4096
"""Bytes that take about as long to delete as a row."""


# What is no BLOB is read as NULL: text that is no UTF-8 would else pass for one.


def read_private(db: sqlite3.Connection, run_id: str, offsets: Sequence[int]) -> list[bytes]:
    """See `Store.read_private`."""
    run = get(db, run_id)
    query = """
        SELECT CASE typeof(data) WHEN 'blob' THEN data END
        FROM privates WHERE run = ? AND offset = ?
        """

    def read(offset: int) -> bytes:
        # SQLite takes no larger numbers than its own.
        if not 0 <= offset <= run.tail:
            return b""
        row = db.execute(query, (run.number, offset)).fetchone()
        return b"" if row is None else as_data(run_id, row)

    return first_privates(map(read, offsets))


def read_blob(db: sqlite3.Connection, run_id: str, digest: str) -> bytes:
    """See `Store.read_blob`."""
    run = get(db, run_id)
    row = db.execute(
        """
        SELECT CASE typeof(data) WHEN 'blob' THEN data END
        FROM blobs WHERE run = ? AND digest = ?
        """,
        (run.number, digest),
    ).fetchone()
    if row is None:
        raise UnknownBlob(run_id, digest)
    return as_data(run_id, row)


def delete_piece(db: sqlite3.Connection, number: int, size: int) -> int:
    """Delete what was kept beside a log, about `size` rows or pages; return how many.

    Less than `size` means that nothing is left.
    """
    deleted = 0
    for table in ("privates", "blobs", "inbox"):
        deleted += delete_rows(db, table, "run", number, size - deleted)
        if deleted >= size:
            break
    return deleted


def delete_rows(db: sqlite3.Connection, table: str, column: str, number: int, size: int) -> int:
    """Delete rows with `data` that have this number in a column; see `delete_piece`."""
    # The length of a BLOB is told without reading it.
    rows: list[tuple[int, int]] = db.execute(
        f"SELECT rowid, length(data) FROM {table} WHERE {column} = ? LIMIT ?",  # noqa: S608
        (number, size),
    ).fetchall()
    deleted = 0
    for row, length in rows:
        db.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))  # noqa: S608
        deleted += 1 + length // _PAGE
        if deleted >= size:
            break
    return deleted
