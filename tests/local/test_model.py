"""The embedded model as a `Model`: against a scripted server, and once against the real one."""

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from local_fakes import make_xllamacpp
from model_kit import Emitted

from trio_agent._errors import ModelError
from trio_agent._events import ToolRequest
from trio_agent._messages import AnyMessage, AssistantMessage, ToolMessage, UserMessage
from trio_agent.local import QWEN, LocalModel, _model, cache_directory
from trio_agent.local._model import OpenedLocalModel
from trio_agent.local._progress import ProgressCallback
from trio_agent.models._model import Model
from trio_agent.models._parts import (
    ModelFinish,
    ModelRequest,
    TextPart,
    ToolInputPart,
    ToolSpec,
)

WEATHER = ToolSpec(
    "get_weather",
    "Tell the weather of a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
QUESTION = UserMessage("What is the weather in Oslo?")
RESULT: tuple[AnyMessage, ...] = (
    QUESTION,
    AssistantMessage("", (ToolRequest("1", "get_weather", {"city": "Oslo"}),)),
    ToolMessage("1", '{"sky": "rain", "celsius": 11}'),
)
INVENTED = {
    "error": {
        "code": 500,
        "type": "server_error",
        "message": "The model produced output that does not match the expected peg-native format",
    }
}


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


TEXT = [delta(content="Hi"), delta("stop")]


class Script:
    """The model file, which tells the fake server what to answer."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, **what: Any) -> None:
        self.path.write_bytes(b"GGUF" + json.dumps(what).encode())

    @property
    def requests(self) -> list[dict[str, Any]]:
        path = Path(f"{self.path}.requests")
        return [json.loads(line) for line in path.read_text().splitlines()]

    @property
    def starts(self) -> list[dict[str, Any]]:
        path = Path(f"{self.path}.starts")
        return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    make_xllamacpp(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    script = Script(tmp_path / "model.gguf")

    async def fetch(*, progress: ProgressCallback) -> Path:
        await trio.lowlevel.checkpoint()
        return script.path

    monkeypatch.setattr(_model, "fetch_weights", fetch)
    return script


@asynccontextmanager
async def opened(model: Model) -> AsyncGenerator[Model]:
    async with model.open() as live:
        yield live


async def ask(model: Model, request: ModelRequest) -> tuple[ModelFinish, Emitted]:
    parts = Emitted()
    return await model.generate(request, parts), parts


async def test_answers_with_the_defaults_of_the_embedded_model(script: Script) -> None:
    script.write(without_tools=TEXT)
    finish, parts = await ask(
        LocalModel(options={"seed": 3}), ModelRequest((QUESTION,), options={"max_tokens": 7})
    )
    assert finish.reason == "stop"
    assert parts == [TextPart("Hi")]
    (request,) = script.requests
    assert request["model"] == QWEN.name
    assert (request["temperature"], request["max_tokens"], request["seed"]) == (0, 7, 3)
    assert script.starts[0]["chat_template"] == _model.chat_template()


async def test_a_file_of_the_user_keeps_its_template_and_options(script: Script) -> None:
    script.write(with_tools=TEXT)
    model = LocalModel(str(script.path), context_size=512, parallel=3)
    assert model.path == script.path
    await ask(model, ModelRequest(RESULT, tools=(WEATHER,)))
    (request,) = script.requests
    assert request["model"] == "model"
    assert "temperature" not in request
    assert script.starts[0]["chat_template"] == ""
    assert script.starts[0]["n_ctx"] == 3 * 512


async def test_one_round_of_tools_per_question(script: Script) -> None:
    script.write(with_tools=TEXT, without_tools=TEXT)
    async with opened(LocalModel()) as model:
        await ask(model, ModelRequest((QUESTION,), tools=(WEATHER,)))
        await ask(model, ModelRequest(RESULT, tools=(WEATHER,)))
    first, second = script.requests
    assert len(first["tools"]) == 1
    assert not second.get("tools")


async def test_chat_only(script: Script) -> None:
    script.write(without_tools=TEXT)
    await ask(LocalModel(chat_only=True), ModelRequest((QUESTION,), tools=(WEATHER,)))
    assert not script.requests[0].get("tools")


async def test_an_invented_tool_is_asked_again_without_tools(script: Script) -> None:
    script.write(with_tools=[INVENTED], without_tools=TEXT)
    finish, parts = await ask(LocalModel(), ModelRequest((QUESTION,), tools=(WEATHER,)))
    assert finish.reason == "stop"
    assert parts == [TextPart("Hi")]
    assert [bool(request.get("tools")) for request in script.requests] == [True, False]


async def test_what_was_emitted_is_not_asked_again(script: Script) -> None:
    script.write(with_tools=[delta(content="It is"), INVENTED], without_tools=TEXT)
    with pytest.raises(ModelError, match="peg-native") as caught:
        await ask(LocalModel(), ModelRequest((QUESTION,), tools=(WEATHER,)))
    assert not caught.value.retryable
    assert len(script.requests) == 1


@pytest.mark.parametrize("tools", [(), (WEATHER,)])
async def test_other_errors_are_not_asked_again(
    script: Script, tools: tuple[ToolSpec, ...]
) -> None:
    events = [INVENTED] if not tools else [{"error": {"message": "other"}}]
    script.write(with_tools=events, without_tools=events)
    with pytest.raises(ModelError):
        await ask(LocalModel(), ModelRequest((QUESTION,), tools=tools))
    assert len(script.requests) == 1


async def test_a_process_that_dies_is_a_model_error_and_then_replaced(script: Script) -> None:
    script.write(without_tools="die")
    async with opened(LocalModel()) as model:
        with pytest.raises(ModelError, match="cut-stream"):
            await ask(model, ModelRequest((QUESTION,)))
        assert isinstance(model, OpenedLocalModel)
        assert model._server._process is not None
        await model._server._process.wait()  # its sockets close a moment before it is gone
        script.write(fail="no memory")
        with pytest.raises(ModelError, match=r"^local-model: no memory$"):
            await ask(model, ModelRequest((QUESTION,)))
        script.write(without_tools=TEXT)
        _, parts = await ask(model, ModelRequest((QUESTION,)))
    assert parts == [TextPart("Hi")]


@pytest.mark.skipif(
    "TRIO_AGENT_TEST_LOCAL" not in os.environ,
    reason="the real model: set TRIO_AGENT_TEST_LOCAL=1 once its weights are in the cache",
)
async def test_the_real_model() -> None:
    if not (cache_directory() / QWEN.filename).exists():
        pytest.fail("the weights are not in the cache: fetch them first")
    async with opened(LocalModel()) as model:
        finish, parts = await ask(model, ModelRequest((QUESTION,), tools=(WEATHER,)))
        assert finish.reason == "tool-calls"
        calls = [part for part in parts if isinstance(part, ToolInputPart)]
        assert {call.name for call in calls} == {"get_weather"}
        assert json.loads("".join(call.delta for call in calls)) == {"city": "Oslo"}
        finish, parts = await ask(model, ModelRequest(RESULT, tools=(WEATHER,)))
        assert finish.reason == "stop"
        assert "11" in "".join(part.delta for part in parts)
