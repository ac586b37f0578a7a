"""Opening and leaving a runtime: who is waited for, who is cancelled, in which order."""

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from runtime_kit import endless

from trio_agent._agent import Agent
from trio_agent._errors import StoreUnavailable
from trio_agent._limits import RuntimeLimits
from trio_agent._log.log import Append, Appended
from trio_agent._log.store import Watch
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.models._model import Model
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, Line, ScriptedModel, StoreProxy


async def test_leaving_waits_for_the_runs() -> None:
    go_on = trio.Event()
    async with trio.open_nursery() as nursery, open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a", go_on, "b"])), "hi")

        async def later() -> None:
            await trio.testing.wait_all_tasks_blocked()
            go_on.set()

        nursery.start_soon(later)
    assert (await run.wait()).text == "ab"


async def test_the_bodys_exception_is_plain_and_cancels_the_runs() -> None:
    store = MemoryStore()
    failure = KeyError("x")
    with pytest.raises(KeyError) as caught:  # noqa: PT012
        async with open_runtime(store=store) as runtime:
            run = await runtime.start(endless(), "hi")
            await trio.testing.wait_all_tasks_blocked()
            raise failure
    assert caught.value is failure
    result = await run.wait()
    assert (result.finish_reason, result.reason) == ("cancelled", "the runtime was cancelled")
    assert (await store.info(run.id)).last is not None


@pytest.mark.parametrize("hidden", [False, True])
async def test_cancelled_with_everything_around_it(hidden: bool) -> None:
    store: Any = FaultyStore(MemoryStore()) if hidden else MemoryStore()
    with trio.CancelScope() as scope:
        async with open_runtime(store=store) as runtime:
            run = await runtime.start(endless(), "hi")
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert (await run.wait()).finish_reason == "cancelled"
    last = (await store.info(run.id)).last
    assert last is not None
    assert last.terminal


async def test_the_closing_bound(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = FaultyStore(MemoryStore())
    with trio.CancelScope() as scope:
        async with open_runtime(store=store, limits=RuntimeLimits(closing_bound=3)) as runtime:
            run = await runtime.start(endless(), "hi")
            await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(1)
            store.away.add("append")
            begin = trio.current_time()
            scope.cancel()
    assert trio.current_time() - begin <= 6
    with pytest.raises(StoreUnavailable, match=r"in time$"):
        await run.wait()
    assert "they are lost" in caplog.text


async def test_a_clock_that_does_not_wait_for_the_stores_thread(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """As with an SQLite store, only sooner or later."""
    go_on = threading.Event()

    class Threaded(StoreProxy):
        async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
            await trio.to_thread.run_sync(go_on.wait)
            return await super().append(batch)

    async with open_runtime(store=Threaded(MemoryStore())) as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a"])), "hi")
        try:
            with pytest.raises(StoreUnavailable, match="in time: the clock of this test does not"):
                await run.cancel()
        finally:
            go_on.set()


@pytest.mark.parametrize("how", ["in peace", "by an exception", "by cancelling"])
async def test_who_is_needed_for_longest_is_closed_last(how: str) -> None:
    said: list[str] = []

    class Closing(MemoryStore):
        @asynccontextmanager
        async def open(self) -> AsyncIterator[object]:
            said.append("store opened")
            try:
                yield self
            finally:
                kept = self.statistics()
                said.append("store closed" if kept.finished == 1 else "store closed too early")

        @asynccontextmanager
        async def watch(self) -> AsyncIterator[Watch]:
            async with super().watch() as watch:
                try:
                    yield watch
                finally:
                    said.append("watch closed")

    class Opened(ScriptedModel):
        @asynccontextmanager
        async def open(self) -> AsyncIterator[Model]:
            said.append("model opened")
            try:
                yield self
            finally:
                said.append("model closed")

    lines: list[Line] = ["a"] if how == "in peace" else ["a", trio.Event()]
    with trio.CancelScope() as scope:
        try:
            async with open_runtime(store=Closing()) as runtime:
                await runtime.start(Agent(model=Opened(lines)), "hi")
                await trio.testing.wait_all_tasks_blocked()
                if how == "by an exception":
                    raise KeyError
                if how == "by cancelling":
                    scope.cancel()
        except KeyError:
            pass
    opened, closed = said[:2], said[2:]
    assert opened == ["store opened", "model opened"]
    assert closed == ["model closed", "watch closed", "store closed"]


async def test_by_default_logs_are_kept_in_memory() -> None:
    async with open_runtime() as runtime:
        assert isinstance(runtime.store, MemoryStore)
        assert runtime.limits == RuntimeLimits()
    async with open_runtime(store=(store := MemoryStore())) as runtime:
        assert runtime.store is store


async def test_a_store_that_can_not_be_opened() -> None:
    class Closed(MemoryStore):
        @asynccontextmanager
        async def open(self) -> AsyncIterator[object]:
            raise StoreUnavailable("no disk")
            yield

    with pytest.raises(StoreUnavailable, match="no disk"):
        async with open_runtime(store=Closed()):
            pytest.fail("it can't be opened")


async def test_agents_of_one_name() -> None:
    agents = [Agent(model=ScriptedModel(), name="a") for _ in range(2)]
    with pytest.raises(ValueError, match=r"^two agents are called 'a'"):
        async with open_runtime(agents=agents):
            pytest.fail("nobody knows whose runs go on")
