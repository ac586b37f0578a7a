import datetime

import attrs
import trio

from trio_agent import Agent, ToolMessage, ToolResult, tool
from trio_agent.testing import ScriptedModel, call


@attrs.frozen
class Forecast:
    city: str
    day: datetime.date
    low: float
    sky: set[str]


@tool
async def forecast(city: str) -> Forecast:
    """Forecast the weather of a city."""
    return Forecast(city, datetime.date(2026, 2, 1), -3.5, {"snow"})


model = ScriptedModel([call("c1", "forecast", city="Oslo")], ["Snow."])
agent = Agent(model=model, tools=[forecast])


async def main() -> None:
    async with agent.stream_events("How will the weather be?") as events:
        async for event in events:
            if isinstance(event, ToolResult):
                print("event:", event.tool.output)
    message = model.requests[1].messages[-1]
    assert isinstance(message, ToolMessage)
    print("model:", message.content)


trio.run(main)
