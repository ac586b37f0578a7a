"""Stores in front of a store: transparent, and then slow, away, forgetful, or interrupted."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TypeVar

import pytest
import trio
import trio.testing
from store_kit import deltas, finish, record

from trio_agent._errors import StoreUnavailable, UnknownRun
from trio_agent._limits import Retention
from trio_agent._log.log import Append, Appended
from trio_agent._log.store import Lease, Store
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import (
    FaultyStore,
    InterruptingStore,
    StoreProxy,
    Sweep,
    cancel_sweep,
    check_store,
)

T = TypeVar("T")

OPERATIONS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "create": lambda store: store.create(record("b", thread="idle", head="done")),
    "append": lambda store: store.append([deltas("a", 1)]),
    "read": lambda store: store.read("a", 0, 10),
    "read_private": lambda store: store.read_private("a", [0, 1]),
    "read_blob": lambda store: store.read_blob("a", "f0"),
    "info": lambda store: store.info("a"),
    "find": lambda store: store.find(None, None, 10, "idle"),
    "thread": lambda store: store.thread(None, "idle"),
    "threads": lambda store: store.threads(None, None, 10),
    "turns": lambda store: store.turns(None, "idle", "done", 10),
    "delete_thread": lambda store: store.delete_thread(None, "idle"),
    "claim": lambda store: store.claim("a"),
    "renew": lambda store: store.renew([Lease("a", 1)]),
    "release": lambda store: store.release(Lease("a", 1)),
    "renew_epoch": lambda store: store.renew_epoch(Lease("a", 1), "new"),
    "park": lambda store: store.park(Lease("a", 1), 0, None),
    "deliver": lambda store: store.deliver("a", "k", b"data"),
    "inbox": lambda store: store.inbox("a", 0, 10),
    "orphans": lambda store: store.orphans("", 10),
    "request_cancel": lambda store: store.request_cancel("a", "why"),
    "set_viewers": lambda store: store.set_viewers("a", "w", 1),
    "delete": lambda store: store.delete("done"),
    "expire": lambda store: store.expire(Retention(seconds=0)),
}
RUNS_BEHIND = {"create": 3, "delete": 1, "delete_thread": 1, "expire": 1}
"""How many there are behind what changes the number of those in `filled`, which is 2."""


async def filled() -> MemoryStore:
    store = MemoryStore(lease=5)
    for run_id, thread in (("a", None), ("done", "idle")):
        files = {"f0": b"file"}
        await store.create(record(run_id, private=b"private", blobs=files, thread=thread))
    await store.append([Append("done", 1, finish("done", 1).entries, turn=b"{}")])
    return store


@asynccontextmanager
async def open_behind_a_proxy() -> AsyncIterator[Store]:
    yield FaultyStore(MemoryStore(lease=5))


async def test_a_proxy_keeps_the_contract(autojump_clock: trio.testing.MockClock) -> None:
    await check_store(open_behind_a_proxy, lease=5)


class Recording(StoreProxy):
    """Remembers what it performed."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.performed: list[str] = []

    async def perform(self, operation: str, act: Callable[[], Awaitable[T]]) -> T:
        self.performed.append(operation)
        return await act()


def test_every_operation_is_here() -> None:
    acts = {name for name in Store.__abstractmethods__ if name != "watch"}
    assert set(OPERATIONS) == acts
    assert all(inspect.iscoroutinefunction(getattr(Store, name)) for name in acts)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_is_performed_by_its_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is done to two stores is to happen at one moment.
    clock = SimpleNamespace(time_ns=lambda: 1_700_000_000 * 10**9)
    monkeypatch.setattr("trio_agent.stores._memory_threads.time", clock)
    direct = await filled()
    proxy = Recording(await filled())
    expected, got = await OPERATIONS[name](direct), await OPERATIONS[name](proxy)
    assert proxy.performed == [name]
    # Not `==`, for an entry is only equal to itself.
    assert repr(got) == repr(expected)


class Shared(MemoryStore):
    """A store with something to open."""

    is_open = False

    @property
    def shared(self) -> bool:
        return True

    @property
    def durable(self) -> bool:
        return True

    def partition(self, run_id: str) -> str:
        return run_id[:1]

    def new_run_id(self, owner: str | None, thread: str | None) -> str:
        return f"{owner} in {thread}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        self.is_open = True
        yield
        self.is_open = False


async def test_what_a_proxy_tells_of_its_store() -> None:
    store = Shared(lease=7)
    proxy = StoreProxy(store)
    assert (proxy.lease, proxy.shared, proxy.durable) == (7, True, True)
    assert (proxy.partition("run"), proxy.new_run_id("me", "t")) == ("r", "me in t")
    plain = StoreProxy(MemoryStore())
    assert (plain.shared, plain.durable) == (False, False)
    async with proxy.open():
        assert store.is_open
        async with proxy.watch() as watch:
            watch.add("a")
            assert await watch.receive() == "a"
    assert not store.is_open


async def test_a_proxy_does_io() -> None:
    store = await filled()
    with pytest.raises(trio.WouldBlock):
        StoreProxy(store).append_nowait([deltas("a", 1)])
    assert store.append_nowait([deltas("a", 1)]) == [Appended.COMMITTED]


async def test_faulty_store(autojump_clock: trio.testing.MockClock) -> None:
    store = FaultyStore(MemoryStore())
    async with store.open():
        store.away.add("create")
        with pytest.raises(StoreUnavailable):
            await store.create(record("a"))
        store.away.clear()
        with pytest.raises(UnknownRun):
            await store.info("a")
        store.forgetful.add("create")
        with pytest.raises(StoreUnavailable):
            await store.create(record("a"))
        store.delay = 3
        begin = trio.current_time()
        assert (await store.info("a")).tail == 0
        assert trio.current_time() - begin == 3
        with pytest.raises(trio.WouldBlock):
            store.append_nowait([])
        assert store.calls == {"create": 2, "info": 2}


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_store_that_is_away_does_nothing_and_checkpoints(name: str) -> None:
    memory = await filled()
    before = await memory.find(None, None, 10)
    store = FaultyStore(memory)
    store.away.add(name)
    with trio.testing.assert_checkpoints(), pytest.raises(StoreUnavailable, match="is away"):
        await OPERATIONS[name](store)
    assert await memory.find(None, None, 10) == before


@pytest.mark.parametrize("name", OPERATIONS)
async def test_interrupting_store(name: str) -> None:
    """There is one point before an operation has done anything, and one behind it."""
    points: list[int] = []

    def point() -> None:
        points.append(memory.statistics().runs)

    memory = await filled()
    await OPERATIONS[name](InterruptingStore(memory, point))
    assert points == [2, RUNS_BEHIND.get(name, 2)]


@pytest.mark.parametrize("name", OPERATIONS)
async def test_what_is_forgotten_is_done(name: str) -> None:
    memory = await filled()
    store = FaultyStore(memory)
    store.forgetful.add(name)
    with pytest.raises(StoreUnavailable, match="did not answer"):
        await OPERATIONS[name](store)
    assert memory.statistics().runs == RUNS_BEHIND.get(name, 2)


def test_each_operation_is_cancelled_before_and_behind_it() -> None:
    runs: list[int] = []

    async def scenario(sweep: Sweep) -> None:
        memory = MemoryStore()
        store = InterruptingStore(memory, sweep.point)
        with sweep:
            await store.create(record("a"))
            await store.create(record("b"))
            await trio.lowlevel.checkpoint()
        runs.append(memory.statistics().runs)

    assert cancel_sweep(scenario, steps=False) == 4
    # Before the first, behind it, before the second, behind it, and not at all.
    assert runs == [0, 1, 1, 2, 2]
