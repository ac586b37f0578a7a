from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from trio_agent import Agent, RunContext, RunFacts, ToolContext, open_runtime, tool
from trio_agent.testing import ScriptedModel, call


@attrs.frozen
class Account:
    owner: str
    plan: str


@asynccontextmanager
async def open_account(facts: RunFacts) -> AsyncIterator[Account]:
    assert facts.principal is not None  # all runs of this program have an owner
    print("open for", facts.principal.id)
    try:
        yield Account(facts.principal.id, facts.principal.claims["plan"])
    finally:
        print("close")


@tool
async def get_plan(context: ToolContext[Account]) -> str:
    """Tell which plan the user has."""
    return context.deps.plan


def instructions(context: RunContext[Account]) -> str:
    return f"You talk to {context.deps.owner}."


model = ScriptedModel([call("c1", "get_plan")], ["It is the free plan."])
agent = Agent(model=model, instructions=instructions, tools=[get_plan], open_deps=open_account)


async def main() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "My plan?", owner="ann", claims={"plan": "free"})
        print((await run.wait()).text)
    print(model.requests[0].instructions)


trio.run(main)
