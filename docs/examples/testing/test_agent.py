import pytest
import trio.testing
from weather import make_agent

from trio_agent import ModelError, RunFailed, RunFinish, TextDelta, ToolResult, Usage
from trio_agent.abc import ModelFinish, ReasoningPart
from trio_agent.testing import ScriptedModel, call


async def test_events(autojump_clock: trio.testing.MockClock) -> None:
    model = ScriptedModel(
        ["Let me see. ", call("c1", "get_weather", city="Oslo")],
        ["Snow", 1.5, "."],
    )
    text, outputs = "", []
    async with make_agent(model).stream_events("The weather in Oslo?") as events:
        async for event in events:
            match event:
                case TextDelta(delta=delta):
                    text += delta
                case ToolResult(tool=outcome):
                    outputs.append(outcome.output)
    assert text == "Let me see. Snow."
    assert outputs == ["-3 degrees, snow"]
    assert trio.current_time() == 3.5  # the tool's 2 seconds and the model's 1.5


async def test_what_the_model_was_asked() -> None:
    model = ScriptedModel(["Hello."])
    await make_agent(model).run("Hello?")
    [request] = model.requests
    assert request.instructions == "Tell the weather."
    assert [tool.name for tool in request.tools] == ["get_weather", "forecast", "whose"]
    assert request.messages[-1].content == "Hello?"


async def test_everything_that_a_script_may_say() -> None:
    go_on = trio.Event()
    model = ScriptedModel(
        [
            (ReasoningPart("Hm. "), ReasoningPart("Snow?")),  # parts at once
            "Snow",
            go_on,  # an event to wait for
            ModelFinish("length", Usage(5, 3, 8)),
        ]
    )
    async with make_agent(model).stream_events("Say one word.") as events:
        async for event in events:
            if isinstance(event, TextDelta):
                go_on.set()
            if isinstance(event, RunFinish):
                assert (event.run.finish_reason, event.run.usage.total_tokens) == ("length", 8)


async def test_a_model_that_fails() -> None:
    model = ScriptedModel(["Sn", ModelError("provider-error", "out of order")])
    with pytest.raises(RunFailed, match="provider-error: out of order"):
        await make_agent(model).run("The weather?")


async def test_an_answer_that_breaks_off(autojump_clock: trio.testing.MockClock) -> None:
    broken = ModelError("connection-lost", "in the middle", retryable=True)
    model = ScriptedModel(["Sn", broken], ["Snow."])
    assert (await make_agent(model).run("The weather?")).text == "Snow."  # "Sn" is taken back


async def test_a_model_that_is_asked_again(autojump_clock: trio.testing.MockClock) -> None:
    busy = ModelError("rate-limit", "later", retryable=True, retry_after=10)
    model = ScriptedModel([busy], ["Snow."])
    assert (await make_agent(model).run("The weather?")).text == "Snow."
    assert len(model.requests) == 2
    assert trio.current_time() >= 10
