"""What the store contract says of runs that sleep, of who wakes them, and of orphans in pages."""

from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from .._log.inbox import Delivered
from .._log.log import Appended
from .._log.store import Lease, Store
from ._check_inbox import deliver, expect_news
from ._check_log import (
    append_all,
    commit,
    create,
    create_finished,
    entries_at,
    hold,
    run_finish,
    run_start,
    text_delta,
)

_SLEEP: Final = 2.0
"""Seconds of a sleep that ends by itself; a slow store must be able to look before."""


async def park(store: Store, lease: Lease, seen: int = 0, seconds: float | None = None) -> None:
    hold(await store.park(lease, seen, seconds) is True, "who has read all can park")


async def _claim_due(store: Store, run_id: str, why: str) -> Lease:
    """Claim a run that is due; `why` says who woke it."""
    info = await store.info(run_id)
    hold(not info.parked and not info.leased, f"{why} makes a parked run due")
    hold(list(await store.orphans("", 10)) == [run_id], f"{why} makes a parked run an orphan")
    lease = await store.claim(run_id)
    hold(lease is not None and lease.fence > info.fence, f"who was woken by {why} can be claimed")
    assert lease is not None
    hold(lease.handed_over, "who parks a run hands it over")
    hold((await store.info(run_id)).leased, "a run that was woken and claimed is held")
    return lease


async def _a_parked_run_sleeps(store: Store) -> None:
    lease = await create(store, "a")
    await commit(store, entries_at(lease, 1, run_start("a")))
    await deliver(store, "a", "k")
    await park(store, lease, seen=1)
    info = await store.info("a")
    hold(info.parked and info.active, "a parked run sleeps")
    hold(not info.leased, "nobody holds a parked run")
    hold(list(await store.orphans("", 10)) == [], "a parked run is no orphan")
    hold(await store.claim("a") is None, "a parked run can't be claimed before it is due")
    fenced = await append_all(store, entries_at(lease, 2, text_delta()))
    hold(fenced == [Appended.FENCED], "who has parked can't append")
    hold(list(await store.renew([lease])) == [lease], "a late renewal does not bring a lease back")
    epoch = await store.renew_epoch(lease, "e2")
    hold(epoch is Appended.FENCED, "who has parked can't renew the epoch")
    await store.release(lease)
    hold(await store.park(lease, 1, 0.0) is False, "who has parked can't park again")
    hold(await store.info("a") == info, "the former holder does not disturb a parked run")
    hold(list(await store.find(None, None, 1)) == [info], "lists tell of sleep as `info` does")


async def _parking_is_news(store: Store) -> None:
    lease = await create(store, "a")
    async with store.watch() as watch:
        watch.add("a", log=False)
        hold(await watch.receive() == "a", "a run that is added is yielded once")
        await park(store, lease)
        await expect_news(watch, "parking is news")


async def _parking_is_refused(store: Store) -> None:
    unread, cancelled, stale, closed = [
        await create(store, run_id) for run_id in ("unread", "cancelled", "stale", "closed")
    ]
    await deliver(store, "unread", "k")
    hold(await store.park(unread, 0, None) is False, "who has not read all can't park")
    await store.request_cancel("cancelled", "why")
    hold(await store.park(cancelled, 0, None) is False, "a run to be cancelled can't be parked")
    await store.release(stale)
    newest = await store.claim("stale")
    assert newest is not None
    hold(await store.park(stale, 0, None) is False, "a former holder can't park")
    held = [unread, cancelled, newest]
    for lease in held:
        info = await store.info(lease.run_id)
        hold(info.leased and not info.parked, "who is refused holds the run as before")
    hold(list(await store.renew(held)) == [], "who is refused has the lease as before")
    await commit(store, entries_at(unread, 1, text_delta()))
    await park(store, unread, seen=1)
    await commit(store, entries_at(closed, 1, run_finish("closed")))
    hold(await store.park(closed, 0, None) is False, "a closed log can't be parked")
    hold(not (await store.info("closed")).parked, "a closed log does not sleep")


async def _a_parked_run_is_woken(store: Store) -> None:
    lease = await create(store, "a")
    await deliver(store, "a", "k")
    await park(store, lease, seen=1)
    hold(await store.deliver("a", "k", b"other") is Delivered.TAKEN, "the first delivery wins")
    await deliver(store, "a", "k")
    hold((await store.info("a")).parked, "what is not new wakes nobody")
    await deliver(store, "a", "new")
    lease = await _claim_due(store, "a", "a delivery")
    await deliver(store, "a", "next")
    hold(await store.claim("a") is None, "a delivery takes the run from nobody")
    await park(store, lease, seen=3, seconds=3600)
    hold(await store.claim("a") is None, "a run that is parked again sleeps again")
    await deliver(store, "a", "last")
    lease = await _claim_due(store, "a", "a delivery")
    await park(store, lease, seen=4)
    await store.request_cancel("a", "why")
    lease = await _claim_due(store, "a", "a cancel request")
    await commit(store, entries_at(lease, 1, run_finish("a")))
    hold(list(await store.orphans("", 10)) == [], "a run that was woken and closed is no orphan")


async def _nobody_sleeps_with_something_unread(store: Store) -> None:
    async def later(checkpoints: int, act: Callable[[], Awaitable[object]]) -> None:
        for _ in range(checkpoints):
            await trio.lowlevel.checkpoint()
        await act()

    for n in range(48):  # Tasks are run in no order: who looks first, and then parks, may be lucky.
        lease = await create(store, f"r{n}")
        ahead = n // 2 % 6 - 3
        parked: list[bool] = []

        async def sleep(lease: Lease = lease, parked: list[bool] = parked) -> None:
            parked.append(await store.park(lease, 0, None))

        async def wake(run_id: str = lease.run_id, *, cancel: bool = n % 2 == 0) -> None:
            if cancel:
                await store.request_cancel(run_id, "why")
            else:
                await store.deliver(run_id, "k", b"data")

        async with trio.open_nursery() as nursery:
            # Each of the two is ahead now and then.
            nursery.start_soon(later, max(0, ahead), sleep)
            nursery.start_soon(later, max(0, -ahead), wake)
        info = await store.info(lease.run_id)
        hold(not info.parked, "nobody sleeps with something unread")
        hold(info.leased is not parked[0], "a run is held, or sleeps")
        if parked[0]:
            hold(
                await store.claim(lease.run_id) is not None,
                "who is told something while it falls asleep is due",
            )


async def _a_sleep_ends_by_itself(store: Store) -> None:
    for run_id, seconds in (("long", 3600.0), ("short", _SLEEP), ("ever", None)):
        await park(store, await create(store, run_id), seconds=seconds)
    hold((await store.info("short")).parked, "a parked run sleeps for so many seconds")
    hold(list(await store.orphans("", 10)) == [], "a parked run is no orphan before it is due")
    await trio.sleep(1.25 * _SLEEP)
    await _claim_due(store, "short", "the end of its time")
    for run_id in ("long", "ever"):
        hold((await store.info(run_id)).parked, "a parked run sleeps for no less than it should")
        hold(await store.claim(run_id) is None, "a parked run can't be claimed before it is due")
    await park(store, await create(store, "at-once"), seconds=0.0)
    await _claim_due(store, "at-once", "no time at all")


async def _who_lets_go_hands_over(store: Store) -> None:
    lease = await create(store, "a")
    hold(not lease.handed_over, "nobody had a new run before")
    for _ in range(2):
        await store.release(lease)
        claimed = await store.claim("a")
        hold(claimed is not None and claimed.handed_over, "who releases a run hands it over")
        assert claimed is not None
        hold(claimed == attrs.evolve(lease, fence=claimed.fence), "a lease is its run and fence")
        lease = claimed


async def _orphans_come_in_pages(store: Store) -> None:
    for run_id in ("c", "a", "B", "held", "aa", "asleep", "b"):
        lease = await create(store, run_id)
        if run_id == "asleep":
            await park(store, lease)
        elif run_id != "held":
            await store.release(lease)
    await create_finished(store, "done")
    expected = ["B", "a", "aa", "b", "c"]
    hold(list(await store.orphans("", 10)) == expected, "orphans are in the order of their ids")
    found: list[str] = []
    while page := await store.orphans(found[-1] if found else "", 2):
        hold(len(page) <= 2, "orphans are at most `limit`")
        found += page
    hold(found == expected, "pages of orphans follow each other, up to an empty one")
    hold(list(await store.orphans("ab", 1)) == ["b"], "`after` need not be an orphan")


async def a_death_hands_nothing_over(store: Store, lease: float) -> None:
    await create(store, "created")
    await store.release(await create(store, "released"))
    for run_id in ("parked", "asleep"):
        await park(store, await create(store, run_id))
    await deliver(store, "parked", "k")
    for run_id in ("released", "parked"):
        claimed = await store.claim(run_id)
        hold(claimed is not None and claimed.handed_over, "who lets go of a run hands it over")
    await trio.sleep(1.5 * lease)
    for run_id in ("created", "released", "parked"):
        claimed = await store.claim(run_id)
        hold(claimed is not None, "a run whose lease has ended can be claimed")
        assert claimed is not None
        hold(not claimed.handed_over, "whose lease ends hands nothing over")
    hold((await store.info("asleep")).parked, "a sleep is no lease, and does not end with one")


PARKING_CHECKS = (
    _a_parked_run_sleeps,
    _parking_is_news,
    _parking_is_refused,
    _a_parked_run_is_woken,
    _nobody_sleeps_with_something_unread,
    _a_sleep_ends_by_itself,
    _who_lets_go_hands_over,
    _orphans_come_in_pages,
)
