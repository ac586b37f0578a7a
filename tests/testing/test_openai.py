"""The public names of the scripted provider: all steps are there, and an answer is made of them."""

import inspect

import pytest
import trio
from model_kit import Emitted

from trio_agent._errors import ModelError
from trio_agent._events import Usage
from trio_agent._messages import UserMessage
from trio_agent.models._parts import (
    ModelFinish,
    ModelRequest,
    ReasoningPart,
    TextPart,
    ToolInputPart,
)
from trio_agent.models.openai._model import OpenAIModel
from trio_agent.testing import _scripted_openai, _scripted_server, openai
from trio_agent.testing.openai import (
    Answer,
    RecordedRequest,
    cut,
    finish,
    open_scripted_openai,
    pause,
    reasoning,
    serve_scripted_openai,
    status,
    text,
    tool_call,
    usage,
)

ASK = ModelRequest((UserMessage("Hi"),))


def test_every_step_is_public() -> None:
    defined = {
        name: value
        for module in (_scripted_openai, _scripted_server)
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
    }
    public = {name for name in vars(openai) if not name.startswith("_")}
    # What servers are made of; `Status` is made by `status` only. The rest are names of types.
    inner = {"Status", "Exchange", "serve_script", "open_script"}
    assert public == (defined.keys() - inner) | {"Answer", "Script", "Step"}
    for name in public & defined.keys():
        assert getattr(openai, name) is defined[name]
        assert inspect.getdoc(defined[name])


@pytest.mark.parametrize(
    ("answer", "parts", "end"),
    [
        ([text("Hi"), finish()], [TextPart("Hi")], ModelFinish("stop", model="m")),
        (
            [reasoning("hm"), text("Hi"), finish("length"), usage(3, 4)],
            [ReasoningPart("hm"), TextPart("Hi")],
            ModelFinish("length", Usage(3, 4, 7), "m"),
        ),
        (
            [tool_call("1", "look", ['{"a":', "1}"]), finish("tool_calls")],
            [
                ToolInputPart("1", "look", '{"a":'),
                ToolInputPart("1", "look", "1}"),
            ],
            ModelFinish("tool-calls", model="m"),
        ),
    ],
    ids=["text", "all about it", "a call"],
)
async def test_a_model_understands_it(answer: Answer, parts: list[object], end: object) -> None:
    async with open_scripted_openai([answer]) as server:
        emitted = Emitted()
        model = OpenAIModel("m", base_url=server.base_url, api_key="k")
        assert await model.generate(ASK, emitted) == end
        assert emitted == parts
        [request] = server.requests
        assert isinstance(request, RecordedRequest)
        assert request.body["messages"] == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("answer", "code"), [([text("Hi"), cut()], "cut-stream"), ([status(503)], "provider-error")]
)
async def test_a_model_is_told_what_goes_wrong(answer: Answer, code: str) -> None:
    async with open_scripted_openai([answer]) as server:
        model = OpenAIModel("m", base_url=server.base_url, api_key="k")
        with pytest.raises(ModelError) as caught:
            await model.generate(ASK, Emitted())
    assert caught.value.code == code


async def test_a_server_is_served_in_a_nursery_of_yours(nursery: trio.Nursery) -> None:
    go = trio.Event()
    server = await nursery.start(serve_scripted_openai, [[pause(go), text("Hi"), finish()]])
    go.set()
    emitted = Emitted()
    await OpenAIModel("m", base_url=server.base_url, api_key="k").generate(ASK, emitted)
    assert emitted == [TextPart("Hi")]
