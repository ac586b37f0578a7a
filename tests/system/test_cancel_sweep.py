"""Cancelled at every checkpoint: no task left, one terminal event, every call answered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from log_kit import check_log

from trio_agent._agent import Agent
from trio_agent._errors import ToolError
from trio_agent._events import AnyEvent
from trio_agent._log.store import Store
from trio_agent._log.subscription import Subscription
from trio_agent._run.run import Run
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.models._model import Model
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import (
    InterruptingStore,
    ScriptedModel,
    StoreProxy,
    Sweep,
    call,
    cancel_sweep,
)
from trio_agent.tools._tool import tool


@tool
async def look(city: str) -> str:
    """Look."""
    for _ in range(3):
        await trio.lowlevel.checkpoint()
    return city


@tool
def count(n: int) -> int:
    """Count, in a thread."""
    return n + 1


@tool
async def refuse() -> None:
    """Refuse."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.lowlevel.checkpoint)
    raise ToolError("not today")


class Opened(ScriptedModel):
    """A model with something to open and to close."""

    is_open = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Model]:
        await trio.lowlevel.checkpoint()
        self.is_open = True
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                yield self
                nursery.cancel_scope.cancel()
        finally:
            self.is_open = False


def make_agent() -> tuple[Agent, Opened]:
    """Text, two tools side by side of which one is in a thread, a tool's error, three steps."""
    model = Opened(
        ["Let me ", "see.", call("1", "look", city="Oslo"), call("2", "count", n=1)],
        [call("3", "refuse"), call("4", "look", city="Rome"), call("5", "nope")],
        ["Done", "."],
    )
    return Agent(model=model, tools=[look, count, refuse]), model


async def read_all(store: Store) -> list[AnyEvent]:
    """The whole log of the one run in the store; nothing if there is none."""
    runs = await store.find(None, None, 10)
    if not runs:
        return []
    [info] = runs
    page = await store.read(info.record.run_id, 0, 1000)
    assert page.closed
    return [event for entry in page.entries if (event := entry.event) is not None]


async def follow(events: Subscription, seen: list[AnyEvent]) -> None:
    with events:
        async for event in events:
            seen.append(event)  # noqa: PERF401  (what was seen must be there when it is cancelled)


def steady_clock() -> trio.abc.Clock:
    # A tool works in a thread, for which a clock that jumps at once would not wait.
    return trio.testing.MockClock(autojump_threshold=0.01)


@pytest.mark.parametrize("far", [False, True], ids=["memory", "writer"])
def test_a_run_in_a_runtime(far: bool) -> None:
    async def scenario(sweep: Sweep) -> None:
        memory = MemoryStore()
        store: Store = StoreProxy(memory) if far else memory
        agent, model = make_agent()
        seen: list[AnyEvent] = []
        runs: list[Run] = []
        with sweep:
            async with open_runtime(store=store) as runtime, trio.open_nursery() as nursery:
                runs.append(await runtime.start(agent, "hi"))
                nursery.start_soon(follow, runs[0].subscribe(), seen)
        log = await read_all(memory)
        assert not model.is_open
        if log:
            check_log(log)
            assert seen == log[: len(seen)]
        for run in runs:
            assert run.status != "active"
            with run.subscribe() as late:
                assert [event async for event in late] == log
            assert (await run.cancel()).last_offset == len(log)
        if not sweep.interrupted:
            assert seen == log
            assert log[-1] is seen[-1]

    assert cancel_sweep(scenario, clock=steady_clock) > 50


@pytest.mark.parametrize("far", [False, True], ids=["memory", "writer"])
def test_a_run_that_is_cancelled_while_its_viewers_stay(far: bool) -> None:
    """`run.cancel()` at every step: the viewers see the whole log, with its end."""

    async def scenario(sweep: Sweep) -> None:
        memory = MemoryStore()
        agent, _ = make_agent()
        seen: list[AnyEvent] = []
        async with open_runtime(store=StoreProxy(memory) if far else memory) as runtime:
            run = await runtime.start(agent, "hi")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(follow, run.subscribe(), seen)
                with sweep:
                    await run.wait()
                receipt = await run.cancel()
                # Everything is gone when the receipt is there.
                assert receipt.last_offset == (await memory.info(run.id)).tail
            log = await read_all(memory)
        check_log(log)
        assert seen == log
        assert run.status == receipt.outcome

    assert cancel_sweep(scenario, clock=steady_clock) > 50


def test_embedded() -> None:
    async def scenario(sweep: Sweep) -> None:
        agent, model = make_agent()
        seen: list[AnyEvent] = []
        with sweep:
            async with agent.stream_events("hi") as events:
                async for event in events:
                    seen.append(event)  # noqa: PERF401
        assert not model.is_open
        assert not any(event.terminal for event in seen[:-1])
        if not sweep.interrupted:
            check_log(seen)

    assert cancel_sweep(scenario, clock=steady_clock) > 50


@pytest.mark.parametrize("far", [False, True], ids=["memory", "writer"])
def test_opening_and_closing(far: bool) -> None:
    async def scenario(sweep: Sweep) -> None:
        memory = MemoryStore()
        model = Opened(["a"])
        with sweep:
            async with open_runtime(store=StoreProxy(memory) if far else memory) as runtime:
                await (await runtime.start(Agent(model=model), "hi")).wait()
        assert not model.is_open
        log = await read_all(memory)
        if log:
            check_log(log)

    assert cancel_sweep(scenario) > 15


def test_at_every_operation_of_the_store() -> None:
    async def scenario(sweep: Sweep) -> None:
        memory = MemoryStore()
        agent, _ = make_agent()
        with sweep:
            async with open_runtime(store=InterruptingStore(memory, sweep.point)) as runtime:
                run = await runtime.start(agent, "hi")
                with run.subscribe() as events:
                    async for _ in events:
                        pass
        for info in await memory.find(None, None, 10):
            if info.tail:
                check_log(await read_all(memory))
            else:
                # Cancelled between the creation and its answer: an orphan, once its lease ends.
                assert info.active

    points = cancel_sweep(scenario, steps=False, clock=steady_clock)
    assert points > 10
