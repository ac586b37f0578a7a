"""A tool returns a picture: the model sees it, in three languages, and so does a later run."""

import base64
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from trio_agent import (
    Agent,
    AnthropicModel,
    File,
    OpenAIModel,
    OpenAIResponsesModel,
    RunError,
    RuntimeLimits,
    SQLiteStore,
    ToolContext,
    ToolMessage,
    ToolResult,
    open_runtime,
    tool,
)
from trio_agent.testing import ScriptedModel, anthropic, call, openai, openai_responses
from trio_agent.testing.openai import ScriptedServer
from trio_agent.wire import decode_event, encode_event

PNG = File("image/png", data=b"\x89PNG", name="plot.png")
BASE64 = base64.b64encode(b"\x89PNG").decode()
URL = f"data:image/png;base64,{BASE64}"


@tool
async def plot() -> list[str | File]:
    """Draw a plot."""
    return ["a plot", PNG]


@tool
def look() -> str:
    """Look, and see nothing but text."""
    return "nothing"


@attrs.frozen
class Language:
    model: Any
    open: Callable[[Any], AbstractAsyncContextManager[ScriptedServer]]
    call: Callable[[str, str], Any]
    words: Any
    finish: Callable[[str], Any]
    expected: Callable[[dict[str, Any]], Any]
    """What of a request has to do with results."""
    holds: Any


LANGUAGES = {
    "openai": Language(
        OpenAIModel,
        lambda script: openai.open_scripted_openai(script, strict=True),
        openai.tool_call,
        openai.text,
        lambda why: openai.finish("tool_calls" if why == "calls" else "stop"),
        lambda body: body["messages"][2:5],
        [
            {"role": "tool", "tool_call_id": "a", "content": "a plot"},
            {"role": "tool", "tool_call_id": "b", "content": "nothing"},
            {
                "role": "user",
                "content": [
                    {
                        "type": "text",
                        "text": "Files that came with the result of the tool call a:",
                    },
                    {"type": "image_url", "image_url": {"url": URL}},
                ],
            },
        ],
    ),
    "openai-responses": Language(
        OpenAIResponsesModel,
        openai_responses.open_scripted_responses,
        openai_responses.tool_call,
        openai_responses.text,
        lambda why: openai_responses.finish(),
        lambda body: [i for i in body["input"] if i["type"] == "function_call_output"][:2],
        [
            {
                "type": "function_call_output",
                "call_id": "a",
                "output": [
                    {"type": "input_text", "text": "a plot"},
                    {"type": "input_image", "image_url": URL, "detail": "auto"},
                ],
            },
            {"type": "function_call_output", "call_id": "b", "output": "nothing"},
        ],
    ),
    "anthropic": Language(
        AnthropicModel,
        anthropic.open_scripted_anthropic,
        anthropic.tool_use,
        anthropic.text,
        lambda why: anthropic.finish("tool_use" if why == "calls" else "end_turn"),
        lambda body: body["messages"][2]["content"],
        [
            {
                "type": "tool_result",
                "tool_use_id": "a",
                "content": [
                    {"type": "text", "text": "a plot"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": BASE64},
                    },
                ],
            },
            {"type": "tool_result", "tool_use_id": "b", "content": "nothing"},
        ],
    ),
}


@pytest.mark.parametrize("name", LANGUAGES)
async def test_the_model_sees_it_and_so_does_a_later_run(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    language = LANGUAGES[name]
    calls = [language.call("a", "plot"), language.call("b", "look")]
    calls = [step for each in calls for step in (each if isinstance(each, list) else [each])]
    script = [
        [*calls, language.finish("calls")],
        [language.words("I see."), language.finish("")],
        [language.words("Still."), language.finish("")],
    ]
    async with language.open(script) as server:
        model = language.model("m", base_url=server.base_url)
        agent = Agent(model=model, tools=[plot, look])
        result = await agent.run("Draw.")
        assert (result.text, result.messages[2].files) == ("I see.", (PNG,))
        later = await agent.run("And now?", messages=result.messages)
    assert later.text == "Still."
    _, second, third = (request.body for request in server.requests)
    assert language.expected(second) == language.holds
    assert language.expected(third) == language.holds


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_what_is_replayed_is_what_was_said(kind: str, tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "runs.db") if kind == "sqlite" else None
    model = ScriptedModel([call("1", "plot")], ["I see."], ["Still."])
    agent = Agent(model=model, tools=[plot])
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(agent, "Draw.")
        result = await run.wait()
        async with run.subscribe() as events:
            told = [event async for event in events]
        [outcome] = [event.tool for event in told if isinstance(event, ToolResult)]
        assert (outcome.output, outcome.files) == ("a plot", (PNG,))
        page = await runtime.messages(run.id)
        assert page.messages == result.messages
        # A transcript that a client sends back: its files are beside the new run.
        again = await runtime.start(agent, "And now?", messages=page.messages)
        assert (await again.wait()).text == "Still."
        kept = (await runtime.messages(again.id)).messages[2]
    assert isinstance(kept, ToolMessage)
    [file] = kept.files
    assert (file.data, str(file.blob).partition("/")[0], file.name) == (None, again.id, "plot.png")
    [*_, said] = [m for m in model.requests[2].messages if isinstance(m, ToolMessage)]
    assert said == ToolMessage("1", "a plot", files=(PNG,))


async def test_a_sub_agent_answers_with_text_and_its_files_are_in_the_log() -> None:
    artist = Agent(model=ScriptedModel([call("1", "plot")], ["Drawn."]), tools=[plot])
    boss = ScriptedModel([call("1", "artist", prompt="draw")], ["Thanks."])
    agent = Agent(model=boss, tools=[artist.as_tool(name="artist")])
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "Draw.")
        await run.wait()
        async with run.subscribe() as events:
            data = b"".join([encode_event(event) async for event in events])
    assert boss.requests[1].messages[-1] == ToolMessage("1", "Drawn.")
    assert data.count(BASE64.encode()) == 1


async def test_files_count_towards_the_log() -> None:
    @tool
    async def draw(context: ToolContext) -> File:
        """Draw."""
        return File("image/png", data=b"a" * 20_000)

    limits = RuntimeLimits(max_log_bytes=20_000)
    async with open_runtime(limits=limits) as runtime:
        run = await runtime.start(Agent(model=ScriptedModel([call("1", "draw")]), tools=[draw]), "")
        async with run.subscribe() as events:
            told = [event async for event in events]
    [outcome] = [event.tool for event in told if isinstance(event, ToolResult)]
    assert (outcome.status, outcome.files) == ("error", ())
    assert outcome.output == "the output does not fit into the run's log"
    end = told[-1]
    assert isinstance(end, RunError)
    assert end.error.code == "log-limit"


HOSTILE = {
    "2000 files": [PNG] * 2000,
    "much data": File("image/png", data=b"a" * (5 << 20)),
    "no media type": File("png", data=b"a"),
    "somebody's blob": File("image/png", blob=f"{'a' * 32}/{'0' * 64}"),
    "a path": File("image/png", url="file:///etc/passwd"),
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_what_is_no_file_is_an_error_that_the_model_is_told(what: str) -> None:
    @tool
    async def draw() -> Any:
        """Draw."""
        return HOSTILE[what]

    model = ScriptedModel([call("1", "draw")], ["Oh."])
    result = await Agent(model=model, tools=[draw]).run("Draw.")
    told = model.requests[1].messages[-1]
    assert isinstance(told, ToolMessage)
    assert (told.status, told.files, result.text) == ("error", (), "Oh.")
    assert "file" in told.content


def test_the_largest_result_is_read_as_it_was_written() -> None:
    tool_result = {"id": "1", "name": "t", "input": {}, "output": "o", "status": "ok"}
    data = base64.b64encode(b"a" * (4 << 20)).decode()
    files = [{"type": "file", "mediaType": "a/b", "data": data}]
    written = msgspec.json.encode(
        {"type": "tool-result", "at": 1, "tool": {**tool_result, "files": files}}
    )
    event = decode_event(written)
    assert isinstance(event, ToolResult)
    assert event.tool.files[0].data == b"a" * (4 << 20)
    assert encode_event(event) == written
