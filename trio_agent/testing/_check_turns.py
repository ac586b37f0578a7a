"""What the store contract says of turns, once each and in pages; of whose they are; of lists."""

import time
from typing import Final

import attrs
import trio

from .._errors import UnknownRun, UnknownThread
from .._limits import Retention
from .._log.log import Appended
from .._log.store import PAGE_BYTES, Store
from .._log.thread import ThreadCursor, ThreadInfo, Turn
from ._check_inbox import deliver
from ._check_log import KEEP_ALL, append_all, commit, create, entries_at, hold, raises, run_start
from ._check_threads import begin, end_of, ids_in, names_of, say

_BYTES: Final = bytes(range(256))
_MOMENT: Final = 0.003
"""Seconds in which every clock of milliseconds moves."""


async def pass_a_moment() -> None:
    """Wait until it is later, by Trio's clock and by that of the world, which may be two."""
    until = time.monotonic() + _MOMENT
    await trio.sleep(_MOMENT)
    while time.monotonic() < until:  # noqa: ASYNC110 - no event tells it
        await trio.lowlevel.checkpoint()


async def _turns_are_a_tree(store: Store) -> None:
    first = await say(store, turn=b"1")
    second = await say(store, turn=_BYTES, head=first)
    third = await say(store, turn=b"3", head=second)
    branch = await say(store, turn=b"branch", head=third, follows=first)
    anew = await say(store, turn=b"anew", head=branch, follows=None)
    elsewhere = await say(store, "other")
    active = (await begin(store, head=anew)).run_id
    way = [Turn(third, second, b"3"), Turn(second, first, _BYTES), Turn(first, None, b"1")]

    async def turns(last: str, limit: int = 10) -> list[Turn]:
        return list(await store.turns("me", "t", last, limit))

    hold(await turns(third) == way, "turns are read from the last back to the first")
    hold(await turns(third, 2) == way[:2], "turns are at most `limit`")
    hold(await turns(first, 1) == way[2:], "pages of turns follow each other")
    hold(await turns(branch) == [Turn(branch, first, b"branch"), way[2]], "turns are a tree")
    hold(await turns(anew) == [Turn(anew, None, b"anew")], "who follows nobody begins anew")
    for other in ("nobody", elsewhere, active):
        async with raises(UnknownRun, "a run that has no turn in the thread is unknown there"):
            await turns(other)
    async with raises(UnknownThread, "there must be a thread"):
        await store.turns("me", "nothing", first, 1)
    before = await store.thread("me", "t")
    hold((before.turns, before.head) == (5, anew), "all turns are counted, and the newest is head")
    hold(before.size == 256 + len("13branchanew"), "the size of a thread is that of its turns")
    await store.delete(second)
    hold(await turns(third) == way, "a turn stays when its run is removed")
    removed = set(await store.expire(Retention(0, 0, KEEP_ALL.max_bytes)))
    hold(removed == {first, third, branch, anew, elsewhere}, "runs in threads expire as others do")
    hold(await turns(third) == way, "a turn stays when its run expires")
    hold(await store.thread("me", "t") == before, "a thread outlives its runs")


async def _an_end_may_be_repeated(store: Store) -> None:
    lease = await begin(store)
    end = end_of(lease, b"one")
    outcomes = await append_all(store, end, end)
    hold(outcomes == [Appended.COMMITTED] * 2, "to repeat an end is a success")
    await commit(store, end)
    info = await store.thread("me", "t")
    hold((info.turns, info.size) == (1, 3), "an end that is repeated adds its turn once")
    second = await begin(store, head=lease.run_id)
    await commit(store, end)
    taken = (await store.thread("me", "t")).active
    hold(taken == second.run_id, "an end that is repeated frees the thread from nobody else")
    late = await append_all(store, end_of(lease, b"late", offset=2))
    hold(late == [Appended.CLOSED], "a run ends once")
    info = await store.thread("me", "t")
    hold((info.active, info.turns) == (second.run_id, 1), "a run that has ended adds nothing")
    await commit(store, end_of(second, b"two"))
    await commit(store, end)
    info = await store.thread("me", "t")
    hold(info.head == second.run_id, "an end that is repeated does not move the head back")
    hold((info.turns, info.size) == (2, 6), "an end that is repeated adds its turn once")


async def _a_batch_ends_runs_of_several_threads(store: Store) -> None:
    a, b = await begin(store, "a"), await begin(store, "b")
    start = entries_at(a, 1, run_start(a.run_id))
    outcomes = await append_all(store, start, end_of(b, b"b"), end_of(a, b"a!", offset=2))
    hold(outcomes == [Appended.COMMITTED] * 3, "a batch may end several runs")
    for lease, name, size in ((a, "a", 2), (b, "b", 1)):
        info = await store.thread("me", name)
        hold(info.active is None, "each end of a batch frees its thread")
        hold((info.head, info.size) == (lease.run_id, size), "each end of a batch adds its turn")


async def _pages_of_turns_are_bounded(store: Store) -> None:
    sizes = [1, 1_500_000, 1, 700_000, 700_000, 1]
    last: str | None = None
    for size in sizes:
        last = await say(store, turn=b"x" * size, head=last)
    pages: list[list[int]] = []
    while last is not None:
        turns = await store.turns("me", "t", last, 100)
        hold(turns, "a page has at least one turn")
        pages.append([len(turn.data) for turn in turns])
        last = turns[-1].follows
    found = [size for page in pages for size in page]
    hold(found == sizes[::-1], "pages of turns are whole, up to the first")
    for page in pages:
        hold(len(page) == 1 or sum(page) <= PAGE_BYTES, "a page of turns is at most `PAGE_BYTES`")


async def _a_thread_is_of_one_owner(store: Store) -> None:
    # Joined, some of them would be the same.
    threads = [(None, "t"), ("", "t"), ("me", "t"), ("a", "b:c"), ("a:b", "c"), ("ü", "{t} 'ü'")]
    leases = [await begin(store, thread, owner=owner) for owner, thread in threads]
    for (owner, thread), lease in zip(threads, leases, strict=True):
        hold((await store.thread(owner, thread)).active == lease.run_id, "each has its own")
        await commit(store, end_of(lease))
    for (owner, thread), lease in zip(threads, leases, strict=True):
        info = await store.thread(owner, thread)
        hold((info.owner, info.thread) == (owner, thread), "a thread is of one owner")
        hold((info.head, info.turns) == (lease.run_id, 1), "each has turns of its own")
        listed = list(await store.threads(owner, None, 100))
        hold(listed == [info], "an owner sees only his threads")
        found = await ids_in(store, owner, thread)
        hold(found == [lease.run_id], "a thread's runs are those of one owner")
    async with raises(UnknownThread, "who has no such thread reads none"):
        await store.turns("you", "t", leases[2].run_id, 1)
    async with raises(UnknownRun, "a turn is in one thread"):
        await store.turns("", "t", leases[2].run_id, 1)
    async with raises(UnknownThread, "who has no such thread removes none"):
        await store.delete_thread("you", "t")
    await store.delete_thread(None, "t")
    for owner, thread in threads[1:]:
        hold((await store.thread(owner, thread)).turns == 1, "what is removed is one owner's")


async def _of_one_moment_the_last_by_name_comes_first(store: Store) -> None:
    names = ["B", "a", "aa", "ü", "z", "\U0001d11e", "\uff5e", "Z"]
    for name in names:
        await say(store, name)
    every = list(await store.threads("me", None, 100))
    hold(sorted(await names_of(store)) == sorted(names), "a list has all of an owner's threads")
    cursors = [info.cursor for info in every]
    hold(cursors == sorted(cursors, reverse=True), "of one moment, the last by name comes first")
    paged: list[ThreadInfo] = []
    before: ThreadCursor | None = None
    while page := await store.threads("me", before, 3):
        hold(len(page) <= 3, "threads are at most `limit`")
        hold(page[0] not in paged, "pages of threads go on behind their place")
        before = page[-1].cursor
        paged += page
    hold(paged == every, "pages of threads follow each other, up to an empty one")


async def _threads_are_in_the_order_of_use(store: Store) -> None:
    heads: dict[str, str] = {}
    for name in ("b", "a", "c"):
        heads[name] = await say(store, name)
        await pass_a_moment()
    hold(await names_of(store) == ["c", "a", "b"], "the thread that was used last comes first")
    lease = await begin(store, "b", head=heads["b"])
    hold(await names_of(store) == ["b", "c", "a"], "who begins a run uses its thread")
    await pass_a_moment()
    await say(store, "a", head=heads["a"])
    await pass_a_moment()
    await commit(store, end_of(lease))
    hold(await names_of(store) == ["b", "a", "c"], "who ends a run uses its thread")
    listed = list(await store.threads("me", None, 10))
    told = [await store.thread("me", name) for name in ("b", "a", "c")]
    hold(listed == told, "lists tell of threads as `thread` does")
    place = listed[1].cursor
    await store.delete_thread("me", "a")
    behind = [info.thread for info in await store.threads("me", place, 10)]
    hold(behind == ["c"], "a place in the list stays when its thread is removed")


async def _updated_at_is_when_a_run_begins_or_ends(store: Store) -> None:
    async def updated() -> int:
        return (await store.thread("me", "t")).updated_at

    lease = await begin(store)
    began = await updated()
    await pass_a_moment()
    await commit(store, entries_at(lease, 1, run_start(lease.run_id)))
    await deliver(store, lease.run_id, "k")
    await store.request_cancel(lease.run_id, "why")
    hold(await updated() == began, "what happens in a run is no news of its thread")
    await commit(store, end_of(lease, offset=2))
    ended = await updated()
    hold(ended > began, "`updated_at` is when the last run ended")
    await pass_a_moment()
    await commit(store, end_of(lease, offset=2))
    await store.delete(lease.run_id)
    hold(await updated() == ended, "`updated_at` is not when an end is repeated or removed")
    second = await begin(store, head=lease.run_id)
    began = await updated()
    hold(began > ended, "`updated_at` is when the last run began")
    await pass_a_moment()
    await commit(store, end_of(second, b""))
    hold(await updated() > began, "`updated_at` is when a run ended that adds no turn, too")


async def _runs_of_a_thread_are_found(store: Store) -> None:
    at = 1_700_000_000_000
    runs: list[str] = []
    for n in range(4):
        head = runs[-1] if runs else None
        runs.append(await say(store, head=head, created_at=at + 2 * n))
        await create(store, f"plain{n}", owner="me", created_at=at + 2 * n + 1)
    newest_first = runs[::-1]
    await say(store, "other", created_at=at + 10)
    await say(store, owner=None, created_at=at + 11)
    hold(await ids_in(store, "me", "t") == newest_first, "a thread's runs are listed, newest first")
    page = [info.record.run_id for info in await store.find("me", None, 3, "t")]
    hold(page == newest_first[:3], "a thread's runs are at most `limit`")
    page = [info.record.run_id for info in await store.find("me", runs[2], 10, "t")]
    hold(page == newest_first[2:], "a thread's runs are listed behind `before`")
    [first] = await store.find("me", None, 1, "t")
    told = await store.info(runs[3])
    # Entries are the same if they are one.
    same = attrs.evolve(first, last=None) == attrs.evolve(told, last=None)
    hold(same, "a thread's runs are told of as `info` does")
    hold(await ids_in(store, "me", "nothing") == [], "where there is no thread there are no runs")
    hold(len(await ids_in(store, "me", None)) == 9, "runs in threads are listed with all others")


TURN_CHECKS = (
    _turns_are_a_tree,
    _an_end_may_be_repeated,
    _a_batch_ends_runs_of_several_threads,
    _pages_of_turns_are_bounded,
    _a_thread_is_of_one_owner,
    _of_one_moment_the_last_by_name_comes_first,
    _threads_are_in_the_order_of_use,
    _updated_at_is_when_a_run_begins_or_ends,
    _runs_of_a_thread_are_found,
)
