"""Answers that have a shape: all providers, both ways of asking, in front of strict servers."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import attrs
import pytest
from model_kit import Emitted

from trio_agent._errors import ModelError
from trio_agent._events import ToolRequest
from trio_agent._messages import AnyMessage, AssistantMessage, ToolMessage, UserMessage
from trio_agent.models._fallback import FallbackModel
from trio_agent.models._model import Model
from trio_agent.models._parts import (
    ModelFinish,
    ModelRequest,
    OutputPart,
    OutputSpec,
    ReasoningPart,
    SwitchPart,
    TextPart,
    ToolInputPart,
    ToolSpec,
)
from trio_agent.models._provider._shape import OutputMode
from trio_agent.models.anthropic import AnthropicModel
from trio_agent.models.openai import OpenAIModel
from trio_agent.models.openai_responses import OpenAIResponsesModel
from trio_agent.testing import anthropic, openai, openai_responses
from trio_agent.testing.openai import ScriptedServer

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
SPEC = OutputSpec("final", "A number.", SCHEMA)
TOOL = ToolSpec("f", "Does.", {"type": "object"})
CALL = ToolRequest("a", "f", {})
ASK = ModelRequest((UserMessage("q"),), output=SPEC)
MODES: tuple[OutputMode, ...] = ("schema", "tool")


@attrs.frozen
class Language:
    """A provider: its model, its scripted server, and words of both that differ."""

    model: Callable[..., Model]
    testing: ModuleType
    open: Callable[..., Any]
    think: Callable[[], Any]
    call: Callable[[], Any]
    shape: tuple[str, ...]
    """Where the schema is in a request."""
    config: dict[str, Any]
    """What makes it think."""

    @asynccontextmanager
    async def opened(self, *script: Any, **config: Any) -> AsyncIterator[tuple[Any, Model]]:
        async with (
            self.open(script) as server,
            self.model("m", base_url=server.base_url, **config).open() as model,
        ):
            yield server, model


LANGUAGES = {
    "openai": Language(
        OpenAIModel,
        openai,
        lambda script: openai.open_scripted_openai(script, strict=True),
        lambda: openai.reasoning_details(
            {"type": "reasoning.text", "text": "hm", "signature": "s", "index": 0}
        ),
        lambda: openai.tool_call("a", "f"),
        ("response_format", "json_schema", "schema"),
        {},
    ),
    "openai-responses": Language(
        OpenAIResponsesModel,
        openai_responses,
        openai_responses.open_scripted_responses,
        lambda: openai_responses.reasoning("hm"),
        lambda: openai_responses.tool_call("a", "f"),
        ("text", "format", "schema"),
        {},
    ),
    "anthropic": Language(
        AnthropicModel,
        anthropic,
        anthropic.open_scripted_anthropic,
        lambda: anthropic.thinking("hm"),
        lambda: anthropic.tool_use("a", "f"),
        ("output_config", "format", "schema"),
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
    ),
}


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Language:
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    return LANGUAGES[request.param]


def body_of(server: ScriptedServer, number: int = -1) -> dict[str, Any]:
    body: dict[str, Any] = server.requests[number].body
    return body


def schema_in(body: Any, language: Language) -> Any:
    for name in language.shape:
        body = body.get(name) or {}
    return body


def said(parts: Emitted) -> tuple[str, str, str, list[str]]:
    """Text, reasoning, output, and the names of calls."""
    text = "".join(part.delta for part in parts if isinstance(part, TextPart))
    reasoning = "".join(part.delta for part in parts if isinstance(part, ReasoningPart))
    output = "".join(part.delta for part in parts if isinstance(part, OutputPart))
    names = {part.id: part.name for part in parts if isinstance(part, ToolInputPart)}
    return text, reasoning, output, [*names.values()]


async def answer(model: Model, request: ModelRequest) -> tuple[Emitted, ModelFinish]:
    emitted = Emitted()
    return emitted, await model.generate(request, emitted)


@pytest.mark.parametrize("mode", MODES)
async def test_the_parts_are_the_same_in_both_modes(language: Language, mode: str) -> None:
    script = language.testing.output('{"x"', ": 1}")
    async with language.opened(script, output_mode=mode) as (server, model):
        parts, finish = await answer(model, ASK)
    assert parts == [OutputPart('{"x"'), OutputPart(": 1}")]
    assert (finish.reason, finish.provider) == ("stop", {})
    body = body_of(server)
    assert schema_in(body, language) == (
        {**SCHEMA, "additionalProperties": False} if mode == "schema" else {}
    )
    assert len(body.get("tools", ())) == (mode == "tool")
    assert ("final" in json.dumps(body.get("tool_choice"))) is (mode == "tool")


@pytest.mark.parametrize("thinks", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("corrected", ['{"x": 2}', "2"], ids=["as-it-is", "unwrapped"])
async def test_the_next_requests_are_taken(
    language: Language, mode: str, thinks: bool, corrected: str
) -> None:
    thought = [language.think()] if thinks else []
    output = language.testing.output
    script = [
        output('{"x": ', '"1"}', before=[*thought, language.call()]),
        output('{"x": 2}', before=thought),
        output('{"x": 3}', before=thought),
    ]
    messages: tuple[AnyMessage, ...] = (UserMessage("q"),)
    options = language.config if thinks else {}
    finishes = []
    async with language.opened(*script, output_mode=mode, options=options) as (server, model):
        for content, calls, wanted in [
            ('{"x": "1"}', (CALL,), '{"x": "1"}'),
            (corrected, (), '{"x": 2}'),
            ("", (), '{"x": 3}'),
        ]:
            request = ModelRequest(messages, tools=(TOOL,), output=SPEC)
            parts, finish = await answer(model, request)
            finishes.append(finish.reason)
            text, reasoning, output_, names = said(parts)
            assert (text, output_, names) == ("", wanted, [call.name for call in calls])
            assert reasoning == ("hm" if thinks else "")
            messages += (
                AssistantMessage(content, calls, reasoning, finish.provider),
                *(ToolMessage(call.id, "done") for call in calls),
                UserMessage("x is to be larger"),
            )
    assert finishes == ["tool-calls", "stop", "stop"]
    sent = json.dumps(body_of(server).get("messages") or body_of(server)["input"])
    assert '"final"' not in sent
    assert json.dumps(corrected)[1:-1] in sent
    assert ("hm" in sent or "encrypted_content" in sent) is thinks


async def test_a_thinking_model_of_anthropics_is_not_forced_but_told() -> None:
    language = LANGUAGES["anthropic"]
    for options in (language.config, {"thinking": {"type": "adaptive"}}):
        script = anthropic.output('{"x":1}', before=[anthropic.thinking("hm")])
        async with language.opened(script, options=options) as (server, model):
            parts, _ = await answer(model, attrs.evolve(ASK, instructions="Be brief."))
        body = body_of(server)
        assert said(parts) == ("", "hm", '{"x":1}', [])
        assert "tool_choice" not in body
        assert body["thinking"] == options["thinking"]
        assert body["system"].startswith("Be brief.\n\nWhen you know the answer")


async def test_an_answer_by_a_tool_that_ends_with_a_thought_goes_back_without_it() -> None:
    language = LANGUAGES["anthropic"]
    twice = [
        anthropic.thinking("hm"),
        anthropic.tool_use("1", "final", '{"x":1}'),
        anthropic.thinking("or"),
        anthropic.tool_use("2", "final", '{"x":2}'),
        anthropic.finish("tool_use"),
    ]
    config = {"options": language.config, "output_mode": "tool"}
    async with language.opened(twice, anthropic.output("{}"), **config) as (server, model):
        parts, finish = await answer(model, ASK)
        assert said(parts) == ("", "hmor", '{"x":1}', [])
        assert finish.reason == "stop"
        before = AssistantMessage('{"x":1}', (), "hmor", finish.provider)
        await answer(model, attrs.evolve(ASK, messages=(UserMessage("q"), before)))
    blocks = body_of(server)["messages"][1]["content"]
    assert [block["type"] for block in blocks] == ["thinking", "text"]


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_said_beside(language: Language, mode: str) -> None:
    testing = language.testing
    script = testing.output('{"x":1}', before=[testing.text("So: ")])
    async with language.opened(script, output_mode=mode) as (_, model):
        parts, _ = await answer(model, ASK)
    text, output = ("", 'So: {"x":1}') if mode == "schema" else ("So: ", '{"x":1}')
    assert said(parts) == (text, "", output, [])


@pytest.mark.parametrize("mode", MODES)
async def test_tools_are_called_first(language: Language, mode: str) -> None:
    finish = "tool_use" if language.testing is anthropic else "tool_calls"
    end = language.testing.finish
    script = [language.call(), end() if language.testing is openai_responses else end(finish)]
    request = attrs.evolve(ASK, tools=(TOOL,))
    async with language.opened(script, output_mode=mode) as (server, model):
        parts, finished = await answer(model, request)
    assert said(parts) == ("", "", "", ["f"])
    assert finished.reason == "tool-calls"
    choice = body_of(server).get("tool_choice")
    forced = {"type": "any"} if language.testing is anthropic else "required"
    assert choice == (forced if mode == "tool" else None)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("value", [{"format": {"type": "json_object"}}, {"format": None}])
async def test_an_option_that_says_another_shape_is_refused(
    language: Language, mode: str, value: dict[str, Any]
) -> None:
    request = attrs.evolve(ASK, options={language.shape[0]: value})
    async with language.opened(output_mode=mode) as (server, model):
        with pytest.raises(ModelError, match="bad-request: the agent's output sets the shape"):
            await answer(model, request)
    assert server.requests == []


@pytest.mark.parametrize("mode", MODES)
async def test_a_tool_with_the_name_of_the_output_is_refused(language: Language, mode: str) -> None:
    request = attrs.evolve(ASK, tools=(ToolSpec("final", "", {}),))
    async with language.opened(output_mode=mode) as (_, model):
        with pytest.raises(ModelError, match="bad-request: the tool 'final' has the name"):
            await answer(model, request)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("openai-responses", "text", {"verbosity": "low"}),
        ("anthropic", "output_config", {"effort": "low"}),
    ],
)
async def test_other_options_stay(name: str, option: str, value: dict[str, Any]) -> None:
    language = LANGUAGES[name]
    config = {"output_mode": "schema", "options": {option: value}}
    async with language.opened(language.testing.output("{}"), **config) as (server, model):
        await answer(model, ASK)
    said = body_of(server)[option]
    assert said.items() >= value.items()
    assert said["format"]["type"] == "json_schema"


@pytest.mark.parametrize("first", MODES)
async def test_a_fallback_in_between_changes_nothing(language: Language, first: str) -> None:
    second = "tool" if first == "schema" else "schema"
    testing = language.testing
    refused = [openai.status(500, body={"error": {"message": "no"}})]
    script = [testing.output('{"x":', "1}"), refused, testing.output('{"x":', "1}")]
    async with language.open(script) as server:
        models = [
            language.model(name, base_url=server.base_url, output_mode=mode)
            for name, mode in (("a", first), ("b", second))
        ]
        async with FallbackModel(*models).open() as model:
            alone, _ = await answer(model, ASK)
            (switch, *parts), finish = await answer(model, ASK)
    assert isinstance(switch, SwitchPart)
    assert parts == alone == [OutputPart('{"x":'), OutputPart("1}")]
    assert (finish.reason, finish.model) == ("stop", "b")


async def test_a_provider_without_schemas_and_forced_tools() -> None:
    script = [openai.output('{"x":1}')]
    async with openai.open_scripted_openai(script, knows_schemas=False, can_force=False) as server:
        request = attrs.evolve(ASK, tools=(TOOL,))
        for mode, error in zip(MODES, ("response_format type", "this tool_choice"), strict=True):
            model = OpenAIModel("m", base_url=server.base_url, output_mode=mode)
            with pytest.raises(ModelError, match=error):
                await answer(model, request)
        model = OpenAIModel("m", base_url=server.base_url, options={"tool_choice": "auto"})
        parts, _ = await answer(model, request)
    assert parts == [OutputPart('{"x":1}')]
