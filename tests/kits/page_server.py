"""The process behind the tests of the page: agents whose models say what a script says.

Files in the folder that it is given are the test's hand on the pace: a model that waits for a
name goes on when a file of that name appears. Prints the address of the page.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import trio

from trio_agent import Agent, ModelError, Usage, UserMessage, open_runtime, tool
from trio_agent._messages import text_of
from trio_agent.abc import (
    Model,
    ModelFinish,
    ModelRequest,
    ReasoningPart,
    SwitchPart,
    TextPart,
    ToolInputPart,
)
from trio_agent.servers import Guard, bearer_tokens
from trio_agent.servers.http._app import serve_http
from trio_agent.servers.websocket._server import serve_websocket

WORDS: Final = [f"word{number} " for number in range(1, 41)]
NASTY: Final = (
    "<img src=x onerror=\"window.hacked = 'text'\"><script>window.hacked = 'script'</script>"
    "<a href=\"javascript:window.hacked = 'link'\">click</a> </div></article> &amp; \u202e "
)
TOKEN: Final = "alice-has-a-long-token"
POLL: Final = 0.01


@attrs.frozen
class Hand:
    """What the test lets happen."""

    folder: Path

    async def wait(self, name: str) -> None:
        while not (self.folder / name).exists():
            await trio.sleep(POLL)


@attrs.frozen
class Scripted(Model):
    """Answers by the first word of the prompt; the second request of a run is its last."""

    hand: Hand

    async def generate(self, request: ModelRequest, emit: Any) -> ModelFinish:
        prompts = [text_of(m.content) for m in request.messages if isinstance(m, UserMessage)]
        word, _, rest = prompts[-1].partition(" ")
        first = isinstance(request.messages[-1], UserMessage)
        finish: ModelFinish = await getattr(self, f"_{word}")(emit, rest, first)
        return finish

    async def _say(self, emit: Any, rest: str, first: bool) -> ModelFinish:
        await emit(TextPart(rest))
        return ModelFinish("stop", Usage(7, 3, 10))

    async def _count(self, emit: Any, rest: str, first: bool) -> ModelFinish:
        """Count to 40: ten words, then what the test lets through."""
        for number, word in enumerate(WORDS):
            if number in (10, 30):
                await self.hand.wait(f"{rest}-{number}")
            await emit(TextPart(word))
            await trio.sleep(0.002)
        return ModelFinish("stop", Usage(7, 40, 47))

    async def _tool(self, emit: Any, city: str, first: bool) -> ModelFinish:
        if first:
            await emit(ReasoningPart("The weather is asked for. "), ReasoningPart("A tool has it."))
            await emit(TextPart("Let me look."))
            await emit(ToolInputPart("c1", "get_weather", '{"city":'))
            await self.hand.wait(f"{city}-arguments")
            await emit(ToolInputPart("c1", "get_weather", f'"{city}"}}'))
            return ModelFinish("tool-calls", Usage(20, 9, 29))
        await emit(TextPart("It is cold "), TextPart(f"in {city}."))
        return ModelFinish("stop", Usage(40, 6, 46))

    async def _nasty(self, emit: Any, rest: str, first: bool) -> ModelFinish:
        if first:
            await emit(ReasoningPart(NASTY), TextPart(NASTY))
            await emit(ToolInputPart("c1", "echo_html", '{"text": "<b onclick=alert(1)>x</b>"}'))
            return ModelFinish("tool-calls")
        await emit(TextPart("Done."))
        return ModelFinish("stop")

    async def _switch(self, emit: Any, rest: str, first: bool) -> ModelFinish:
        await emit(SwitchPart("one <i>", "another", "connect", "no <b>connection</b>"))
        await emit(TextPart("Hi."))
        return ModelFinish("stop", Usage(10, 2, 12, 8, 1))

    async def _refund(self, emit: Any, amount: str, first: bool) -> ModelFinish:
        if first:
            await emit(ToolInputPart("c1", "refund", f'{{"amount": {amount}}}'))
            return ModelFinish("tool-calls")
        await emit(TextPart("It is done."))
        return ModelFinish("stop")

    async def _fail(self, emit: Any, rest: str, first: bool) -> ModelFinish:
        raise ModelError("bad-response", f"no such <i>model</i> {NASTY}")


def make_agents(hand: Hand) -> list[Agent]:
    @tool
    async def get_weather(city: str) -> dict[str, Any]:
        """Get the weather."""
        await hand.wait(f"{city}-result")
        return {"city": city, "celsius": -3, "sky": "snow"}

    @tool
    async def echo_html(text: str) -> str:
        """Say something nasty."""
        return NASTY + text

    @tool(approval=True)
    async def refund(amount: int) -> str:
        """Give money back."""
        return f"{amount} given back"

    model = Scripted(hand)
    return [
        Agent(name="scripted", model=model, tools=[get_weather, echo_html, refund]),
        Agent(name="<b>second</b>", model=model),
    ]


async def main(folder: str, protected: bool, websocket: bool) -> None:
    agents = make_agents(Hand(Path(folder)))
    guard = Guard(authorize=bearer_tokens({"alice": TOKEN})) if protected else Guard()
    ports: list[int] = []
    async with open_runtime(agents=agents) as runtime, trio.open_nursery() as nursery:
        addresses = await nursery.start(
            partial(
                serve_http,
                runtime,
                agents,
                guard=guard,
                websocket_port=lambda: ports[0] if ports else None,
            )
        )
        if websocket:
            allowed = attrs.evolve(guard, origins=addresses)
            (address,) = await nursery.start(
                partial(serve_websocket, runtime, agents, guard=allowed)
            )
            ports.append(urlsplit(address).port or 0)
        print(*addresses, flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], "protected" in sys.argv, "websocket" in sys.argv)
