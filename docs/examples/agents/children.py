from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from trio_agent import Agent, RunFacts, ToolContext, tool
from trio_agent.testing import ScriptedModel, call


@asynccontextmanager
async def open_books(facts: RunFacts) -> AsyncIterator[str]:
    print(f"opening books for {facts.agent}, in call {facts.parent}")
    yield "books"


@tool
async def look(context: ToolContext[str]) -> None:
    """Look at what there is to work with."""
    print(f"{context.agent} has {context.deps}")


def looking() -> ScriptedModel:
    return ScriptedModel([call("c1", "look")], ["I have looked."])


clerk = Agent(name="clerk", model=looking(), tools=[look])
auditor = Agent(name="auditor", model=looking(), tools=[look], open_deps=open_books)
model = ScriptedModel(
    [call("c1", "clerk", prompt="Look.")],
    [call("c2", "auditor", prompt="Look.")],
    ["Both have looked."],
)
boss = Agent(name="boss", model=model, tools=[clerk.as_tool(), auditor.as_tool()])


async def main() -> None:
    await boss.run("Let them look.", deps="a desk")


trio.run(main)
