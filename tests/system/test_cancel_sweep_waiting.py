"""A run that waits and is answered, cancelled wherever it may be."""

from typing import Any

import trio
from log_kit import check_levels
from runtime_kit import logged
from wait_kit import LastingStore, of, told

from trio_agent import Agent, tool
from trio_agent._errors import RunOver
from trio_agent._events import RunWaiting, ToolAnswered, UserSaid
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import ScriptedModel, Sweep, call, cancel_sweep


def paying(made: list[str]) -> Agent:
    @tool(approval=True)
    async def pay(amount: int) -> str:
        """Pay."""
        made.append("began")
        await trio.lowlevel.checkpoint()
        made.append("ended")
        return f"paid {amount}"

    model = ScriptedModel([call("1", "pay", amount=5)], ["do", "ne"])
    return Agent(model=model, name="shop", tools=[pay])


async def checked(store: MemoryStore, made: list[str]) -> list[Any]:
    """All runs have ended, in good order; nothing was done twice, nor taken twice."""
    logs = [await logged(store, info.record.run_id) for info in await store.find(None, None, 9)]
    for events in filter(None, logs):  # Of what nobody was told, there is nothing.
        check_levels(events)
        assert len(of(ToolAnswered, events)) <= 1
        assert len(of(UserSaid, events)) <= 1
        if not of(ToolAnswered, events):
            assert made == []
    assert made.count("began") <= 1
    return logs


async def answered(runtime: Runtime, agent: Agent) -> None:
    """Start a run, tell it something while it sleeps, and answer it."""
    run = await runtime.start(agent, "hi")
    await told(run, RunWaiting)
    await run.say("please")
    await run.answer("1", approved=True)
    assert (await run.wait()).text == "done"


def test_in_a_store_that_ends_with_the_program() -> None:
    async def scenario(sweep: Sweep) -> None:
        store, made = MemoryStore(), list[str]()
        with sweep:
            async with open_runtime(store=store) as runtime:
                await answered(runtime, paying(made))
        await checked(store, made)

    assert cancel_sweep(scenario) > 100


def test_in_a_store_that_lasts() -> None:
    """What sleeps goes on in the next program; what was worked on is cancelled."""

    async def scenario(sweep: Sweep) -> None:
        store, made = LastingStore(), list[str]()
        agent = paying(made)
        with sweep:
            async with open_runtime(store=store, agents=[agent]) as runtime:
                await answered(runtime, agent)
        async with open_runtime(store=store, agents=[agent]) as runtime:
            for info in await store.find(None, None, 9):
                found = await runtime.find(info.record.run_id)
                try:
                    await found.answer("1", approved=True)
                except RunOver:
                    continue
                result = await found.wait()
                assert result.text == "done" or result.finish_reason == "cancelled"
        await checked(store, made)

    assert cancel_sweep(scenario) > 100


def test_while_it_moves() -> None:
    """A drain while it is answered: it goes on in the next program, or has ended."""

    async def scenario(sweep: Sweep) -> None:
        store, made = LastingStore(), list[str]()
        agent = paying(made)
        with sweep:
            async with open_runtime(store=store, agents=[agent]) as runtime:
                run = await runtime.start(agent, "hi")
                await told(run, RunWaiting)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(lambda: run.answer("1", approved=True))
                    await runtime.drain(0)
                    nursery.cancel_scope.cancel()
        async with open_runtime(store=store, agents=[agent]) as runtime:
            for info in await store.find(None, None, 9):
                found = await runtime.find(info.record.run_id)
                with_answer = await logged(store, found.id)
                if found.status == "waiting" and not of(ToolAnswered, with_answer):
                    try:
                        await found.answer("1", approved=True)
                    except RunOver:
                        continue
                await found._wait_gone()
        await checked(store, made)

    assert cancel_sweep(scenario) > 50
