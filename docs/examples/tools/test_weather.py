import pytest

from trio_agent import Agent, ToolError, tool
from trio_agent.testing import ScriptedModel, call


@tool
async def get_weather(city: str, days: int = 1) -> str:
    """Get the weather of a city."""
    return f"{city}: snow for {days} days"


async def test_the_function() -> None:
    assert await get_weather("Oslo", days=2) == "Oslo: snow for 2 days"


def test_what_a_model_may_send() -> None:
    assert get_weather.parse('{"city": "Oslo"}') == {"city": "Oslo"}
    with pytest.raises(ToolError, match="unknown fields: town"):
        get_weather.parse({"town": "Oslo"})


async def test_in_a_run() -> None:
    model = ScriptedModel([call("c1", "get_weather", city="Oslo")], ["It snows."])
    result = await Agent(model=model, tools=[get_weather]).run("How is the weather in Oslo?")
    assert result.text == "It snows."
    assert result.messages[2].content == "Oslo: snow for 1 days"
