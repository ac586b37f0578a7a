"""A server that dies in a test: what it had begun stays as it was, and goes on elsewhere."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from crash_kit import names
from runtime_kit import endless, logged, quick
from shared_kit import quiet
from store_kit import deltas, finish, record

from trio_agent._agent import Agent
from trio_agent._errors import FenceLost, StoreUnavailable
from trio_agent._events import TextDelta
from trio_agent._log.log import Append, Appended
from trio_agent._log.store import Store
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import CrashingStore, ScriptedModel, check_store


async def test_it_keeps_the_contract(autojump_clock: trio.testing.MockClock) -> None:
    @asynccontextmanager
    async def open_store() -> AsyncIterator[Store]:
        yield CrashingStore(MemoryStore(lease=5))

    await check_store(open_store, lease=5)


@pytest.mark.parametrize(("given", "shared"), [(None, False), (False, False), (True, True)])
def test_what_it_says_of_itself(given: bool | None, shared: bool) -> None:
    store = CrashingStore(MemoryStore(), shared=given)
    assert (store.shared, store.durable) == (shared, True)
    assert CrashingStore(CrashingStore(MemoryStore(), shared=True)).shared


async def test_a_life_without_a_crash() -> None:
    with CrashingStore(MemoryStore()) as door:
        async with open_runtime(store=door) as runtime:
            assert (await (await runtime.start(quick(), "hi")).wait()).text == "a"
    assert not door.crashed


async def test_what_a_block_raises_comes_out_of_it() -> None:
    with pytest.raises(KeyError), CrashingStore(MemoryStore()):
        raise KeyError


async def test_a_dead_server_changes_nothing(autojump_clock: trio.testing.MockClock) -> None:
    store = MemoryStore()
    with CrashingStore(store) as door:
        async with open_runtime(store=door) as runtime:
            run = await runtime.start(endless(), "hi")
            await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(1)
            before, info = await logged(store, run.id), await store.info(run.id)
            begin = trio.current_time()
            door.crash()
            await trio.sleep_forever()
    assert trio.current_time() == begin, "it did not die at once"
    assert await logged(store, run.id) == before
    assert names(before) == ["RunStart", "StepStart", "TextDelta"]
    # It let go of nothing, either.
    assert await store.info(run.id) == info
    assert info.leased
    with pytest.raises(FenceLost):
        await run.wait()


async def test_a_dead_servers_store(autojump_clock: trio.testing.MockClock) -> None:
    store = MemoryStore()
    lease = (await store.create(record("r", thread="t"))).lease
    assert lease is not None
    door = CrashingStore(store)
    assert await door.append([deltas("r", 1)]) == [Appended.COMMITTED]
    door.crash()
    with trio.testing.assert_checkpoints():
        assert await door.append([deltas("r", 2), deltas("r", 3)]) == [Appended.FENCED] * 2
    for act in (
        *(door.renew([lease]), door.release(lease), door.claim("r"), door.info("r")),
        *(door.thread(None, "t"), door.threads(None, None, 1), door.turns(None, "t", "r", 1)),
        *(door.delete_thread(None, "t"), door.create(record("s", thread="t"))),
    ):
        with trio.testing.assert_checkpoints(), pytest.raises(StoreUnavailable, match="crashed"):
            await act
    assert (await store.info("r")).tail == 1


async def test_who_dies_leaves_its_thread_taken(autojump_clock: trio.testing.MockClock) -> None:
    store = MemoryStore()
    await store.create(record("r", thread="t"))
    door = CrashingStore(store)
    door.crash()
    end = Append("r", 1, finish("r", 1).entries, turn=b"{}")
    assert await door.append([end]) == [Appended.FENCED]
    assert (await store.thread(None, "t")).active == "r"
    # Somebody else ends it.
    await trio.sleep(1.5 * store.lease)
    lease = await store.claim("r")
    assert lease is not None
    end = Append("r", lease.fence, end.entries, turn=b"{}")
    assert await CrashingStore(store).append([end]) == [Appended.COMMITTED]
    thread = await store.thread(None, "t")
    assert (thread.active, thread.head, thread.turns) == (None, "r", 1)


async def test_a_run_goes_on_at_another(autojump_clock: trio.testing.MockClock) -> None:
    store = MemoryStore(lease=10)
    agent = Agent(model=ScriptedModel(["Hel", trio.Event()], ["Hello"]))
    with CrashingStore(store) as door:
        async with open_runtime(store=door, agents=[agent]) as runtime:
            run = await runtime.start(agent, "hi")
            await quiet()
            door.crash()
    begin = trio.current_time()
    async with open_runtime(store=CrashingStore(store), agents=[agent]) as runtime:
        assert (await (await runtime.find(run.id)).wait()).text == "Hello"
    # Its lease had to lapse.
    assert 10 <= trio.current_time() - begin <= 12
    assert [e.delta for e in await logged(store, run.id) if isinstance(e, TextDelta)] == [
        "Hel",
        "Hello",
    ]
