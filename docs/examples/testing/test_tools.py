import pytest
import trio.testing
from weather import get_weather, make_agent

from trio_agent import ToolError, ToolMessage, open_runtime
from trio_agent.testing import ScriptedModel, call


async def test_a_tool_is_its_function(autojump_clock: trio.testing.MockClock) -> None:
    assert await get_weather("Oslo") == "-3 degrees, snow"
    with pytest.raises(ToolError, match="ask for Oslo or Rome"):
        await get_weather("Paris")


def test_what_the_model_is_told() -> None:
    assert get_weather.description == "Get the current weather of a city."
    assert get_weather.schema["required"] == ["city"]


def test_what_the_model_may_send() -> None:
    assert get_weather.parse('{"city": "Rome"}') == {"city": "Rome"}
    with pytest.raises(ToolError, match="unknown field `town`; expected fields: city"):
        get_weather.parse({"city": "Rome", "town": "Rome"})


async def test_a_deadline(autojump_clock: trio.testing.MockClock) -> None:
    model = ScriptedModel([call("c1", "forecast", city="Oslo")], ["I don't know."])
    result = await make_agent(model).run("And tomorrow?")
    [answer] = [message for message in result.messages if isinstance(message, ToolMessage)]
    assert (answer.status, answer.content) == ("error", "the tool did not finish within 60 s")


async def test_a_tool_that_asks_for_its_run() -> None:
    model = ScriptedModel([call("c1", "whose")], ["Alice's."])
    async with open_runtime() as runtime:
        run = await runtime.start(make_agent(model), "Whose is this?", owner="alice")
        result = await run.wait()
    assert ToolMessage("c1", "alice") in result.messages
