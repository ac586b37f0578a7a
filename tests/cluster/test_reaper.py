"""Looking for runs that nobody works on: all that are due, again and again, each by itself."""

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
import trio
import trio.testing
from shared_kit import LEASE, orphan

from trio_agent._cluster.closing import close_log
from trio_agent._cluster.reaper import Reaper
from trio_agent._errors import LogDamaged, StoreUnavailable
from trio_agent._log.store import Store
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore


def nobody(_: str) -> bool:
    return False


class Taking:
    """Ends what it is given, and knows what that was."""

    def __init__(self, store: Store) -> None:
        self.taken: list[str] = []
        self._store = store

    async def __call__(self, run_id: str) -> None:
        self.taken.append(run_id)
        lease = await self._store.claim(run_id)
        if lease is not None:
            await close_log(self._store, lease, "worker-lost", "gone")


async def look(
    store: Store, *, seconds: float = 0.5, skip: Callable[[str], bool] = nobody
) -> list[str]:
    """Look for so long; returns what was taken."""
    taking = Taking(store)
    with trio.move_on_after(seconds):
        await Reaper(store, taking, skip).run()
    return taking.taken


async def with_orphans(*run_ids: str) -> MemoryStore:
    store = MemoryStore(lease=LEASE)
    for run_id in run_ids:
        await orphan(store, run_id)
    return store


async def test_at_once_and_every_second(autojump_clock: trio.testing.MockClock) -> None:
    store = await with_orphans("first")
    taking = Taking(store)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Reaper(store, taking, nobody).run)
        await trio.testing.wait_all_tasks_blocked()
        assert taking.taken == ["first"]
        await orphan(store, "second")
        await trio.sleep(0.9)
        assert taking.taken == ["first"]
        await trio.sleep(0.2)
        assert taking.taken == ["first", "second"]
        await trio.sleep(60)
        assert taking.taken == ["first", "second"]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("lease", "looks"), [(10.0, 11), (1.0, 34)])
async def test_more_often_where_leases_are_short(
    lease: float, looks: int, autojump_clock: trio.testing.MockClock
) -> None:
    store = FaultyStore(MemoryStore(lease=lease))
    await look(store, seconds=10.1)
    assert store.calls["orphans"] == looks


async def test_what_is_wanted_is_looked_at_soon(autojump_clock: trio.testing.MockClock) -> None:
    """Whether it is an orphan, or not any more: whoever takes it sees that."""
    store = await with_orphans()
    taking = Taking(store)
    reaper = Reaper(store, taking, nobody)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reaper.run)
        await trio.testing.wait_all_tasks_blocked()
        await orphan(store)
        begin = trio.current_time()
        reaper.want("r")
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == begin
        assert taking.taken == ["r"]
        nursery.cancel_scope.cancel()


async def test_page_by_page(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr("trio_agent._cluster.reaper._AT_ONCE", 2)
    store = FaultyStore(await with_orphans(*"01234"))
    assert sorted(await look(store)) == list("01234")
    assert await store.orphans("", 10) == []
    # Two, two, one, and the empty page that says that there are no more; then once more.
    assert store.calls["orphans"] == 5


async def test_what_is_skipped_keeps_no_others_back(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr("trio_agent._cluster.reaper._AT_ONCE", 2)
    store = await with_orphans(*"01234")
    assert sorted(await look(store, skip=set("012").__contains__)) == ["3", "4"]
    assert await store.orphans("", 10) == ["0", "1", "2"]


async def test_what_is_skipped_for_a_while_is_taken_then(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = await with_orphans("r")
    begin = trio.current_time()
    assert await look(store, seconds=20, skip=lambda _: trio.current_time() < begin + 10) == ["r"]


async def test_a_herd_is_taken_in_no_order(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Else all who share it would want the same ones first."""
    shuffled: list[list[str]] = []

    def reverse(found: list[str]) -> None:
        shuffled.append(list(found))
        found.reverse()

    monkeypatch.setattr(random, "shuffle", reverse)
    wanted: list[str] = []
    reaper = Reaper(await with_orphans(*"0123"), Taking(MemoryStore()), set("2").__contains__)
    monkeypatch.setattr(reaper._errands, "want", wanted.append)
    with trio.move_on_after(0.5):
        await reaper.run()
    assert shuffled == [["0", "1", "3"]]
    assert wanted == ["3", "1", "0"]


async def test_none_is_taken_twice_at_a_time(autojump_clock: trio.testing.MockClock) -> None:
    under_way: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def take(run_id: str) -> None:
        under_way[run_id] += 1
        most[run_id] = max(most[run_id], under_way[run_id])
        await trio.sleep(5)
        under_way[run_id] -= 1

    store = await with_orphans("a", "b")
    reaper = Reaper(store, take, nobody)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reaper.run)
        for _ in range(20):
            await trio.sleep(0.7)
            reaper.want("a")
        assert under_way == {"a": 1, "b": 1}, "they wait for each other"
        nursery.cancel_scope.cancel()
    assert most == {"a": 1, "b": 1}


@pytest.mark.parametrize("operation", ["orphans", "claim", "read", "append"])
@pytest.mark.parametrize("failure", ["away", "a bug"])
async def test_a_store_that_fails_is_asked_again(
    operation: str,
    failure: str,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Odd(FaultyStore):
        odd = ""

        async def perform(self, name, act):  # type: ignore[no-untyped-def]
            if name == self.odd:
                raise TypeError("a bug")
            return await super().perform(name, act)

    memory = await with_orphans("r")
    store = Odd(memory)
    if failure == "away":
        store.away.add(operation)
    else:
        store.odd = operation
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Reaper(store, Taking(store), nobody).run)
        await trio.sleep(10)
        assert (await memory.info("r")).active
        store.odd = ""
        store.away.clear()
        await trio.sleep(LEASE + 5)
        nursery.cancel_scope.cancel()
    assert not (await memory.info("r")).active
    assert {
        "orphans": "could not look for runs without a worker",
    }.get(operation, "run r could not be taken over, or closed") in caplog.text
    # Rarely: not at each attempt.
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "failure", [StoreUnavailable("a shard is away"), LogDamaged("bad"), TypeError("a bug")]
)
async def test_one_that_can_not_be_taken_leaves_the_others_alone(
    failure: Exception, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(MemoryStore):
        async def claim(self, run_id: str):  # type: ignore[no-untyped-def]
            if run_id == "bad":
                raise failure
            return await super().claim(run_id)

    store = Odd()
    for run_id in ("bad", "r"):
        await orphan(store, run_id)
    taken = await look(store, seconds=60)
    assert taken.count("r") == 1
    # After a while each: it may be able to be taken by then.
    assert 20 < taken.count("bad") <= 61
    assert not (await store.info("r")).active
    assert caplog.text.count("run bad could not be taken over, or closed") == 1


async def test_a_store_that_says_them_again_and_again_is_no_hurry(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """What it names is due, but somebody else may have had it before."""

    class Slow(MemoryStore):
        async def orphans(self, after: str, limit: int) -> Sequence[str]:
            await trio.sleep(0)
            return [] if after else ["r"]

    store = Slow()
    await orphan(store)
    assert await look(store, seconds=10.5) == ["r"] * 11
