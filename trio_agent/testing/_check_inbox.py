"""What the store contract says of inboxes: each key once, in order, bounded, and news."""

from typing import Final

import trio

from .._errors import LimitExceeded
from .._log.inbox import INBOX_BYTES, INBOX_ITEMS, Delivered, Delivery
from .._log.store import PAGE_BYTES, Store, Watch
from ._check_log import commit, create, entries_at, hold, raises, read_all, run_finish, run_start

_BYTES: Final = bytes(range(256))
_AT_ONCE: Final = 5
_SOON: Final = 10.0
"""Seconds within which there must be news of what was done."""


async def deliver(store: Store, run_id: str, key: str, data: bytes = b"data") -> None:
    outcome = await store.deliver(run_id, key, data)
    hold(outcome is Delivered.DELIVERED, "what is new is delivered")


async def read_inbox(store: Store, run_id: str) -> list[Delivery]:
    """Read all pages."""
    found: list[Delivery] = []
    while page := await store.inbox(run_id, len(found), 1000):
        found += page
        hold(
            [each.number for each in found] == list(range(1, len(found) + 1)),
            "deliveries have the numbers from 1 on, without a gap",
        )
    return found


async def expect_news(watch: Watch, sentence: str) -> None:
    with trio.move_on_after(_SOON) as scope:
        await watch.receive()
    hold(not scope.cancelled_caught, sentence)


async def _each_key_is_taken_once(store: Store) -> None:
    lease = await create(store, "a")
    await commit(store, entries_at(lease, 1, run_start("a")))
    await create(store, "b")
    hold(await read_inbox(store, "a") == [], "a new inbox is empty")
    before = await store.info("a")
    hold(before.delivered == 0, "a new inbox is empty")
    told = [("k", _BYTES), ("other 'ü' {k}:1", b""), ("third", _BYTES)]
    for key, data in told:
        await deliver(store, "a", key, data)
    expected = [Delivery(n, key, data) for n, (key, data) in enumerate(told, 1)]
    hold(await read_inbox(store, "a") == expected, "deliveries are in order, as they came")
    again = [await store.deliver("a", key, data) for key, data in told]
    hold(again == [Delivered.DELIVERED] * 3, "to deliver the same again is a success")
    hold(await store.deliver("a", "k", b"new") is Delivered.TAKEN, "the first delivery wins")
    hold(await read_inbox(store, "a") == expected, "what is there already is not delivered again")
    info = await store.info("a")
    hold(info.delivered == 3, "`info` tells the number of the newest delivery")
    hold(info.size == before.size + 2 * len(_BYTES), "deliveries are counted, each once")
    hold(list(await store.find(None, "b", 1)) == [info], "lists tell what `info` tells")
    hold(info.leased and info.fence == lease.fence, "a delivery leaves the run to its holder")
    hold(len(await read_all(store, "a")) == 1, "a delivery leaves the log alone")
    await deliver(store, "b", "k", b"new")
    hold(len(await read_inbox(store, "b")) == 1, "an inbox is of one run")


async def _an_inbox_stays_as_long_as_its_run(store: Store) -> None:
    lease = await create(store, "a")
    await deliver(store, "a", "k")
    await commit(store, entries_at(lease, 1, run_finish("a")))
    hold(await store.deliver("a", "late", b"") is Delivered.CLOSED, "a closed log takes no more")
    again = await store.deliver("a", "k", b"data")
    hold(again is Delivered.DELIVERED, "to deliver the same again is a success, then, too")
    hold((await store.info("a")).delivered == 1, "a closed log takes no more")
    hold(await read_inbox(store, "a") == [Delivery(1, "k", b"data")], "nothing is removed before")


async def _of_several_deliveries_the_first_wins(store: Store) -> None:
    await create(store, "a")
    outcomes: dict[bytes, Delivered] = {}

    async def race(data: bytes) -> None:
        outcomes[data] = await store.deliver("a", "race", data)

    async with trio.open_nursery() as nursery:
        for n in range(_AT_ONCE):
            nursery.start_soon(race, b"%d" % n)
            nursery.start_soon(store.deliver, "a", f"alone{n}", b"")
    won = [data for data, outcome in outcomes.items() if outcome is Delivered.DELIVERED]
    hold(len(won) == 1, "of several deliveries with one key, one wins")
    taken = list(outcomes.values()).count(Delivered.TAKEN)
    hold(taken == _AT_ONCE - 1, "who comes later is told that the key is taken")
    found = {each.key: each.data for each in await read_inbox(store, "a")}
    hold(found["race"] == won[0], "what lies in the inbox is what won")
    hold(len(found) == _AT_ONCE + 1, "of deliveries with other keys none is lost")


async def _an_inbox_is_read_in_pages(store: Store) -> None:
    await create(store, "a")
    sizes = [1, 700_000, 700_000, 1, 1_500_000, 1]
    for n, size in enumerate(sizes, 1):
        await deliver(store, "a", str(n), b"x" * size)
    few = [each.number for each in await store.inbox("a", 2, 1)]
    hold(few == [3], "an inbox is read behind a number, at most `limit`")
    pages: list[list[int]] = []
    after = 0
    while page := await store.inbox("a", after, 1000):
        pages.append([len(each.data) for each in page])
        after = page[-1].number
    hold([size for page in pages for size in page] == sizes, "pages of an inbox are whole")
    for told in pages:
        hold(
            len(told) == 1 or sum(told) <= PAGE_BYTES,
            "a page of an inbox holds at most `PAGE_BYTES`",
        )


async def _an_inbox_is_bounded(store: Store) -> None:
    await create(store, "a")
    await create(store, "b")
    for n in range(16):
        await deliver(store, "a", str(n), bytes(INBOX_BYTES // 16))
    async with raises(LimitExceeded, "an inbox takes at most `INBOX_BYTES`"):
        await store.deliver("a", "more", b"x")
    hold((await store.info("a")).delivered == 16, "what is too much is not taken")
    again = await store.deliver("a", "0", bytes(INBOX_BYTES // 16))
    hold(again is Delivered.DELIVERED, "what is there already needs no room")
    await deliver(store, "b", "k")
    if store.durable:
        # Each is forced to the disk: so many would take minutes on a slow one.
        return
    for n in range(1, INBOX_ITEMS):
        await store.deliver("b", str(n), b"")
    async with raises(LimitExceeded, "an inbox takes at most `INBOX_ITEMS`"):
        await store.deliver("b", "more", b"")


async def _a_delivery_is_news(store: Store) -> None:
    await create(store, "a")
    async with store.watch() as watch:
        watch.add("a", log=False)
        hold(await watch.receive() == "a", "a run that is added is yielded once")
        await deliver(store, "a", "k")
        await expect_news(watch, "a delivery is news")


INBOX_CHECKS = (
    _each_key_is_taken_once,
    _an_inbox_stays_as_long_as_its_run,
    _of_several_deliveries_the_first_wins,
    _an_inbox_is_read_in_pages,
    _an_inbox_is_bounded,
    _a_delivery_is_news,
)
