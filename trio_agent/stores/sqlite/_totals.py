"""What finished runs and threads have together, and each owner's: counted, and not added up."""

import sqlite3


def count(db: sqlite3.Connection, number: int) -> None:
    """A run has ended."""
    db.execute(
        """
        UPDATE totals SET finished = finished + 1,
            size = size + (SELECT runs.size FROM runs WHERE run = :run)
        """,
        {"run": number},
    )
    db.execute(
        """
        INSERT INTO owned SELECT owner, size FROM runs WHERE run = :run AND owner IS NOT NULL
        ON CONFLICT (owner) DO UPDATE SET size = owned.size + excluded.size
        """,
        {"run": number},
    )


def uncount(db: sqlite3.Connection, number: int) -> None:
    """A run is about to be removed, if it has ended."""
    db.execute(
        """
        UPDATE totals SET finished = finished - 1, size = size - (
            SELECT CAST(runs.size AS INTEGER) FROM runs WHERE run = :run
        ) WHERE EXISTS (SELECT 1 FROM runs WHERE run = :run AND finished_at IS NOT NULL)
        """,
        {"run": number},
    )
    db.execute(
        """
        UPDATE owned SET size = size - (
            SELECT CAST(runs.size AS INTEGER) FROM runs WHERE run = :run
        ) WHERE owner IN (SELECT owner FROM runs WHERE run = :run AND finished_at IS NOT NULL)
        """,
        {"run": number},
    )
    db.execute("DELETE FROM owned WHERE size <= 0")


def add_bytes(db: sqlite3.Connection, owner: str | None, size: int) -> None:
    """A thread of this owner has so many more bytes; less, if the number is negative."""
    db.execute("UPDATE totals SET size = size + ?", (size,))
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
    """Count anew: what runs and threads say, whatever it was, or too much would be removed."""
    db.execute("DELETE FROM totals")
    db.execute(
        """
        INSERT INTO totals SELECT count(*), ifnull(sum(CAST(size AS INTEGER)), 0)
            + (SELECT ifnull(sum(CAST(size AS INTEGER)), 0) FROM threads)
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
            SELECT owner, CAST(size AS INTEGER) FROM threads WHERE owner IS NOT NULL
        ) GROUP BY owner
        """
    )
