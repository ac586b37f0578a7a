"""A run of a store, seen from beside the runtime that works on it."""

import pytest
from trio.testing import MockClock

from trio_agent import (
    Agent,
    MemoryStore,
    RunFinish,
    RunOver,
    RunWaiting,
    ToolContext,
    UnknownRun,
    open_run,
    open_runtime,
    tool,
)
from trio_agent.testing import ScriptedModel, call


@tool(approval=True)
def send(context: ToolContext) -> str:
    """Send."""
    return "sent"


def asking() -> Agent:
    return Agent(model=ScriptedModel([call("c", "send")], ["Done."]), tools=[send])


async def test_it_is_watched_answered_and_told(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with open_runtime(store=store) as runtime:
        run_id = (await runtime.start(asking(), "go")).id
        async with open_run(store, run_id) as run, run.subscribe() as events:
            async for event in events:
                if isinstance(event, RunWaiting):
                    break
            assert (await store.info(run_id)).viewers == 0
            await run.say("Hurry.")
            await run.answer("c", approved=True)
            assert isinstance([event async for event in events][-1], RunFinish)
            assert (await run.wait()).text == "Done."
            with pytest.raises(RunOver):
                await run.say("More.")
        async with open_run(store, run_id) as run:
            assert (run.status, run.finished) == ("stop", True)


async def test_it_is_cancelled(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with open_runtime(store=store) as runtime:
        asked = await runtime.start(asking(), "go")
        async with open_run(store, asked.id) as run:
            receipt = await run.cancel("enough")
        assert receipt.outcome == "cancelled"
        assert (await asked.wait()).reason == "enough"


async def test_unknown_run() -> None:
    with pytest.raises(UnknownRun):
        async with open_run(MemoryStore(), "nobody"):
            raise AssertionError
