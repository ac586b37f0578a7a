"""What the acts do to the tables: runs and their logs, claims, viewers, removal."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from sqlite_kit import opened, rows
from store_kit import deltas, finish, finished, heard, record

from trio_agent._log.log import Appended
from trio_agent._log.store import Lease
from trio_agent.stores.sqlite import _acts as acts, _removal as removal
from trio_agent.stores.sqlite._schema import migrate

# Runs and their logs


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


# Who holds a run, and who looks on


async def test_claims_end_with_the_server(path: Path) -> None:
    async with opened(path) as store:
        await store.create(record("a"))
        await store.set_viewers("a", "w", 3)
        assert await store.orphans(10) == []
    async with opened(path) as store:
        info = await store.info("a")
        assert (info.leased, info.viewers) == (False, 0)
        assert await store.orphans(10) == ["a"]
        lease = await store.claim("a")
        assert lease == Lease("a", 2)
        outcomes = await store.append([deltas("a", 1), deltas("a", 1, fence=2)])
        assert outcomes == [Appended.FENCED, Appended.COMMITTED]


async def test_after_the_death_of_the_machine_cursors_are_of_the_past(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def epochs() -> tuple[str, str]:
        async with opened(path) as store:
            active, done = await store.info("active"), await store.info("done")
            return active.record.epoch, done.record.epoch

    async with opened(path) as store:
        await store.create(record("active"))
        await finished(store, "done")
    assert await epochs() == ("e", "e")
    monkeypatch.setattr("trio_agent.stores.sqlite._store.boot_id", lambda: "another life")
    new, old = await epochs()
    assert new != "e"
    assert old == "e"
    assert await epochs() == (new, "e")


async def test_counts_of_viewers_must_be_told_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path) as store:
        await store.create(record("a"))
        monkeypatch.setattr("trio_agent.stores.sqlite._store._PRESENCE", 0)
        await store.set_viewers("a", "gone", 3)
        assert (await store.info("a")).viewers == 0
        monkeypatch.undo()
        await store.set_viewers("a", "here", 1)
        assert (await store.info("a")).viewers == 1
    assert rows(path, "SELECT worker FROM viewers") == [("here",)]


async def test_telling_viewers_again_is_no_news(path: Path) -> None:
    async with opened(path) as store, store.watch() as watch:
        await store.create(record("a"))
        await store.set_viewers("a", "w", 2)
        watch.add("a")
        await heard(watch, "a")
        await store.set_viewers("a", "w", 2)
        await store.set_viewers("a", "v", 0)
        with trio.move_on_after(0) as scope:
            await watch.receive()
        assert scope.cancelled_caught
        await store.set_viewers("a", "w", 1)
        await heard(watch, "a")


# News


def connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a file with our tables, which commits each statement."""
    with closing(connected(path)) as db:
        migrate(db, path)
        yield db


def test_a_look_sees_what_others_changed(db: sqlite3.Connection, path: Path) -> None:
    acts.create(db, record("a"))
    seen, marks = acts.poll_changes(db, None, ["a", "nobody"])
    assert marks == {"a": (0, 0), "nobody": None}
    acts.append(db, [deltas("a", 1)])  # by ourselves
    assert acts.poll_changes(db, seen, ["a"]) == (seen, None)
    with closing(connected(path)) as other:
        acts.append(other, [deltas("a", 2)])
        acts.create(other, record("b"))
    newer, marks = acts.poll_changes(db, seen, ["a"])
    assert newer != seen
    assert marks == {"a": (0, 2)}
    assert acts.poll_changes(db, newer, ["a"]) == (newer, None)


@pytest.mark.parametrize(
    ("act", "outcome", "news"),
    [
        (lambda db: acts.append(db, [deltas("a", 1)]), [Appended.COMMITTED], 0),
        (lambda db: acts.release(db, Lease("a", 1)), True, 1),
        (lambda db: acts.release(db, Lease("a", 2)), False, 0),
        (lambda db: acts.renew_epoch(db, Lease("a", 1), "new"), Appended.COMMITTED, 1),
        (lambda db: acts.renew_epoch(db, Lease("a", 2), "new"), Appended.FENCED, 0),
        (lambda db: acts.claim(db, "a"), None, 0),
        (lambda db: acts.claim(db, "free"), Lease("free", 2), 1),
        (lambda db: acts.request_cancel(db, "a", "why"), True, 1),
        (lambda db: acts.request_cancel(db, "unwanted", "why"), False, 0),
        (lambda db: acts.set_viewers(db, "a", "w", 1, 10), True, 1),
        (lambda db: acts.set_viewers(db, "seen", "w", 1, 10), False, 0),
        (lambda db: acts.set_viewers(db, "seen", "w", 0, 10), True, 1),
        (lambda db: acts.set_viewers(db, "seen", "v", 0, 10), False, 0),
    ],
    ids=[
        *("append", "release", "release by another", "new epoch", "new epoch by another"),
        *("claim of what is held", "claim", "cancel", "cancel again"),
        *("viewers", "as many viewers", "no viewers any more", "none as before"),
    ],
)
def test_what_is_news(
    db: sqlite3.Connection, act: Callable[[sqlite3.Connection], object], outcome: object, news: int
) -> None:
    for run_id in ("a", "free", "unwanted", "seen"):
        acts.create(db, record(run_id))
    acts.release(db, Lease("free", 1))
    acts.request_cancel(db, "unwanted", "first")
    acts.set_viewers(db, "seen", "w", 1, 10)
    [before] = db.execute("SELECT sum(news) FROM runs").fetchone()
    assert act(db) == outcome
    [after] = db.execute("SELECT sum(news) FROM runs").fetchone()
    assert after - before == news


def test_a_lease_is_lost_to_a_claim_and_with_its_run(db: sqlite3.Connection) -> None:
    for run_id in ("held", "claimed", "removed"):
        acts.create(db, record(run_id))
    leases = [Lease(run_id, 1) for run_id in ("held", "claimed", "removed")]
    acts.release(db, leases[1])
    acts.claim(db, "claimed")
    acts.append(db, [finish("removed", 1)])
    assert acts.lost(db, leases) == [leases[1]]
    removal.delete(db, "removed")
    assert acts.lost(db, leases) == leases[1:]
