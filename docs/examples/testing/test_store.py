from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest
import trio.testing
from weather import make_agent

from trio_agent import MemoryStore, StoreUnavailable, open_runtime
from trio_agent.abc import Store
from trio_agent.testing import FaultyStore, ScriptedModel, StoreProxy, check_store

T = TypeVar("T")


async def test_a_store_that_is_away(autojump_clock: trio.testing.MockClock) -> None:
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store) as runtime:
        store.away.add("create")
        with pytest.raises(StoreUnavailable):
            await runtime.start(make_agent(ScriptedModel(["Hello."])), "Hello?")
        assert runtime.statistics().active == 0


async def test_a_store_whose_answers_get_lost(autojump_clock: trio.testing.MockClock) -> None:
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store) as runtime:
        store.forgetful.add("append")
        run = await runtime.start(make_agent(ScriptedModel(["Hello", 1.0, "."])), "Hello?")
        await trio.sleep(2)
        store.forgetful.clear()
        assert (await run.wait()).text == "Hello."  # nothing is there twice


async def test_a_slow_store(autojump_clock: trio.testing.MockClock) -> None:
    store = FaultyStore(MemoryStore())
    store.delay = 0.5
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(make_agent(ScriptedModel(["Hello."])), "Hello?")
        await run.wait()
    assert store.calls["append"] > 1


class FullStore(StoreProxy):
    """Takes so many operations, and no more."""

    def __init__(self, store: Store, operations: int) -> None:
        super().__init__(store)
        self.left = operations

    async def perform(self, operation: str, act: Callable[[], Awaitable[T]]) -> T:
        if operation in ("create", "append"):
            if not self.left:
                raise StoreUnavailable("the disk is full")
            self.left -= 1
        return await super().perform(operation, act)


async def test_a_disk_that_is_full(autojump_clock: trio.testing.MockClock) -> None:
    store = FullStore(MemoryStore(), operations=3)
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(make_agent(ScriptedModel(["Hello", 60.0, "."])), "Hello?")
        with pytest.raises(StoreUnavailable):
            await run.wait()
        store.left = 100
        await trio.sleep(5)
        run = await runtime.find(run.id)
        async with run.subscribe() as events:
            last = [event async for event in events][-1]
        assert last.terminal


@asynccontextmanager
async def open_empty() -> AsyncIterator[Store]:
    yield MemoryStore(lease=2)  # here, yours


async def test_the_contract(autojump_clock: trio.testing.MockClock) -> None:
    await check_store(open_empty, lease=2)
