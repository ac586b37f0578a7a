from dataclasses import dataclass

import msgspec

from trio_agent import Agent, ToolContext, tool
from trio_agent.abc import Model
from trio_agent.testing import ScriptedModel, call, output


@dataclass
class Station:
    readings: dict[str, int]


class Weather(msgspec.Struct):
    city: str
    celsius: int


@tool
async def measure(context: ToolContext[Station], city: str) -> int:
    """Measure the temperature."""
    context.progress({"message": f"asking {city}"})
    return context.deps.readings[city]


def make_agent(model: Model | str = "gpt-4o-mini") -> Agent[Station, Weather]:
    return Agent(model=model, tools=[measure], output=Weather)


STATION = Station({"Oslo": -3})


async def test_a_tool_with_dependencies() -> None:
    assert await measure(ToolContext(deps=STATION), "Oslo") == -3


async def test_an_answer_with_a_shape() -> None:
    model = ScriptedModel(
        [call("c1", "measure", city="Oslo")],
        output({"city": "Oslo", "celsius": -3}),
    )
    result = await make_agent(model).run("How cold is it in Oslo?", deps=STATION)
    assert result.output == Weather("Oslo", -3)


async def test_an_answer_that_is_corrected() -> None:
    model = ScriptedModel(output({"city": "Oslo"}), output({"city": "Oslo", "celsius": -3}))
    result = await make_agent(model).run("How cold is it in Oslo?", deps=STATION)
    assert result.output == Weather("Oslo", -3)
    told = model.requests[1].messages[-1].content
    assert "missing required field `celsius`" in told
