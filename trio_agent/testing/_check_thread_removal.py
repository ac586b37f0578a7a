"""What the store contract says of threads that are removed, and of acts that are cancelled."""

from typing import Any

import attrs
import trio

from .._errors import CursorExpired, UnknownRun, UnknownThread
from .._log.store import Lease, Store
from ._check_inbox import expect_news
from ._check_log import KEEP_ALL, commit, create, create_finished, cut, hold, raises
from ._check_threads import (
    begin,
    end_of,
    ids_in,
    names_of,
    new_record_in,
    refuses_busy,
    say,
)
from ._check_turns import pass_a_moment


async def _a_thread_is_removed_with_its_runs(store: Store) -> None:
    first = await say(store)
    second = await say(store, head=first, idempotency_key="k")
    third = await say(store, head=second, turn=b"")
    other, theirs = await say(store, "other"), await say(store, owner="you")
    await create_finished(store, "plain", owner="me")
    await store.delete(first)
    async with store.watch() as watch:
        watch.add(second, log=False)
        hold(await watch.receive() == second, "a run that is added is yielded once")
        removed = await store.delete_thread("me", "t")
        await expect_news(watch, "the removal of a thread is news of its runs")
    hold(sorted(removed) == sorted([second, third]), "the runs that were left are told")
    for run_id in (second, third):
        async with raises(CursorExpired, "a thread is removed with its runs"):
            await store.info(run_id)
    async with raises(UnknownThread, "a thread that was removed is unknown"):
        await store.thread("me", "t")
    async with raises(UnknownThread, "a thread is removed with its turns"):
        await store.turns("me", "t", second, 1)
    hold(await names_of(store) == ["other"], "a thread that was removed is in no list")
    found = set(await ids_in(store, "me", None))
    hold(found == {other, "plain"}, "runs that are not in the thread stay")
    hold((await store.thread("you", "t")).head == theirs, "threads of others stay")
    async with raises(UnknownThread, "a thread is removed once"):
        await store.delete_thread("me", "t")
    again = await begin(store, idempotency_key="k")
    info = await store.thread("me", "t")
    hold((info.head, info.turns, info.size) == (None, 0, 0), "a name that is free begins anew")
    await commit(store, end_of(again))


async def _runs_that_said_nothing_are_removed(store: Store) -> None:
    failed = await say(store, turn=b"")
    theirs = await say(store, owner="you", turn=b"")
    removed = list(await store.delete_thread("me", "t"))
    hold(removed == [failed], "runs that have added nothing to a thread go with its name")
    hold(not (await store.info(theirs)).active, "runs of others stay")
    async with raises(UnknownThread, "a name that nothing has is unknown"):
        await store.delete_thread("me", "t")


async def _a_busy_thread_is_not_removed(store: Store) -> None:
    first = await say(store)
    lease = await begin(store, head=first)
    before = await store.thread("me", "t")
    async with refuses_busy("t", lease.run_id, "a thread in which a run is active stays"):
        await store.delete_thread("me", "t")
    hold(await store.thread("me", "t") == before, "a removal that is refused changes nothing")
    hold(len(await store.turns("me", "t", first, 9)) == 1, "a removal that is refused takes none")
    hold(len(await ids_in(store, "me", "t")) == 2, "a removal that is refused takes no runs")
    await commit(store, end_of(lease))
    hold(len(await store.delete_thread("me", "t")) == 2, "a thread that is free again can go")


async def _expire(store: Store, **changes: Any) -> set[str]:
    return set(await store.expire(attrs.evolve(KEEP_ALL, **changes)))


async def _idle_threads_grow_old(store: Store) -> None:
    old, busy = await say(store, "old"), await say(store, "busy")
    await begin(store, "busy", head=busy)
    used = await say(store, "used")
    await trio.sleep(2)
    used = await say(store, "used", head=used)
    hold(await _expire(store) == set(), "what is within all bounds is kept")
    await _expire(store, seconds=1)
    every = {"old", "busy", "used"}
    hold(set(await names_of(store)) == every, "the age of runs is not that of threads")
    hold(await _expire(store, thread_seconds=1) == set(), "the age of threads is not that of runs")
    left = set(await names_of(store))
    hold("old" not in left, "a thread in which no run has ended for too long is removed")
    hold("used" in left, "the age of a thread is counted from its last run's end")
    hold("busy" in left, "a thread in which a run is active is kept")
    async with raises(UnknownThread, "a thread that expires takes its turns with it"):
        await store.turns("me", "old", old, 1)
    hold(await _expire(store, thread_seconds=0) == set(), "runs stay until their own time")
    hold(await names_of(store) == ["busy"], "a thread in which a run is active is kept")
    hold(not (await store.info(used)).active, "runs of an expired thread stay")
    left = set(await store.delete_thread("me", "used"))
    hold(used in left, "runs of an expired thread are removed by its name")
    async with raises(CursorExpired, "runs of an expired thread are removed by its name"):
        await store.info(used)
    await begin(store, "old")
    hold((await store.thread("me", "old")).turns == 0, "the name of an expired thread is free")


async def _said(store: Store, thread: str, size: int, owner: str | None = "me") -> None:
    """Leave a thread behind, without its run, and a moment."""
    await store.delete(await say(store, thread, b"x" * size, owner=owner))
    await pass_a_moment()


async def _ran(store: Store, run_id: str, owner: str | None = "me") -> int:
    """Leave a finished run behind, and a moment; returns its size."""
    await create_finished(store, run_id, text="x" * 1000, owner=owner)
    await pass_a_moment()
    return (await store.info(run_id)).size


async def _threads_and_runs_share_their_bytes(store: Store) -> None:
    busy = await say(store, "busy", b"x" * 9000)
    await store.delete(busy)
    await begin(store, "busy", head=busy)
    await _said(store, "a", 500)
    size = await _ran(store, "p")
    await _said(store, "b", 700)
    await _ran(store, "q")
    total = 500 + size + 700 + size
    kept = await _expire(store, max_bytes=total) == set()
    hold(kept, "what is within the bytes is kept, and a thread in use is none of them")
    hold(set(await names_of(store)) == {"busy", "a", "b"}, "what is within the bytes is kept")
    removed = await _expire(store, max_bytes=total - 1)
    left = set(await names_of(store))
    hold("a" not in left, "bytes of threads count, and the oldest goes first")
    needed = not removed and left == {"busy", "b"}
    hold(needed, "of threads and runs no more is removed than needed")
    total -= 500
    removed = await _expire(store, max_bytes=total - 1)
    hold(removed == {"p"}, "of threads and runs together the oldest goes first")
    hold(set(await names_of(store)) == {"busy", "b"}, "younger threads stay behind older runs")
    hold(await _expire(store, max_bytes=700 + size - 1) == set(), "younger runs stay, too")
    hold(await names_of(store) == ["busy"], "older threads go before younger runs")
    hold(await _expire(store, max_bytes=size) == set(), "what was removed counts no more")
    removed = await _expire(store, seconds=0, max_runs=0, max_bytes=0, thread_seconds=0)
    hold(removed == {"q"}, "where no bytes are kept, nothing is")
    hold(await names_of(store) == ["busy"], "a thread in which a run is active is kept")


async def _threads_count_for_their_owner(store: Store) -> None:
    await _said(store, "nobody's", 9000, owner=None)
    await _said(store, "a", 500, owner="ann")
    size = await _ran(store, "p", owner="ann")
    await _said(store, "b", 600, owner="bob")
    await create(store, "active", owner="ann")

    async def left() -> list[list[str]]:
        return [await names_of(store, owner) for owner in (None, "ann", "bob")]

    hold(await _expire(store, owner_bytes=500 + size) == set(), "within its bound, all is kept")
    hold(await left() == [["nobody's"], ["a"], ["b"]], "what is within its owner's bound is kept")
    removed = await _expire(store, owner_bytes=500 + size - 1)
    hold((await left())[1] == [], "of an owner with too many bytes, the oldest thread is removed")
    hold(removed == set(), "of one owner no more is removed than needed")
    hold(await _expire(store, owner_bytes=size - 1) == {"p"}, "threads and runs share the bound")
    hold(await left() == [["nobody's"], [], ["b"]], "one owner's bytes are not another's")
    await _expire(store, owner_bytes=599)
    hold(await left() == [["nobody's"], [], []], "who has only threads has a bound, and nobody not")


async def _what_is_cancelled_in_a_thread_is_whole(store: Store) -> None:
    for number in range(6):
        await _cut_in_a_thread(store, number)


async def _cut_in_a_thread(store: Store, number: int) -> None:
    record = new_record_in(store, f"cut{number}", "me")
    name, run_id = f"cut{number}", record.run_id
    await cut(number, lambda: store.create(record))
    try:
        active = (await store.thread("me", name)).active
        hold(active == run_id, "a creation that was cancelled takes its thread, or not")
    except UnknownThread:
        async with raises(UnknownRun, "a creation that was cancelled is whole, with its thread"):
            await store.info(run_id)
        await store.create(record)
    end = end_of(Lease(run_id, (await store.info(run_id)).fence), b"turn")
    await cut(number, lambda: store.append([end]))
    tail, info = (await store.info(run_id)).tail, await store.thread("me", name)
    hold(
        (tail, info.active, info.head, info.turns) in ((0, run_id, None, 0), (1, None, run_id, 1)),
        "an end that was cancelled is whole, with its turn",
    )
    await commit(store, end)
    hold(len(await store.turns("me", name, run_id, 9)) == 1, "what is repeated is whole")
    await cut(number, lambda: store.thread("me", name))
    await cut(number, lambda: store.threads("me", None, 9))
    await cut(number, lambda: store.turns("me", name, run_id, 9))
    await cut(number, lambda: store.find("me", None, 9, name))
    await cut(number, lambda: store.delete_thread("me", name))
    try:
        hold((await store.thread("me", name)).turns == 1, "a removal is whole")
        removed = list(await store.delete_thread("me", name))
        hold(removed == [run_id], "a removal is whole, with its runs")
    except UnknownThread:
        pass
    async with raises(CursorExpired, "a removal is whole, with its runs"):
        await store.info(run_id)


REMOVAL_CHECKS = (
    _a_thread_is_removed_with_its_runs,
    _a_busy_thread_is_not_removed,
    _runs_that_said_nothing_are_removed,
    _idle_threads_grow_old,
    _threads_and_runs_share_their_bytes,
    _threads_count_for_their_owner,
    _what_is_cancelled_in_a_thread_is_whole,
)
