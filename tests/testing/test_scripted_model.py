"""The scripted model: it says what the script says, and remembers what it was asked."""

from typing import Any

import pytest
import trio
import trio.testing
from model_kit import Emitted

from trio_agent._errors import ModelError
from trio_agent._events import Usage
from trio_agent._messages import UserMessage
from trio_agent.models._parts import (
    ModelFinish,
    ModelPart,
    ModelRequest,
    OutputPart,
    ReasoningPart,
    TextPart,
    ToolInputPart,
)
from trio_agent.testing import Line, ScriptedModel, call, output

ASK = ModelRequest((UserMessage("Hi"),))
CALL = ToolInputPart("1", "t", "{}")


async def ask(*lines: Line) -> tuple[Emitted, ModelFinish]:
    emitted = Emitted()
    return emitted, await ScriptedModel(lines).generate(ASK, emitted)


@pytest.mark.parametrize(
    ("lines", "calls", "reason"),
    [
        ((), [], "stop"),
        (("Hel", "lo"), [(TextPart("Hel"),), (TextPart("lo"),)], "stop"),
        ((ReasoningPart("hm"),), [(ReasoningPart("hm"),)], "stop"),
        ((CALL,), [(CALL,)], "tool-calls"),
        (("x", CALL, "y"), [(TextPart("x"),), (CALL,), (TextPart("y"),)], "tool-calls"),
        (((TextPart("x"), CALL),), [(TextPart("x"), CALL)], "tool-calls"),
        (((TextPart("x"), TextPart("y")),), [(TextPart("x"), TextPart("y"))], "stop"),
        ((0, 0.0, "x"), [(TextPart("x"),)], "stop"),
    ],
)
async def test_an_answer(
    lines: tuple[Line, ...], calls: list[tuple[ModelPart, ...]], reason: str
) -> None:
    emitted, finish = await ask(*lines)
    assert emitted.calls == calls
    assert finish == ModelFinish(reason, Usage())  # type: ignore[arg-type]


async def test_an_answer_that_says_how_it_ends() -> None:
    end = ModelFinish("length", Usage(1, 2, 3))
    emitted, finish = await ask("x", CALL, end, "never said")
    assert emitted == [TextPart("x"), CALL]
    assert finish is end


async def test_an_answer_that_breaks_off() -> None:
    error = ModelError("cut-stream", "no more")
    emitted = Emitted()
    with pytest.raises(ModelError) as caught:
        await ScriptedModel(["x", error, "y"]).generate(ASK, emitted)
    assert caught.value is error
    assert emitted == [TextPart("x")]


async def test_an_answer_that_takes_its_time(autojump_clock: trio.testing.MockClock) -> None:
    start = trio.current_time()
    await ask("x", 2, "y", 0.5)
    assert trio.current_time() - start == 2.5


async def test_an_answer_that_waits(nursery: trio.Nursery) -> None:
    go = trio.Event()
    emitted = Emitted()
    nursery.start_soon(ScriptedModel(["x", go, "y"]).generate, ASK, emitted)
    await trio.testing.wait_all_tasks_blocked()
    assert emitted == [TextPart("x")]
    go.set()
    await trio.testing.wait_all_tasks_blocked()
    assert emitted == [TextPart("x"), TextPart("y")]


async def test_an_answer_without_a_line_is_a_checkpoint() -> None:
    with trio.testing.assert_checkpoints():
        await ScriptedModel([]).generate(ASK, Emitted())


async def test_each_request_has_the_next_answer_and_is_remembered() -> None:
    model = ScriptedModel(["a"], iter(["b"]))
    requests = [ModelRequest((UserMessage(text),)) for text in "12"]
    said: list[ModelPart] = []
    for request in requests:
        emitted = Emitted()
        await model.generate(request, emitted)
        said += emitted
    assert said == [TextPart("a"), TextPart("b")]
    assert model.requests == requests
    assert model.requests[2:] == []


async def test_requests_at_the_same_time_have_an_answer_each(nursery: trio.Nursery) -> None:
    model = ScriptedModel(["a"], ["b"])
    emitted = Emitted()
    nursery.start_soon(model.generate, ASK, emitted)
    nursery.start_soon(model.generate, ASK, emitted)
    await trio.testing.wait_all_tasks_blocked()
    assert sorted(part.delta for part in emitted) == ["a", "b"]


@pytest.mark.parametrize(
    ("answers", "scripted"), [(0, "0 answers are"), (1, "1 answer is"), (2, "2 answers are")]
)
async def test_a_script_that_is_over_says_so(answers: int, scripted: str) -> None:
    model = ScriptedModel(*[["a"]] * answers)
    for _ in range(answers):
        await model.generate(ASK, Emitted())
    message = f"this is request {answers + 1} of the model, but {scripted} scripted"
    with pytest.raises(ModelError) as caught:
        await model.generate(ASK, Emitted())
    assert (caught.value.code, caught.value.message) == ("script-ended", message)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "{}"),
        ({"city": "Malmö", "days": [1, None]}, '{"city":"Malmö","days":[1,null]}'),
        ({"id": 7, "name": "Ada"}, '{"id":7,"name":"Ada"}'),
    ],
)
def test_a_call_has_its_arguments_in_json(arguments: dict[str, Any], text: str) -> None:
    assert call("1", "get_weather", **arguments) == ToolInputPart("1", "get_weather", text)


async def test_an_answer_that_has_a_shape() -> None:
    parts, finish = await ask("So: ", *output({"x": "ä", "y": [1]}, size=7))
    assert parts == [
        TextPart("So: "),
        OutputPart('{"x":"ä'),
        OutputPart('","y":['),
        OutputPart("1]}"),
    ]
    assert finish.reason == "stop"
    assert output("a") == [OutputPart('"a"')]
