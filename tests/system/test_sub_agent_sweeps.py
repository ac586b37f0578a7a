"""Agents within agents, cancelled at every step and at every operation of their store.

No task is left, all levels have their ends, and the receipt knows whose threads were let go.
"""

from collections.abc import Sequence

import pytest
import trio
import trio.testing
from log_kit import at_all_levels, check_levels
from runtime_kit import collect, logged
from team_kit import COSTS, make_team

from trio_agent import (
    AnyEvent,
    MemoryStore,
    ModelFinished,
    RunFinish,
    ToolResult,
    Usage,
    open_runtime,
)
from trio_agent.abc import Store
from trio_agent.testing import InterruptingStore, StoreProxy, Sweep, cancel_sweep


def steady_clock() -> trio.abc.Clock:
    # Tools work in threads, for which a clock that jumps at once would not wait.
    return trio.testing.MockClock(autojump_threshold=0.01)


def check(events: Sequence[AnyEvent]) -> None:
    """What holds wherever it was cancelled."""
    check_levels(events)
    end = events[-1]
    assert isinstance(end, RunFinish)
    paid = [e.usage for e in at_all_levels(events) if isinstance(e, ModelFinished)]
    assert end.run.usage == sum(paid, Usage())
    if end.run.finish_reason == "stop":
        assert end.run.usage.total_tokens == COSTS


async def check_all(store: Store) -> None:
    for info in await store.find(None, None, 10):
        if info.tail:
            check(await logged(store, info.record.run_id))
        else:
            # Cancelled between the creation and its answer: an orphan, once its lease ends.
            assert info.active


@pytest.mark.parametrize("far", [False, True], ids=["memory", "writer"])
def test_cancelled_with_its_runtime(far: bool) -> None:
    async def scenario(sweep: Sweep) -> None:
        memory = MemoryStore()
        seen: list[AnyEvent] = []
        with sweep:
            async with open_runtime(store=StoreProxy(memory) if far else memory) as runtime:
                run = await runtime.start(make_team(), "hi")
                await collect(run.subscribe(), seen)
        await check_all(memory)
        if not sweep.interrupted:
            check(seen)

    assert cancel_sweep(scenario, clock=steady_clock) > 100


def test_cancelled_while_its_viewers_stay() -> None:
    async def scenario(sweep: Sweep) -> None:
        memory = MemoryStore()
        seen: list[AnyEvent] = []
        async with open_runtime(store=StoreProxy(memory)) as runtime:
            run = await runtime.start(make_team(), "hi")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(collect, run.subscribe(), seen)
                with sweep:
                    await run.wait()
                receipt = await run.cancel()
                assert receipt.last_offset == (await memory.info(run.id)).tail
        check(seen)
        assert seen == await logged(memory, run.id)
        results = [e.tool for e in at_all_levels(seen) if isinstance(e, ToolResult)]
        unknown = [each.id for each in results if each.status == "unknown"]
        assert sorted(receipt.abandoned) == sorted(unknown)

    assert cancel_sweep(scenario, clock=steady_clock) > 100


def test_cancelled_at_every_operation_of_the_store() -> None:
    async def scenario(sweep: Sweep) -> None:
        memory = MemoryStore()
        with sweep:
            async with open_runtime(store=InterruptingStore(memory, sweep.point)) as runtime:
                run = await runtime.start(make_team(), "hi")
                await collect(run.subscribe(), [])
        await check_all(memory)

    assert cancel_sweep(scenario, steps=False, clock=steady_clock) > 20
