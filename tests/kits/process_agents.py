"""What servers of their own process run in tests: a model that needs nothing and takes its time.

What must not happen twice is noted in a file that outlives whoever is killed (`NOTES`).
"""

import os
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import attrs
import trio
from team_kit import Retold

from trio_agent import (
    Agent,
    AssistantMessage,
    Limits,
    ToolContext,
    Usage,
    UserMessage,
    current_run,
    tool,
)
from trio_agent._messages import text_of
from trio_agent._run.files import files_of
from trio_agent.abc import Emit, Model, ModelFinish, ModelRequest, TextPart, ToolInputPart
from trio_agent.testing import call

PACE = 0.005
"""Seconds between two words."""

WANTED_BACK = {"paced": {"signature": "s" * 1000}}
"""What each answer has beside it."""


NOTES = Path("notes")
"""In the folder of the process."""


def note(*words: str) -> None:
    """Write it down, all at once, so that no kill can halve it."""
    file = os.open(NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, " ".join(words).encode() + b"\n")
    os.close(file)


def noted(folder: Path) -> Counter[tuple[str, ...]]:
    """Count what was noted in a folder."""
    return Counter(tuple(line.split()) for line in (folder / NOTES).read_text().splitlines())


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


@attrs.define(eq=False)
class NotedModel(Model):
    """Gives the answer that comes next in a conversation, and notes that it was asked for one."""

    of: str
    answers: Sequence[Sequence[str | ToolInputPart]]
    pace: float = PACE

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        run = current_run()
        assert run is not None
        step = sum(isinstance(message, AssistantMessage) for message in request.messages)
        note("asked", run.id, self.of)
        calls = []
        for part in self.answers[step]:
            await trio.sleep(self.pace)
            await emit(TextPart(part) if isinstance(part, str) else part)
            calls += [part] if isinstance(part, ToolInputPart) else []
        return ModelFinish("tool-calls" if calls else "stop", provider=WANTED_BACK)


class HearingModel(Model):
    """Says how many messages it was told, and word by word the last; "stay" it never ends."""

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        *_, last = request.messages
        assert isinstance(last, UserMessage)
        await emit(TextPart(f"{len(request.messages)} messages, the last:"))
        for word in text_of(last.content).split():
            await trio.sleep(PACE)
            await emit(TextPart(f" {word}"))
        if text_of(last.content) == "stay":
            await trio.sleep_forever()
        return ModelFinish("stop", provider=WANTED_BACK)


@tool
async def pay(context: ToolContext, amount: int) -> str:
    """Pay: never twice."""
    note("paid", context.run_id, context.call_id)
    await trio.sleep(amount * PACE)
    return f"{amount} paid"


@tool(retry_safe=True)
async def read(context: ToolContext, page: int) -> str:
    """Read, as often as one likes."""
    note("read", context.run_id, context.call_id)
    await trio.sleep(page * PACE)
    return f"page {page}"


def words(step: int, count: int = 8) -> list[str]:
    return [f"{step}.{number} " for number in range(count)]


# One that is asked once, and one that could be asked again and again.
clerk = Agent(
    name="clerk",
    model=NotedModel("clerk", [[*words(0), call("1", "pay", amount=5)], words(1)]),
    tools=[pay],
)
reader = Agent(name="reader", model=NotedModel("reader", [words(0)]))

BUSY = [
    [*words(0), call("a", "pay", amount=3), call("b", "read", page=9)],
    [*words(1), call("c", "clerk", prompt="go"), call("d", "pay", amount=9)],
    [*words(2), call("e", "reader", prompt="go"), call("f", "read", page=2)],
    words(3),
]
"""All that `busy` says."""


@tool(approval=True)
async def send(context: ToolContext, to: str) -> str:
    """Send, if it is allowed."""
    note("sent", context.run_id, context.call_id)
    return f"sent to {to}"


ASKING = [["May I? ", call("a", "send", to="Ann"), call("b", "pay", amount=1)], ["Done."]]
"""All that `asking` says."""


@tool(retry_safe=True)
async def die(context: ToolContext) -> None:
    """Kill the process that it is in."""
    note("died", context.run_id, context.call_id)
    os.kill(os.getpid(), signal.SIGKILL)


CONTINUATIONS = 2
"""That `deadly` has."""

asking = Agent(name="asking", model=NotedModel("asking", ASKING), tools=[send, pay])

agents = [
    Agent(name="paced", model=PacedModel(), tools=[look]),
    Agent(name="ending", model=PacedModel(), tools=[look], on_worker_lost="end"),
    Agent(name="staring", model=PacedModel(), tools=[stare]),
    Agent(
        name="team",
        model=asks("between", prompt="go"),
        tools=[between.as_tool()],
        on_worker_lost="end",
    ),
    Agent(
        name="busy",
        model=NotedModel("busy", BUSY),
        tools=[pay, read, clerk.as_tool(), reader.as_tool(retry_safe=True)],
        limits=Limits(continuations=1000),
    ),
    asking,
    Agent(name="hearing", model=HearingModel()),
    Agent(
        name="deadly",
        model=NotedModel("deadly", [["Now. ", call("a", "die")], ["Done."]]),
        tools=[die],
        limits=Limits(continuations=CONTINUATIONS),
    ),
]

changed = [attrs.evolve(asking, version="2")]
"""As it would be in the next release."""
