"""What finished runs and idle threads have together, and each owner: counted, not added up."""

import sqlite3


def count(db: sqlite3.Connection, number: int) -> None:
    """A run has ended."""
    _add_run(db, number, 1)


def uncount(db: sqlite3.Connection, number: int) -> None:
    """A run is about to be removed, if it has ended."""
    _add_run(db, number, -1)


def _add_run(db: sqlite3.Connection, number: int, sign: int) -> None:
    row = db.execute(
        """
        SELECT owner, CAST(size AS INTEGER) FROM runs
        WHERE run = ? AND finished_at IS NOT NULL
        """,
        (number,),
    ).fetchone()
    if row is not None:
        owner, size = row
        add_bytes(db, owner, sign * size, runs=sign)


def add_bytes(db: sqlite3.Connection, owner: str | None, size: int, *, runs: int = 0) -> None:
    """There are so many more bytes of this owner, and so many more runs; less, if negative."""
    db.execute("UPDATE totals SET finished = finished + ?, size = size + ?", (runs, size))
    if owner is not None:
        db.execute(
            """
            INSERT INTO owned VALUES (?, ?)
            ON CONFLICT (owner) DO UPDATE SET size = owned.size + excluded.size
            """,
            (owner, size),
        )
        db.execute("DELETE FROM owned WHERE owner = ? AND size <= 0", (owner,))


def recount(db: sqlite3.Connection) -> None:
    """Count anew: what runs and idle threads say, whatever it was, or too much would be removed."""
    db.execute("DELETE FROM totals")
    db.execute(
        """
        INSERT INTO totals SELECT count(*), ifnull(sum(CAST(size AS INTEGER)), 0)
            + (SELECT ifnull(sum(CAST(size AS INTEGER)), 0) FROM threads WHERE active IS NULL)
        FROM runs WHERE finished_at IS NOT NULL
        """
    )
    db.execute("DELETE FROM owned")
    db.execute(
        """
        INSERT INTO owned SELECT owner, sum(size) FROM (
            SELECT owner, CAST(size AS INTEGER) AS size FROM runs
            WHERE finished_at IS NOT NULL AND owner IS NOT NULL
            UNION ALL
            SELECT owner, CAST(size AS INTEGER) FROM threads
            WHERE owner IS NOT NULL AND active IS NULL
        ) GROUP BY owner
        """
    )
