"""An agent with sub-agents: two side by side, one of them with another one below it.

Their models count their calls as bad ones do, so that the same ids come at every level.
"""

from collections.abc import Iterable

import attrs
import trio

from trio_agent import Agent, AssistantMessage, Limits, ToolContext, Usage, tool
from trio_agent.abc import Emit, Model, ModelFinish, ModelRequest, OutputPart
from trio_agent.testing import ScriptedModel, call, output
from trio_agent.testing._scripted_model import Line


class Retold(Model):
    """Gives the answer that comes next in a conversation, in whichever run that is."""

    def __init__(self, *answers: Iterable[Line]) -> None:
        self._answers = [tuple(answer) for answer in answers]

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        given = sum(isinstance(message, AssistantMessage) for message in request.messages)
        return await ScriptedModel(*self._answers[given : given + 1]).generate(request, emit)


@attrs.frozen
class Place:
    """Where something is."""

    city: str
    floors: list[int]


@tool
async def look(context: ToolContext, city: str) -> str:
    """Look, and say how far it is."""
    for done in range(2):
        context.progress({"done": done})
        await trio.lowlevel.checkpoint()
    return city


@tool(abandon=True)
def count(context: ToolContext, n: int) -> int:
    """Count, in a thread that may be let go, and say how far it is."""
    context.progress(n)
    return n + 1


def costs(tokens: int, *, calls: bool = False) -> ModelFinish:
    """The end of an answer that has cost so much, of which one token was input."""
    return ModelFinish("tool-calls" if calls else "stop", Usage(1, tokens - 1, tokens))


PLACE = {"city": "Oslo", "floors": [1, 2]}

COSTS = 111_111
"""What all answers of a team cost together."""

OWN_COSTS = 101
"""What those of its leader do."""


def make_team(limits: Limits | None = None) -> Agent:
    """The leader asks a guide, who asks a scout, and beside that a critic and a tool of its own."""
    scout = Agent(
        name="scout",
        model=Retold(
            [call("1", "count", n=1), call("2", "look", city="é"), costs(100_000, calls=True)],
            [*output(PLACE), costs(10_000)],
        ),
        tools=[look, count],
        output=Place,
    )
    guide = Agent(
        name="guide",
        model=Retold(
            [
                call("1", "look", city="Rome"),
                call("2", "scout", prompt="?"),
                costs(900, calls=True),
            ],
            ["In ", "Oslo.", costs(10)],
        ),
        tools=[look, scout.as_tool()],
    )
    critic = Agent(
        name="critic",
        model=Retold([call("1", "count", n=2), costs(50, calls=True)], ["Fine.", costs(50)]),
        tools=[count],
    )
    return Agent(
        name="leader",
        model=Retold(
            [
                "I ask. ",
                call("1", "guide", prompt="where?"),
                call("2", "critic", prompt="how?"),
                call("3", "count", n=3),
                costs(100, calls=True),
            ],
            ["Oslo", ".", costs(1)],
        ),
        tools=[guide.as_tool(), critic.as_tool(), count],
        limits=limits or Limits(),
    )


def make_pair() -> Agent:
    """A few words of all that a team has: for what is done at each byte of its log."""
    scout = Agent(name="s", model=Retold(output(PLACE, size=99)), output=Place)
    guide = Agent(
        name="g",
        model=Retold([call("1", "s", prompt="")], ["é\n"]),
        tools=[scout.as_tool()],
    )
    calls = [call("1", "g", prompt=""), call("2", "look", city="")]
    return Agent(name="l", model=Retold(calls, ["."]), tools=[guide.as_tool(), look])


def make_shaped() -> Agent:
    """An answer that is wrapped, corrected, and given beside a call."""
    model = Retold(
        [OutputPart('{"output":["é'), OutputPart('","b"]}')],
        [call("1", "look", city=""), *output({"output": [1, 23]}, size=5)],
    )
    return Agent(name="s", model=model, tools=[look], output=list[int])
