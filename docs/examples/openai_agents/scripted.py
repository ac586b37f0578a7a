import trio

from trio_agent import Agent, tool
from trio_agent.abc import Model
from trio_agent.testing import ScriptedModel, call


@tool
async def get_weather(city: str) -> str:
    """Get the current weather of a city."""
    return f"{city}: snow"


def make_agent(model: Model | str = "gpt-4o-mini") -> Agent:
    return Agent(name="assistant", model=model, tools=[get_weather])


async def main() -> None:
    model = ScriptedModel(
        [call("c1", "get_weather", city="Oslo")],
        ["It ", "snows."],
    )
    result = await make_agent(model).run("How is the weather?")
    assert result.text == "It snows."
    assert len(model.requests) == 2


trio.run(main)
