import base64

import trio

from trio_agent import Agent, File, ToolMessage, ToolResult, tool
from trio_agent.testing import ScriptedModel, call

PLOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@tool
def plot(points: list[int]) -> list[str | File]:
    """Plot some points."""
    return ["two points", File("image/png", data=PLOT, name="plot.png")]


model = ScriptedModel([call("c1", "plot", points=[1, 2])], ["It rises."])
agent = Agent(model=model, tools=[plot])


def show(who: str, text: str, files: tuple[File, ...]) -> None:
    for file in files:
        print(f"{who}: {text} / {file.name} {file.media_type} {len(file.data or b'')} bytes")


async def main() -> None:
    async with agent.stream_events("Plot 1 and 2.") as events:
        async for event in events:
            if isinstance(event, ToolResult):
                show("event", event.tool.output, event.tool.files)
    message = model.requests[1].messages[-1]
    assert isinstance(message, ToolMessage)
    show("model", message.content, message.files)


trio.run(main)
