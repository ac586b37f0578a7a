"""The public names of the scripted provider: all steps are there, and an answer is made of them."""

import inspect

import trio
from model_kit import Emitted

from trio_agent._events import Usage
from trio_agent._messages import UserMessage
from trio_agent.models._parts import ModelRequest, ReasoningPart, TextPart, ToolInputPart
from trio_agent.models.anthropic._model import AnthropicModel
from trio_agent.testing import _scripted_anthropic, _scripted_server, anthropic
from trio_agent.testing.anthropic import (
    finish,
    open_scripted_anthropic,
    pause,
    start,
    text,
    thinking,
    tool_use,
)

ASK = ModelRequest((UserMessage("Hi"),))


def test_every_step_is_public() -> None:
    defined = {
        name: value
        for module in (_scripted_server, _scripted_anthropic)
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
    }
    public = {name for name in vars(anthropic) if not name.startswith("_")}
    # What servers are made of; `Status` is made by `status` only. The rest are names of types.
    inner = {"Status", "Exchange", "serve_script", "open_script"}
    assert public == (defined.keys() - inner) | {"Answer", "Script", "Step"}
    for name in public & defined.keys():
        assert getattr(anthropic, name) is defined[name]
        assert inspect.getdoc(defined[name])


async def test_an_answer_of_all_kinds_of_parts() -> None:
    going_on = trio.Event()
    going_on.set()
    script = [
        start(3), thinking("hm"), text("Hi"), pause(going_on), tool_use("t", "f", '{"x":1}'),
        finish("tool_use", 4),
    ]  # fmt: skip
    emitted = Emitted()
    async with open_scripted_anthropic([script]) as server:
        model = AnthropicModel("m", base_url=server.base_url)
        ended = await model.generate(ASK, emitted)
    assert emitted == [
        ReasoningPart("hm"),
        TextPart("Hi"),
        ToolInputPart("t", "f", ""),
        ToolInputPart("t", "f", '{"x":1}'),
    ]
    assert (ended.reason, ended.usage, ended.model) == ("tool-calls", Usage(3, 4, 7), "m")
