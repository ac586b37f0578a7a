"""What the store contract says of threads: one run at a time, who frees them, their heads.

- Ids of runs in threads come from the store, which may have to know by them where a thread is.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from .._errors import ThreadBusy, ThreadMoved, UnknownThread
from .._log.log import Append, Appended
from .._log.run_info import RunRecord
from .._log.store import Lease, Store
from .._log.thread import ThreadInfo
from ._check_inbox import deliver
from ._check_log import (
    append_all,
    commit,
    create,
    entries_at,
    hold,
    new_record,
    raises,
    run_finish,
    run_start,
    text_delta,
)
from ._check_parking import park

_AT_ONCE: Final = 10
_DAY: Final = 86_400_000
"""Milliseconds."""


def new_record_in(store: Store, thread: str, owner: str | None, **changes: Any) -> RunRecord:
    """Make the record of a run in a thread, which follows the head unless changes say else."""
    run_id = store.new_run_id(owner, thread)
    changes = {"follows": changes.get("head"), **changes}
    return new_record(run_id, owner=owner, thread=thread, **changes)


async def begin(
    store: Store, thread: str = "t", *, owner: str | None = "me", **changes: Any
) -> Lease:
    """Begin a run in a thread."""
    record = new_record_in(store, thread, owner, **changes)
    created = await store.create(record)
    hold(created.run_id == record.run_id, "create returns the id of the new run, in threads, too")
    hold(created.lease is not None, "create claims the new run, in threads, too")
    assert created.lease is not None
    return created.lease


def end_of(lease: Lease, turn: bytes = b"{}", *, offset: int = 1) -> Append:
    entries = entries_at(lease, offset, run_finish(lease.run_id)).entries
    return Append(lease.run_id, lease.fence, entries, turn=turn)


async def say(store: Store, thread: str = "t", turn: bytes = b"{}", **changes: Any) -> str:
    """Have a run in a thread from its beginning to its end; returns its id."""
    lease = await begin(store, thread, **changes)
    await commit(store, end_of(lease, turn))
    return lease.run_id


@asynccontextmanager
async def refuses_busy(thread: str, active: str, sentence: str) -> AsyncIterator[None]:
    try:
        yield
    except ThreadBusy as exc:
        told = exc.thread, exc.run_id
        hold(told == (thread, active), "who finds a thread busy is told which run is active")
        return
    raise AssertionError(f"{sentence}: ThreadBusy was not raised")


async def names_of(store: Store, owner: str | None = "me") -> list[str]:
    return [info.thread for info in await store.threads(owner, None, 100)]


async def ids_in(store: Store, owner: str | None, thread: str | None) -> list[str]:
    return [info.record.run_id for info in await store.find(owner, None, 100, thread)]


async def _a_run_takes_its_thread(store: Store) -> None:
    async with raises(UnknownThread, "there is no thread before its first run"):
        await store.thread("me", "t")
    hold(await names_of(store) == [], "there is no thread before its first run")
    record = new_record_in(store, "t", "me")
    created = await store.create(record)
    assert created.lease is not None
    info = await store.thread("me", "t")
    since = info.updated_at
    hold(abs(since - time.time() * 1000) < _DAY, "`updated_at` is Unix time in milliseconds")
    expected = ThreadInfo("t", "me", None, record.run_id, 0, 0, since)
    hold(info == expected, "a thread is there from its first run on, and is that run's")
    hold(list(await store.threads("me", None, 9)) == [info], "lists tell of it as `thread` does")
    hold((await store.info(record.run_id)).record == record.told(), "a run keeps its thread")
    end = end_of(created.lease, b'["hi"]')
    await commit(store, end)
    info = await store.thread("me", "t")
    expected = ThreadInfo("t", "me", record.run_id, None, 1, len(end.turn), info.updated_at)
    hold(info == expected, "the end of a run frees its thread, and its turn is the head")
    size = (await store.info(record.run_id)).size
    hold(size == record.size + end.size, "a turn is no part of its run")
    second = new_record_in(store, "t", "me", head=record.run_id)
    await store.create(second)
    kept = (await store.info(second.run_id)).record
    hold(kept.follows == record.run_id, "a run keeps what it follows")
    hold(kept.head is None, "the head that was seen is not kept")


async def _a_thread_has_one_run_at_a_time(store: Store) -> None:
    lease = await begin(store)
    before = await store.thread("me", "t")
    async with refuses_busy("t", lease.run_id, "a thread has one run at a time"):
        await begin(store, idempotency_key="k")
    hold(await ids_in(store, "me", None) == [lease.run_id], "who finds it busy creates nothing")
    hold(await store.thread("me", "t") == before, "who finds it busy changes nothing")
    await begin(store, "other")
    for run_id in ("a", "b"):
        await create(store, run_id, owner="me")
    await commit(store, end_of(lease))
    again = await begin(store, head=lease.run_id, idempotency_key="k")
    hold((await store.thread("me", "t")).active == again.run_id, "a free thread is taken again")


async def _of_several_runs_one_gets_the_thread(store: Store) -> None:
    head = None
    for _ in range(2):
        winners: list[Lease] = []
        told: list[str] = []

        async def race(
            head: str | None = head, winners: list[Lease] = winners, told: list[str] = told
        ) -> None:
            try:
                winners.append(await begin(store, head=head))
            except ThreadBusy as exc:
                told.append(exc.run_id)

        async with trio.open_nursery() as nursery:
            for _ in range(_AT_ONCE):
                nursery.start_soon(race)
        hold(len(winners) == 1, "of several runs that begin at once, one gets the thread")
        [lease] = winners
        hold(set(told) == {lease.run_id}, "who loses is told who has the thread")
        hold((await store.thread("me", "t")).active == lease.run_id, "who wins has the thread")
        await commit(store, end_of(lease))
        head = lease.run_id


async def _the_head_is_compared(store: Store) -> None:
    async with raises(ThreadMoved, "a new thread has no head"):
        await begin(store, head="nobody")
    async with raises(UnknownThread, "who has seen another head makes no thread"):
        await store.thread("me", "t")
    first = await say(store)
    second = await say(store, head=first)
    before = await store.thread("me", "t")
    for head in (None, "nobody", first):
        async with raises(ThreadMoved, "who begins a run has seen the thread's head"):
            await begin(store, head=head, idempotency_key="kNone")
    hold(await store.thread("me", "t") == before, "who has seen another head changes nothing")
    found = set(await ids_in(store, "me", None))
    hold(found == {first, second}, "who has seen another head creates nothing")
    head = second
    for follows in (first, None):
        head = await say(store, head=head, follows=follows, idempotency_key=f"k{follows}")
        newest = (await store.thread("me", "t")).head
        hold(newest == head, "the newest is the head, whatever it follows")


async def _a_key_comes_before_its_thread(store: Store) -> None:
    lease = await begin(store, idempotency_key="k")

    async def hold_found(state: str) -> None:
        again = new_record_in(store, "t", "me", idempotency_key="k")
        try:
            created = await store.create(again)
        except (ThreadBusy, ThreadMoved):
            raise AssertionError(f"a key finds its run, also if the thread {state}") from None
        hold((created.run_id, created.lease) == (lease.run_id, None), "a key finds its run")
        hold(await store.lookup(again) == lease.run_id, "lookup looks at no thread")

    await hold_found("is busy")
    await commit(store, end_of(lease))
    await hold_found("has moved")


async def _only_the_end_frees_a_thread(store: Store) -> None:
    old = await begin(store)
    run_id = old.run_id

    async def hold_taken(why: str) -> None:
        info = await store.thread("me", "t")
        hold(info.active == run_id, f"{why} does not free a thread")
        hold((info.head, info.turns, info.size) == (None, 0, 0), f"{why} adds no turn")

    await commit(store, entries_at(old, 1, run_start(run_id), text_delta()))
    await hold_taken("an event that is not the last")
    await store.release(old)
    await hold_taken("who lets go of a run")
    lease = await store.claim(run_id)
    assert lease is not None
    await park(store, lease)
    await hold_taken("a run that sleeps")
    await deliver(store, run_id, "k")
    lease = await store.claim(run_id)
    assert lease is not None
    await store.request_cancel(run_id, "why")
    await hold_taken("a cancel request")
    outcome = await append_all(store, end_of(old, offset=3))
    hold(outcome == [Appended.FENCED], "a former holder can't end a run")
    await hold_taken("a former holder")
    hold(await append_all(store, end_of(lease, offset=4)) == [Appended.GAP], "a gap is refused")
    await hold_taken("an end behind a gap")
    await commit(store, end_of(lease, offset=3))
    info = await store.thread("me", "t")
    hold((info.active, info.head, info.turns) == (None, run_id, 1), "the end frees the thread")


async def _a_run_may_add_no_turn(store: Store) -> None:
    empty = await say(store, turn=b"")
    async with raises(UnknownThread, "a thread that has no turns is there no more"):
        await store.thread("me", "t")
    hold(await names_of(store) == [], "a thread that has no turns is in no list")
    hold(not (await store.info(empty)).active, "its run stays")
    first = await say(store)
    await say(store, turn=b"", head=first)
    info = await store.thread("me", "t")
    hold(info.active is None, "a run that adds no turn frees its thread, too")
    hold((info.head, info.turns) == (first, 1), "a run that adds no turn leaves the head")


THREAD_CHECKS = (
    _a_run_takes_its_thread,
    _a_thread_has_one_run_at_a_time,
    _of_several_runs_one_gets_the_thread,
    _the_head_is_compared,
    _a_key_comes_before_its_thread,
    _only_the_end_frees_a_thread,
    _a_run_may_add_no_turn,
)
