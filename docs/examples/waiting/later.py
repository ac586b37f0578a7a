from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from trio_agent import Agent, RunFacts, RunWaiting, SQLiteStore, ToolAsked, open_runtime, tool
from trio_agent.testing import ScriptedModel, call


@asynccontextmanager
async def open_till(facts: RunFacts) -> AsyncIterator[str]:
    print("the till is open")
    yield "till"
    print("the till is closed")


@tool(approval=True)
async def refund(amount: int) -> str:
    """Give money back."""
    return f"{amount} euros are on their way"


def make_agent(model: ScriptedModel) -> Agent[str]:
    return Agent(model=model, name="desk", tools=[refund], open_deps=open_till)


async def begin() -> str:
    agent = make_agent(ScriptedModel([call("c1", "refund", amount=20)]))
    async with open_runtime(store=SQLiteStore("runs.db"), agents=[agent]) as runtime:
        run = await runtime.start(agent, "My kettle broke.", owner="ann")
        async with run.subscribe() as events:
            async for event in events:
                if isinstance(event, RunWaiting):
                    break
    print("the runtime is closed")
    return run.id


async def go_on(run_id: str) -> None:
    agent = make_agent(ScriptedModel(["You get 20 euros."]))
    async with open_runtime(store=SQLiteStore("runs.db"), agents=[agent]) as runtime:
        run = await runtime.find(run_id)
        print(run.status)
        async with run.subscribe() as events:
            async for event in events:
                if isinstance(event, ToolAsked):
                    shown = event.tool
                    await run.answer(shown.id, approved=True, by="bob", arguments=shown.input)
                    break
        print((await run.wait()).text)


async def main() -> None:
    run_id = await begin()  # in one process,
    await go_on(run_id)  # and in another one, next week


trio.run(main)
