"""What is to be tested."""

from typing import Annotated

import msgspec
import trio

from trio_agent import Agent, ToolError, current_run, tool
from trio_agent.abc import Model

KNOWN = {"oslo": "-3 degrees, snow", "rome": "19 degrees, sun"}


@tool(deadline=20)
async def get_weather(city: Annotated[str, msgspec.Meta(min_length=1)]) -> str:
    """Get the current weather of a city."""
    await trio.sleep(2)
    try:
        return KNOWN[city.lower()]
    except KeyError:
        raise ToolError(f"no weather for {city}: ask for Oslo or Rome") from None


@tool
async def forecast(city: str) -> str:
    """Get tomorrow's weather of a city."""
    await trio.sleep_forever()
    return city


@tool
def whose() -> str:
    """Tell for whom this run is."""
    run = current_run()
    return (run and run.owner) or "nobody"


def make_agent(model: Model | str = "gpt-4o-mini") -> Agent:
    """Make the agent; tests pass a model of their own."""
    return Agent(
        name="weather",
        instructions="Tell the weather.",
        model=model,
        tools=[get_weather, forecast, whose],
    )
