"""What servers of their own process run in tests: a model that needs nothing and takes its time."""

import trio
from team_kit import Retold

from trio_agent import Agent, Usage, UserMessage, tool
from trio_agent._messages import text_of
from trio_agent._run.files import files_of
from trio_agent.abc import Emit, Model, ModelFinish, ModelRequest, TextPart
from trio_agent.testing import call

PACE = 0.005
"""Seconds between two words."""

WANTED_BACK = {"paced": {"signature": "s" * 1000}}
"""What each answer has beside it."""


class PacedModel(Model):
    """Says as many words as the prompt wants, before a tool call and again behind it.

    Files that come with the prompt are told first.
    """

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        first, *rest = request.messages
        assert isinstance(first, UserMessage)
        for file in files_of([first]):
            await emit(TextPart(f"{file.media_type} of {len(file.data or b'')} bytes, "))
        for number in range(int(text_of(first.content))):
            await trio.sleep(PACE)
            await emit(TextPart(f"word{number} "))
        if rest:
            return ModelFinish("stop", provider=WANTED_BACK)
        await emit(call("c1", "look", city="Oslo"))
        return ModelFinish("tool-calls", provider=WANTED_BACK)


@tool
async def look(city: str) -> str:
    """Look."""
    await trio.sleep(10 * PACE)
    return f"{city}: snow"


@tool(name="look")
async def stare(city: str) -> None:
    """Look, and never stop."""
    await trio.sleep_forever()


def asks(name: str, **arguments: str) -> Model:
    """Says a word, and calls a tool."""
    usage = Usage(10, 5, 15)
    finish = ModelFinish("tool-calls", usage, provider=WANTED_BACK)
    return Retold(["Well. ", call("1", name, **arguments), finish])


# What is asked below stands still in a tool, two levels down.
below = Agent(name="below", model=asks("look", city="Oslo"), tools=[stare])
between = Agent(name="between", model=asks("below", prompt="go"), tools=[below.as_tool()])

agents = [
    Agent(name="paced", model=PacedModel(), tools=[look]),
    Agent(name="staring", model=PacedModel(), tools=[stare]),
    Agent(name="team", model=asks("between", prompt="go"), tools=[between.as_tool()]),
]
