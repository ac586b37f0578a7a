"""What the acts do to the tables: runs, their logs, and news of them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlite_kit import opened
from store_kit import deltas, record

from trio_agent.stores.sqlite import _acts as acts


async def test_a_reason_that_is_no_utf8(path: Path) -> None:
    async with opened(path) as store:
        await store.create(record("a"))
        await store.request_cancel("a", "half \ud83d")
        assert (await store.info("a")).cancel_reason == "half ?"


async def test_reading_the_end_of_a_long_log_takes_no_longer(path: Path) -> None:
    async with opened(path) as store:
        await store.create(record("long"))
        await store.create(record("short"))
        await store.append([deltas("long", 1, 20_000), deltas("short", 1, 20)])
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1

        db, _ = store._reader._open()
        db.set_progress_handler(step, 1)
        taken: list[int] = []
        for run_id, after in (("short", 10), ("long", 19_990)):
            steps = 0
            page = await store.read(run_id, after, 1024)
            assert [entry.offset for entry in page.entries] == list(range(after + 1, after + 11))
            taken.append(steps)
        assert 0 < taken[1] <= taken[0] + 10


def test_a_look_sees_what_others_changed(db: sqlite3.Connection, path: Path) -> None:
    acts.create(db, record("a"))
    seen, marks = acts.poll_changes(db, None, ["a", "nobody"])
    assert marks == {"a": (0, 0), "nobody": None}
    acts.append(db, [deltas("a", 1)])  # by ourselves
    assert acts.poll_changes(db, seen, ["a"]) == (seen, None)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        acts.append(other, [deltas("a", 2)])
        acts.create(other, record("b"))
    newer, marks = acts.poll_changes(db, seen, ["a"])
    assert newer != seen
    assert marks == {"a": (0, 2)}
    assert acts.poll_changes(db, newer, ["a"]) == (newer, None)
