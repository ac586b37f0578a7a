"""What servers of their own process run in tests: a model that needs nothing and takes its time."""

import trio

from trio_agent import Agent, tool
from trio_agent.abc import Emit, Model, ModelFinish, ModelRequest, TextPart
from trio_agent.testing import call

PACE = 0.005
"""Seconds between two words."""


class PacedModel(Model):
    """Says as many words as the prompt wants, before a tool call and again behind it."""

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        first, *rest = request.messages
        for number in range(int(first.content)):
            await trio.sleep(PACE)
            await emit(TextPart(f"word{number} "))
        if rest:
            return ModelFinish("stop")
        await emit(call("c1", "look", city="Oslo"))
        return ModelFinish("tool-calls")


@tool
async def look(city: str) -> str:
    """Look."""
    await trio.sleep(10 * PACE)
    return f"{city}: snow"


@tool(name="look")
async def stare(city: str) -> None:
    """Look, and never stop."""
    await trio.sleep_forever()


agents = [
    Agent(name="paced", model=PacedModel(), tools=[look]),
    Agent(name="staring", model=PacedModel(), tools=[stare]),
]
