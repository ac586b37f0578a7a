from typing import Annotated, Literal

import attrs
import trio
from msgspec import Meta

from trio_agent import Agent
from trio_agent.testing import ScriptedModel, output


@attrs.frozen
class Weather:
    """The weather at one place, today."""

    city: str
    celsius: Annotated[float, Meta(ge=-90, le=60, description="At noon.")]
    sky: Literal["sun", "clouds", "rain", "snow"]


model = ScriptedModel(output({"city": "Oslo", "celsius": -3, "sky": "snow"}))
agent = Agent(model=model, output=Weather)


async def main() -> None:
    result = await agent.run("How is the weather in Oslo?")
    weather = result.output
    print(weather)
    print(f"{weather.city}: {weather.celsius + 273.15:.2f} K")


trio.run(main)
