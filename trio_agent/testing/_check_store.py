"""The conformance kit of the store contract."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import attrs
import trio

from .._errors import CursorExpired, LimitExceeded, UnknownRun
from .._log.log import Append, Appended
from .._log.store import Lease, Store, Watch
from ._check_inbox import INBOX_CHECKS
from ._check_log import (
    KEEP_ALL,
    LOG_CHECKS,
    append_all,
    commit,
    create,
    create_finished,
    cut,
    entries_at,
    hold,
    new_record,
    raises,
    run_finish,
    run_start,
    text_delta,
)
from ._check_parking import PARKING_CHECKS, a_death_hands_nothing_over
from ._check_private import PRIVATE_CHECKS
from ._check_thread_removal import REMOVAL_CHECKS
from ._check_threads import THREAD_CHECKS
from ._check_turns import TURN_CHECKS

_PATIENCE: Final = 30.0
"""Seconds after which a check is taken for stuck, not counting the leases that it waits for."""


async def check_store(
    open_store: Callable[[], AbstractAsyncContextManager[Store]], *, lease: float | None
) -> None:
    """Hold a store to the contract in `trio_agent.abc.Store`, sentence by sentence.

    It sleeps (`trio.sleep`) for a few leases and for seven seconds: under
    `trio.testing.MockClock` that takes no time, if your store reads Trio's clock.

    Args:
        open_store: opens a store without any runs, a new one each time.
        lease: seconds after which a claim that isn't renewed ends; None if in your store a claim
            ends with the process and not with time.

    Raises:
        AssertionError: with the sentence that doesn't hold.
    """
    await check_each(open_store, ALL_CHECKS)
    if lease is not None:
        for timed in (_leases_end, a_death_hands_nothing_over):
            async with open_store() as store:
                with trio.fail_after(_PATIENCE + 10 * lease):
                    await timed(store, lease)


async def check_each(
    open_store: Callable[[], AbstractAsyncContextManager[Store]],
    checks: Iterable[Callable[[Store], Awaitable[None]]],
) -> None:
    """Make each of these checks on a new store; what is raised has a note of which failed."""
    for check in checks:
        try:
            async with open_store() as store:
                with trio.fail_after(_PATIENCE):
                    await check(store)
        except Exception as exc:
            exc.add_note(f"in {check.__name__}")
            raise


async def _claims_are_fenced(store: Store) -> None:
    old = await create(store, "a")
    await commit(store, entries_at(old, 1, run_start("a")))
    hold(await store.claim("a") is None, "a run that is held can't be claimed")
    hold(list(await store.renew([old])) == [], "the holder can renew")
    hold("a" not in await store.orphans("", 10), "a run that is held is no orphan")
    await store.release(old)
    hold(list(await store.renew([old])) == [old], "a renewal does not bring back what was released")
    hold(not (await store.info("a")).leased, "a released run is free")
    hold(list(await store.orphans("", 10)) == ["a"], "an active run that nobody holds is an orphan")
    claims: list[Lease] = []

    async def claim() -> None:
        if (lease := await store.claim("a")) is not None:
            claims.append(lease)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(claim)
    hold(len(claims) == 1, "of several claims, one wins")
    [new] = claims
    hold(new.run_id == "a" and new.fence > old.fence, "a new claim has a greater fence")
    info = await store.info("a")
    hold(info.leased and info.fence == new.fence, "info tells the newest fence")
    fenced = await append_all(store, entries_at(old, 2, text_delta()))
    hold(fenced == [Appended.FENCED], "a former holder can't append")
    hold(list(await store.renew([new, old])) == [old], "renew returns what was lost, and only it")
    await store.release(old)
    hold((await store.info("a")).leased, "a former holder can't release")
    await commit(store, entries_at(new, 2, run_finish("a")))
    hold(list(await store.renew([new])) == [], "a run isn't lost by finishing")


async def _an_epoch_is_renewed_by_the_holder(store: Store) -> None:
    lease = await create(store, "e")
    hold(await store.renew_epoch(lease, "new") is Appended.COMMITTED, "the holder can")
    hold((await store.info("e")).record.epoch == "new", "a new epoch is what it is")
    stranger = attrs.evolve(lease, fence=lease.fence + 1)
    hold(await store.renew_epoch(stranger, "x") is Appended.FENCED, "a stranger can't")
    await commit(store, entries_at(lease, 1, run_finish("e")))
    hold(await store.renew_epoch(lease, "x") is Appended.CLOSED, "a closed log keeps its epoch")
    unknown = attrs.evolve(lease, run_id="nobody")
    hold(await store.renew_epoch(unknown, "x") is Appended.UNKNOWN, "there must be a log")


async def _leases_end(store: Store, lease: float) -> None:
    old = await create(store, "a")
    await store.set_viewers("a", "w1", 2)
    await store.set_viewers("a", "w2", 1)
    await trio.sleep(0.7 * lease)
    await store.set_viewers("a", "w2", 1)
    hold((await store.info("a")).viewers == 3, "viewers hold for as long as a lease does")
    await store.renew([old])
    await trio.sleep(0.7 * lease)
    hold((await store.info("a")).leased, "renewing prolongs a lease")
    hold((await store.info("a")).viewers == 1, "viewers that aren't told again are gone")
    await trio.sleep(0.7 * lease)
    hold(not (await store.info("a")).leased, "a lease that isn't renewed ends")
    hold(list(await store.orphans("", 10)) == ["a"], "a run whose lease has ended is an orphan")
    new = await store.claim("a")
    hold(new is not None and new.fence > old.fence, "a run whose lease has ended can be claimed")
    hold(list(await store.renew([old])) == [old], "who comes too late has lost the run")


async def _the_first_cancel_request_stays(store: Store) -> None:
    await create(store, "a")
    await store.request_cancel("a", "first")
    await store.request_cancel("a", "second")
    hold((await store.info("a")).cancel_reason == "first", "the first reason stays")


async def _viewers_are_summed(store: Store) -> None:
    await create(store, "a")
    for worker, count, total in (("w1", 2, 2), ("w2", 3, 5), ("w1", 1, 4), ("w2", 0, 1)):
        await store.set_viewers("a", worker, count)
        hold((await store.info("a")).viewers == total, "viewers are the sum over all workers")
    await store.set_viewers("a", "w3", 0)


async def _seen(watch: Watch, *until: str) -> list[str]:
    seen: list[str] = []
    while not set(until) <= set(seen):
        seen.append(await watch.receive())
    return seen


async def _a_watch_tells_of_changes(store: Store) -> None:
    a, b, c = [await create(store, run_id) for run_id in "abc"]
    async with store.watch() as watch:
        watch.add("a")
        hold(await watch.receive() == "a", "a run that is added is yielded once")
        watch.add("b")
        await _seen(watch, "b")
        await commit(store, entries_at(c, 1, run_start("c")))
        for n in range(20):
            await commit(store, entries_at(a, 1 + n, text_delta()))
        await commit(store, entries_at(b, 1, run_start("b")))
        seen = await _seen(watch, "a", "b")
        hold(len(seen) < 20, "changes that nobody received are merged")
        hold("c" not in seen, "runs that aren't watched are not told of")
        watch.add("c", log=False)
        await _seen(watch, "c")
        await commit(store, entries_at(c, 2, text_delta()))
        await store.request_cancel("c", "why")
        await _seen(watch, "c")
        watch.discard("a")
        watch.discard("nobody")
        await commit(store, entries_at(a, 21, text_delta()))
        await store.request_cancel("b", "why")
        hold(set(await _seen(watch, "b")) == {"b"}, "a run that was discarded is not told of")
        await store.release(b)
        await _seen(watch, "b")
        await commit(store, entries_at(b, 2, run_finish("b")))
        await _seen(watch, "b")
        await store.delete("b")
        await _seen(watch, "b")
    async with raises(trio.ClosedResourceError, "a watch ends with its context"):
        await watch.receive()


async def _a_check_changes_nothing(store: Store) -> None:
    await create(store, "a")
    before = await store.info("a")
    for _ in range(2):
        await store.check()
    hold(await store.info("a") == before, "a check changes nothing")
    hold(len(await store.find(None, None, 10)) == 1, "a check creates nothing")


async def _delete_removes_finished_runs(store: Store) -> None:
    lease = await create(store, "a", owner="me", idempotency_key="k")
    async with raises(LimitExceeded, "an active run can't be deleted"):
        await store.delete("a")
    await commit(store, entries_at(lease, 1, run_start("a"), run_finish("a")))
    await store.delete("a")
    hold(
        await append_all(store, entries_at(lease, 3, text_delta())) == [Appended.UNKNOWN],
        "gone is gone",
    )
    hold(list(await store.find(None, None, 10)) == [], "a removed run isn't found")
    await create(store, "b", owner="me", idempotency_key="k")
    for run_id, error in (("a", CursorExpired), ("nobody", UnknownRun)):
        for call in _calls_about(store, run_id):
            async with raises(error, f"{run_id!r} was {error.__name__}"):
                await call()


def _calls_about(store: Store, run_id: str) -> list[Callable[[], Awaitable[object]]]:
    return [
        lambda: store.read(run_id, 0, 1),
        lambda: store.read_private(run_id, [0]),
        lambda: store.read_blob(run_id, "0" * 64),
        lambda: store.info(run_id),
        lambda: store.find(None, run_id, 1),
        lambda: store.claim(run_id),
        lambda: store.deliver(run_id, "k", b"data"),
        lambda: store.inbox(run_id, 0, 1),
        lambda: store.request_cancel(run_id, "why"),
        lambda: store.set_viewers(run_id, "w", 1),
        lambda: store.delete(run_id),
    ]


async def _expire_keeps_what_it_should(store: Store) -> None:
    active = await create(store, "active")
    await create_finished(store, "old")
    await trio.sleep(2)
    for run_id in ("a", "b", "c"):
        await create_finished(store, run_id, text="x" * 100)
    size = (await store.info("a")).size
    await commit(store, entries_at(active, 1, text_delta("x" * 10 * size)))

    async def expire(**changes: Any) -> list[str]:
        return list(await store.expire(attrs.evolve(KEEP_ALL, **changes)))

    hold(await expire() == [], "what is within all bounds is kept")
    hold(await expire(seconds=1) == ["old"], "what is too old is removed")
    hold(await expire(max_runs=2) == ["a"], "too many are removed, oldest first")
    hold(await expire(max_bytes=2 * size - 1) == ["b"], "too many bytes are removed, oldest first")
    hold(await expire(max_bytes=size) == [], "only finished logs count")
    async with raises(CursorExpired, "an expired run is known for a while"):
        await store.read("a", 0, 1)
    hold(await expire(seconds=0, max_runs=0, max_bytes=0) == ["c"], "active runs are kept")
    hold((await store.info("active")).active, "active runs are kept")
    hold(await expire(seconds=0) == [], "what is gone is gone")


async def _expire_bounds_what_one_owner_has(store: Store) -> None:
    owners = {"a": "ann", "b": "bob", "c": "ann", "n": None, "d": "ann"}
    for run_id, owner in owners.items():
        await create_finished(store, run_id, owner=owner)
    await create(store, "active", owner="ann")
    size = (await store.info("a")).size

    async def expire(owner_bytes: float) -> set[str]:
        return set(await store.expire(attrs.evolve(KEEP_ALL, owner_bytes=owner_bytes)))

    hold(await expire(3 * size) == set(), "what is within its owner's bound is kept")
    hold(await expire(2 * size) == {"a"}, "of an owner with too many bytes, the oldest is removed")
    await store.delete("c")
    hold(await expire(size) == set(), "what was removed counts no more")
    hold(await expire(0) == {"b", "d"}, "what nobody owns has no such bound")


async def _cancelled_is_done_or_not_done(store: Store) -> None:
    held = await create_finished(store, "held", idempotency_key="h")
    for number in range(6):
        await _cut(store, number, held)


async def _claimed(store: Store, run_id: str) -> Lease:
    lease = await store.claim(run_id)
    hold(lease is not None, "a run that nobody holds can be claimed")
    assert lease is not None
    return lease


async def _cut(store: Store, number: int, held: Lease) -> None:
    run_id = f"cut{number}"

    record = new_record(run_id, idempotency_key=run_id, private=b"p", blobs={"0" * 64: b"b"})
    await cut(number, lambda: store.create(record))
    await store.create(record)
    info = await store.info(run_id)
    hold(info.record == record.told() and info.leased, "a creation that was cancelled is whole")
    lease = Lease(run_id, info.fence)
    hold(await store.read_blob(run_id, "0" * 64) == b"b", "a creation is whole, with its files")
    append = entries_at(lease, 1, run_start(run_id), text_delta())
    append = Append(run_id, lease.fence, append.entries, {2: b"beside"})
    await cut(number, lambda: store.append([append]))
    tail = (await store.info(run_id)).tail
    beside = list(await store.read_private(run_id, [2]))
    hold((tail, beside) in ((0, [b""]), (2, [b"beside"])), "an append that was cancelled is whole")
    await commit(store, append)
    hold(list(await store.read_private(run_id, [2])) == [b"beside"], "what is repeated is whole")
    await cut(number, lambda: store.read(run_id, 0, 10))
    await cut(number, lambda: store.read_private(run_id, [0, 2]))
    await cut(number, store.check)
    await cut(number, lambda: store.renew([lease, held]))
    await cut(number, lambda: store.deliver(run_id, "k", b"data"))
    await store.deliver(run_id, "k", b"data")
    info = await store.info(run_id)
    hold(info.delivered == len(await store.inbox(run_id, 0, 9)) == 1, "a delivery is whole")
    await cut(number, lambda: store.inbox(run_id, 0, 9))
    await cut(number, lambda: store.park(lease, 1, None))
    info = await store.info(run_id)
    spent = info.fence > lease.fence
    hold((info.parked, info.leased) == (spent, not spent), "parking that was cancelled is whole")
    if spent:
        await store.deliver(run_id, "wake", b"")
        lease = await _claimed(store, run_id)
    await cut(number, lambda: store.request_cancel(run_id, "cut"))
    await store.request_cancel(run_id, "again")
    hold((await store.info(run_id)).cancel_reason in ("cut", "again"), "a request is whole")
    await cut(number, lambda: store.set_viewers(run_id, "w", 2))
    hold((await store.info(run_id)).viewers in (0, 2), "a count of viewers is whole")
    await cut(number, lambda: store.release(lease))
    await store.release(lease)
    await cut(number, lambda: store.claim(run_id))
    info = await store.info(run_id)
    hold(info.leased == (info.fence > lease.fence), "a claim that was cancelled is whole")
    claimed = Lease(run_id, info.fence) if info.leased else await _claimed(store, run_id)
    await commit(store, entries_at(claimed, 3, run_finish(run_id)))
    await cut(number, lambda: store.delete(run_id))
    try:
        hold((await store.info(run_id)).tail == 3, "a deletion that was cancelled is whole")
        await store.delete(run_id)
    except CursorExpired:
        pass
    again = await store.create(new_record(f"{run_id}b", idempotency_key=run_id))
    hold(again.lease is not None, "a deletion that was cancelled is whole")
    await cut(number, lambda: store.expire(KEEP_ALL))


_CHECKS = (
    _claims_are_fenced,
    _an_epoch_is_renewed_by_the_holder,
    _the_first_cancel_request_stays,
    _viewers_are_summed,
    _a_watch_tells_of_changes,
    _a_check_changes_nothing,
    _delete_removes_finished_runs,
    _expire_keeps_what_it_should,
    _expire_bounds_what_one_owner_has,
)
# What is cancelled comes last, for it takes all the rest for granted.
ALL_CHECKS: Final = (
    *(*LOG_CHECKS, *PRIVATE_CHECKS, *_CHECKS, *INBOX_CHECKS, *PARKING_CHECKS),
    *(*THREAD_CHECKS, *TURN_CHECKS, *REMOVAL_CHECKS),
    _cancelled_is_done_or_not_done,
)
