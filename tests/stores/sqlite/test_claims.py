"""Who holds a run, and who looks on: with the server, behind its death, and asleep."""

import math
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from sqlite_kit import last, opened, rows
from store_kit import deltas, finish, finished, heard, record

from trio_agent._limits import Retention
from trio_agent._log.inbox import Delivered
from trio_agent._log.log import Appended
from trio_agent._log.store import Lease
from trio_agent.stores.sqlite import (
    _acts as acts,
    _claims as claims,
    _clock as clock,
    _inbox as inbox,
    _removal as removal,
)
from trio_agent.stores.sqlite._lock import boot_id
from trio_agent.stores.sqlite._schema import transaction
from trio_agent.stores.sqlite._store import SQLiteStore


async def test_claims_end_with_the_server(path: Path) -> None:
    async with opened(path) as store:
        await store.create(record("a"))
        await store.set_viewers("a", "w", 3)
        assert await store.orphans("", 10) == []
    async with opened(path) as store:
        info = await store.info("a")
        assert (info.leased, info.viewers) == (False, 0)
        assert await store.orphans("", 10) == ["a"]
        lease = await store.claim("a")
        assert lease == Lease("a", 2)
        assert not lease.handed_over
        outcomes = await store.append([deltas("a", 1), deltas("a", 1, fence=2)])
        assert outcomes == [Appended.FENCED, Appended.COMMITTED]


async def test_a_run_that_is_lost_keeps_no_thread_behind_the_death_of_its_server(
    path: Path,
) -> None:
    async with opened(path) as store:
        for run_id in ("lost", "there"):
            await store.create(record(run_id, thread=run_id))
            await store.append([last(run_id, b"turn")])
            await store.create(record(f"{run_id}2", thread=run_id, head=run_id))
        db, _ = store._writer._open()
        db.execute("DELETE FROM runs WHERE run_id = 'lost2'")
    async with opened(path) as store:
        assert await store.expire(Retention(math.inf, thread_seconds=0)) == []
        assert [info.thread for info in await store.threads(None, None, 9)] == ["there"]


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


async def held(store: SQLiteStore, lease: Lease) -> None:
    """The machine dies, and with it its holder."""


async def orphaned(store: SQLiteStore, lease: Lease) -> None:
    db, _ = store._writer._open()
    claims.take_over(db, boot_id())


async def parked(store: SQLiteStore, lease: Lease) -> None:
    assert await store.park(lease, 0, None)


async def told_asleep(store: SQLiteStore, lease: Lease) -> None:
    await parked(store, lease)
    await store.deliver(lease.run_id, "k", b"{}")


async def woken(store: SQLiteStore, lease: Lease) -> None:
    await told_asleep(store, lease)
    assert await store.claim(lease.run_id)


async def ended(store: SQLiteStore, lease: Lease) -> None:
    await store.append([finish(lease.run_id, 1)])


@pytest.mark.parametrize(
    ("state", "torn", "sleeps", "handed_over"),
    [
        (held, True, False, False),
        (orphaned, True, False, False),
        (SQLiteStore.release, False, False, True),
        (parked, False, True, None),
        (told_asleep, False, False, True),
        (woken, True, False, False),
        (ended, False, False, None),
    ],
)
async def test_what_the_death_of_the_machine_may_have_torn(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: Callable[[SQLiteStore, Lease], Awaitable[None]],
    torn: bool,
    sleeps: bool,
    handed_over: bool | None,
) -> None:
    async with opened(path) as store:
        await store.create(record("a"))
        await state(store, Lease("a", 1))
    monkeypatch.setattr("trio_agent.stores.sqlite._store.boot_id", lambda: "another life")
    for _ in range(2):
        async with opened(path) as store:
            info = await store.info("a")
            assert (info.torn, info.record.epoch != "e") == (torn, torn)
            assert (info.leased, info.parked) == (False, sleeps)
            assert await store.orphans("", 10) == ([] if handed_over is None else ["a"])
    async with opened(path) as store:
        lease = await store.claim("a")
        assert (lease and lease.handed_over) == handed_over


async def test_a_run_that_sleeps_outlives_its_server(path: Path) -> None:
    async with opened(path) as store:
        await store.create(record("a"))
        await store.append([deltas("a", 1)])
        await store.deliver("a", "read", b"1")
        assert await store.park(Lease("a", 1), 1, None)
    for _ in range(2):
        async with opened(path) as store:
            info = await store.info("a")
            assert (info.parked, info.leased, info.fence, info.torn) == (True, False, 2, False)
            assert await store.claim("a") is None
    async with opened(path) as store:
        await store.deliver("a", "new", b"2")
    async with opened(path) as store:
        assert not (await store.info("a")).parked
        lease = await store.claim("a")
        assert lease == Lease("a", 3)
        assert lease.handed_over
        assert [each.data for each in await store.inbox("a", 0, 10)] == [b"1", b"2"]


async def test_it_wakes_by_a_clock_that_nobody_sets(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, now = time.time, clock.now()
    async with opened(path) as store:
        await store.create(record("a"))
        monkeypatch.setattr(clock, "now", lambda: now)
        assert await store.park(Lease("a", 1), 0, 60)
        monkeypatch.setattr(time, "time", lambda: real() + 86_400)
        for seconds, due in ((59.9, False), (60, True)):
            monkeypatch.setattr(clock, "now", lambda seconds=seconds: now + seconds)
            assert (await store.info("a")).parked is not due
            assert (await store.orphans("", 10) == ["a"]) is due
            assert (await store.claim("a") is not None) is due
    # Its next server believes the machine's clock; who was woken is not asleep again by that.
    monkeypatch.setattr(clock, "now", lambda: now)
    async with opened(path) as store:
        assert await store.orphans("", 10) == ["a"]


async def test_sleepers_cost_a_look_for_orphans_nothing(path: Path) -> None:
    async with opened(path) as store:
        db, _ = store._writer._open()
        reader, _ = store._reader._open()
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1

        assert await store.orphans("", 100) == []  # What is done once is done.
        reader.set_progress_handler(step, 1)
        taken: list[int] = []
        for count in (10, 1000):
            with transaction(db, "BEGIN"):
                for n in range(count):
                    acts.create(db, record(f"r{count}_{n}"))
                    assert claims.park(db, Lease(f"r{count}_{n}", 1), 0, None)
            steps = 0
            assert await store.orphans("", 100) == []
            taken.append(steps)
        assert 0 < taken[0] == taken[1]


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


# What they change


@pytest.mark.parametrize(
    ("before", "lease", "seen", "sleeps"),
    [
        (lambda db: None, Lease("a", 1), 0, True),
        (lambda db: inbox.deliver(db, "a", "k", b""), Lease("a", 1), 1, True),
        (lambda db: inbox.deliver(db, "a", "k", b""), Lease("a", 1), 0, False),
        (lambda db: claims.request_cancel(db, "a", "why"), Lease("a", 1), 0, False),
        (lambda db: None, Lease("a", 2), 0, False),
        (lambda db: claims.release(db, Lease("a", 1)), Lease("a", 1), 0, False),
        (lambda db: acts.append(db, [finish("a", 1)]), Lease("a", 1), 0, False),
        (lambda db: None, Lease("nobody", 1), 0, False),
    ],
    ids=[
        *("nothing new", "all was read", "a delivery", "a cancel", "another's lease", "let go of"),
        *("finished", "unknown"),
    ],
)
def test_what_may_sleep(
    db: sqlite3.Connection,
    before: Callable[[sqlite3.Connection], object],
    lease: Lease,
    seen: int,
    sleeps: bool,
) -> None:
    acts.create(db, record("a"))
    before(db)
    state = db.execute("SELECT * FROM runs").fetchall()
    assert claims.park(db, lease, seen, None) is sleeps
    assert acts.info(db, "a").parked is sleeps
    if not sleeps:
        assert db.execute("SELECT * FROM runs").fetchall() == state
        return
    # Its fence is spent, and nobody holds it, whatever comes late.
    assert acts.append(db, [deltas("a", 1)]) == [Appended.FENCED]
    assert claims.lost(db, [lease]) == [lease]
    assert not claims.release(db, lease)
    assert not claims.park(db, lease, seen, None)
    assert claims.claim(db, "a") is None


@pytest.mark.parametrize(
    "wake",
    [
        lambda db: inbox.deliver(db, "a", "k", b"{}"),
        lambda db: claims.request_cancel(db, "a", "why"),
    ],
    ids=["a delivery", "a cancel"],
)
@pytest.mark.parametrize("seconds", [None, 3600])
def test_what_wakes_it(
    db: sqlite3.Connection, wake: Callable[[sqlite3.Connection], object], seconds: float | None
) -> None:
    acts.create(db, record("a"))
    assert claims.park(db, Lease("a", 1), 0, seconds)
    wake(db)
    assert not acts.info(db, "a").parked
    assert claims.orphans(db, "", 10) == ["a"]
    assert claims.claim(db, "a") == Lease("a", 3)
    # Once only: who takes it over and dies has not handed it over.
    claims.take_over(db, "")
    lease = claims.claim(db, "a")
    assert lease is not None
    assert not lease.handed_over


def test_orphans_come_by_pages_in_the_order_of_their_ids(db: sqlite3.Connection) -> None:
    ids = ["c", "B", "a-1", "a", "e", "d", "asleep", "done", "held"]
    for run_id in ids:
        acts.create(db, record(run_id))
    acts.append(db, [finish("done", 1)])
    assert claims.park(db, Lease("asleep", 1), 0, 3600)
    for run_id in ids[:6]:
        claims.release(db, Lease(run_id, 1))
    assert claims.orphans(db, "", 10) == sorted(ids[:6])
    pages: list[list[str]] = [[""]]
    while pages[-1]:
        pages.append(claims.orphans(db, pages[-1][-1], 4))
    assert pages[1:] == [["B", "a", "a-1", "c"], ["d", "e"], []]
    assert claims.orphans(db, "bb", 1) == ["c"]


@pytest.mark.parametrize(
    ("act", "outcome", "news"),
    [
        (lambda db: acts.append(db, [deltas("a", 1)]), [Appended.COMMITTED], 0),
        (lambda db: claims.release(db, Lease("a", 1)), True, 1),
        (lambda db: claims.release(db, Lease("a", 2)), False, 0),
        (lambda db: claims.renew_epoch(db, Lease("a", 1), "new"), Appended.COMMITTED, 1),
        (lambda db: claims.renew_epoch(db, Lease("a", 2), "new"), Appended.FENCED, 0),
        (lambda db: claims.claim(db, "a"), None, 0),
        (lambda db: claims.claim(db, "free"), Lease("free", 2), 1),
        (lambda db: claims.request_cancel(db, "a", "why"), True, 1),
        (lambda db: claims.request_cancel(db, "unwanted", "why"), False, 0),
        (lambda db: claims.park(db, Lease("a", 1), 0, None), True, 1),
        (lambda db: claims.park(db, Lease("a", 2), 0, None), False, 0),
        (lambda db: inbox.deliver(db, "a", "k", b""), Delivered.DELIVERED, 1),
        (lambda db: inbox.deliver(db, "told", "k", b""), Delivered.DELIVERED, 0),
        (lambda db: inbox.deliver(db, "told", "k", b"x"), Delivered.TAKEN, 0),
        (lambda db: claims.set_viewers(db, "a", "w", 1, 10), True, 1),
        (lambda db: claims.set_viewers(db, "seen", "w", 1, 10), False, 0),
        (lambda db: claims.set_viewers(db, "seen", "w", 0, 10), True, 1),
        (lambda db: claims.set_viewers(db, "seen", "v", 0, 10), False, 0),
    ],
    ids=[
        *("append", "release", "release by another", "new epoch", "new epoch by another"),
        *("claim of what is held", "claim", "cancel", "cancel again", "sleep", "no sleep"),
        *("delivery", "delivery again", "another delivery"),
        *("viewers", "as many viewers", "no viewers any more", "none as before"),
    ],
)
def test_what_is_news(
    db: sqlite3.Connection, act: Callable[[sqlite3.Connection], object], outcome: object, news: int
) -> None:
    for run_id in ("a", "free", "unwanted", "seen", "told"):
        acts.create(db, record(run_id))
    claims.release(db, Lease("free", 1))
    claims.request_cancel(db, "unwanted", "first")
    claims.set_viewers(db, "seen", "w", 1, 10)
    inbox.deliver(db, "told", "k", b"")
    [before] = db.execute("SELECT sum(news) FROM runs").fetchone()
    assert act(db) == outcome
    [after] = db.execute("SELECT sum(news) FROM runs").fetchone()
    assert after - before == news


def test_a_lease_is_lost_to_a_claim_and_with_its_run(db: sqlite3.Connection) -> None:
    for run_id in ("held", "claimed", "removed"):
        acts.create(db, record(run_id))
    leases = [Lease(run_id, 1) for run_id in ("held", "claimed", "removed")]
    claims.release(db, leases[1])
    claims.claim(db, "claimed")
    acts.append(db, [finish("removed", 1)])
    assert claims.lost(db, leases) == [leases[1]]
    removal.delete(db, "removed")
    assert claims.lost(db, leases) == leases[1:]
