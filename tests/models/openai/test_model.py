"""OpenAIModel against a scripted server on a real socket; see also `tests/models/provider`."""

import json
from contextlib import suppress
from typing import Any

import pytest
import trio
from model_kit import ASK, Emitted
from openai_kit import STOPPED, ask, fail, opened
from proxy_kit import canned

from trio_agent._agent import Agent
from trio_agent._errors import ModelError
from trio_agent._events import ToolRequest, Usage
from trio_agent._messages import AssistantMessage, ToolMessage, UserMessage
from trio_agent.models._parts import (
    ModelFinish,
    ModelRequest,
    ReasoningPart,
    TextPart,
    ToolInputPart,
    ToolSpec,
)
from trio_agent.models.openai._dialects import mistral_id
from trio_agent.models.openai._model import OpenAIModel
from trio_agent.testing import openai as scripted
from trio_agent.testing.openai import open_scripted_openai


async def test_a_whole_answer() -> None:
    parts, finish = await ask(
        scripted.reasoning("hm"),
        scripted.text("Let me see."),
        scripted.tool_fragment(0, id="a", name="f"),
        scripted.tool_fragment(1, id="b", name="g"),
        scripted.tool_fragment(0, arguments='{"x":'),
        scripted.tool_fragment(1, arguments="{}"),
        scripted.tool_fragment(0, arguments="1}"),
        scripted.finish("tool_calls"),
        scripted.usage(3, 4),
    )
    assert parts == [
        ReasoningPart("hm"),
        TextPart("Let me see."),
        ToolInputPart("a", "f", ""),
        ToolInputPart("a", "f", '{"x":'),
        ToolInputPart("b", "g", ""),
        ToolInputPart("a", "f", "1}"),
        ToolInputPart("b", "g", "{}"),
    ]
    assert (finish.reason, finish.usage, finish.model) == ("tool-calls", Usage(3, 4, 7), "m")
    assert [*finish.provider.values()] == [{"reasoning": "reasoning_content"}]


async def test_the_request_and_the_connection_is_used_again() -> None:
    answer = [scripted.finish()]
    config = {"api_key": " sk-1\n", "options": {"temperature": 1, "seed": 2}}
    async with opened(answer, answer, **config) as (server, model):
        tool = ToolSpec("f", "Does.", {"type": "object"})
        request = ModelRequest((UserMessage("Hi"),), "Be.", (tool,), {"temperature": 0})
        await model.generate(request, Emitted())
        await model.generate(ASK, Emitted())
        assert server.connections == 1
    first, second = server.requests
    assert first.path == "/v1/chat/completions"
    assert first.headers["authorization"] == "Bearer sk-1"
    assert first.body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be."}, {"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
        "seed": 2,
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "description": "Does.", "parameters": tool.schema},
            }
        ],
    }
    assert second.body["temperature"] == 1


async def test_what_came_in_one_read_is_one_batch_for_a_subscriber() -> None:
    script = [scripted.tokens(640), scripted.finish()]
    async with open_scripted_openai([script]) as server:
        agent = Agent(model=OpenAIModel("m", base_url=server.base_url))
        batches: list[int] = []
        async with agent.stream_events("hi") as events:
            with suppress(trio.EndOfChannel):
                while True:
                    batches.append(len(await events.receive_batch()))
    assert sum(batches) == 640 + 5
    assert len(batches) < 64


@pytest.mark.parametrize(
    ("answer", "code", "retryable", "message"),
    [
        (scripted.status(401, body={"error": "bad sk-1"}), "auth", False, r"bad \*\*\*"),
        (scripted.status(404), "not-found", False, "404"),
        (scripted.status(429, {"retry-after": "3"}), "rate-limit", True, "429"),
        (scripted.status(503), "provider-error", True, "503"),
        (scripted.status(400, body={"error": "context length"}), "context-length", False, "400"),
        (
            scripted.status(307, {"location": "http://elsewhere"}),
            "bad-response",
            False,
            "moved to http://elsewhere",
        ),
        (scripted.status(301, {"location": "/v2?k=1"}), "bad-response", False, r"moved to /v2 \("),
        (scripted.status(399, {"location": "http://[::1"}), "bad-response", False, "moved to"),
        (scripted.status(304), "bad-response", False, "304"),
        (scripted.status(200, body={"choices": []}), "bad-response", False, "no endpoint for"),
        (scripted.status(200, body={"error": "bad sk-1"}), "provider-error", False, r"bad \*\*\*"),
        (
            scripted.status(200, {"content-type": "text/html; charset=utf-8"}, b"<html>"),
            "bad-response",
            False,
            "no endpoint for conversations",
        ),
        ([scripted.end()], "cut-stream", True, "before the answer did"),
        ([scripted.cut()], "cut-stream", True, "peer closed"),
        (b'data: {"error": {"message": "bad sk-1"}}\n\n', "provider-error", False, r"bad \*\*\*"),
        (b"data: {nonsense\n\n", "bad-response", False, "no chat completion stream"),
        (b"data: " + b"x" * (16 << 20), "bad-response", False, "larger than"),
    ],
)
async def test_failures(answer: scripted.Step, code: str, retryable: bool, message: str) -> None:
    parts, error = await fail(answer, api_key="sk-1")
    assert parts == []
    assert (error.code, error.retryable) == (code, retryable)
    assert error.retry_after == (3 if code == "rate-limit" else None)
    with pytest.raises(ModelError, match=message):
        raise error


@pytest.mark.parametrize(
    "end",
    [
        [scripted.cut()],
        [scripted.end()],
        [b'data: {"error": {"type": "server_error"}}\n\n'],
        [scripted.hang()],
    ],
)
async def test_after_a_part_no_failure_is_retryable(end: list[scripted.Step]) -> None:
    parts, error = await fail(scripted.text("a"), *end, between_tokens_deadline=0.05)
    assert parts == [TextPart("a")]
    assert not error.retryable


async def test_an_answer_that_came_whole_is_whole_however_the_stream_ends() -> None:
    whole = [TextPart("a")], STOPPED
    said: list[scripted.Step] = [scripted.text("a"), scripted.finish()]
    assert await ask(*said, scripted.end()) == whole
    assert await ask(*said, scripted.cut()) == whole
    assert await ask(*said, scripted.hang(), between_tokens_deadline=0.05) == whole
    assert await ask(*said, b"data: [DONE]\n\n", scripted.cut()) == whole


async def test_what_was_held_back_comes_at_the_end() -> None:
    call = scripted.tool_fragment(0, id="a", name="f", arguments="{}")
    said = scripted.delta({"content": "a"}, finish_reason="stop").removesuffix(b"\n")
    for end in (scripted.end(), scripted.cut()):
        parts, finish = await ask(call, said, end)
        assert parts == [
            ToolInputPart("a", "f", ""),
            TextPart("a"),
            ToolInputPart("a", "f", "{}"),
        ]
        assert finish == ModelFinish("tool-calls", model="m")


async def test_a_url_with_a_query() -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%b"
    stop = answer % b"".join([scripted.finish(), b"data: [DONE]\n\n"])
    async with canned(stop, answer % b"{}") as (url, requests):
        model = OpenAIModel("m", base_url=f"{url}/d/x/chat/completions?api-version=1")
        assert (await model.generate(ASK, Emitted())).reason == "stop"
        await model.check()
    assert [request.partition(b" HTTP")[0] for request in requests] == [
        b"POST /d/x/chat/completions?api-version=1",
        b"GET /d/x/models?api-version=1",
    ]


async def test_headers() -> None:
    config = {"organization": "o", "project": "p", "headers": {"X-Title": "t", "accept": "*/*"}}
    async with opened([scripted.finish()], api_key="sk-1", **config) as (server, model):
        await model.generate(ASK, Emitted())
        await model.check()
    for request in server.requests:
        assert request.headers["openai-organization"] == "o"
        assert request.headers["openai-project"] == "p"
        assert request.headers["x-title"] == "t"
        assert request.headers["accept"] == "*/*"
        assert request.headers["authorization"] == "Bearer sk-1"


async def test_the_form_of_a_request() -> None:
    config = {
        "system_role": "developer",
        "stream_usage": False,
        "empty_content": "empty",
        "call_ids": "mistral",
        "schema_dialect": "gemini",
    }
    messages = (AssistantMessage("", (ToolRequest("call_1", "f", {}),)), ToolMessage("call_1", "1"))
    tool = ToolSpec("f", "", {"type": "object", "properties": {}})
    async with opened([scripted.finish()], **config) as (server, model):
        await model.generate(ModelRequest(messages, "Be.", (tool,)), Emitted())
    body = server.requests[0].body
    instructions, call, result = body["messages"]
    assert instructions["role"] == "developer"
    assert call["content"] == ""
    assert call["tool_calls"][0]["id"] == result["tool_call_id"] == mistral_id("call_1")
    assert "stream_options" not in body
    assert body["tools"] == [{"type": "function", "function": {"name": "f"}}]


@pytest.mark.parametrize("content_type", ["application/json", "text/html", "text/event-stream"])
async def test_what_a_body_is_does_not_hang_on_its_type(content_type: str) -> None:
    head = {"content-type": content_type}
    stream = b"".join([scripted.text("a"), scripted.finish(), b"data: [DONE]\n\n"])
    choice = {"message": {"content": "a"}, "finish_reason": "stop"}
    whole = json.dumps({"object": "chat.completion", "choices": [choice]}).encode()
    for body in (stream, whole):
        parts, finish = await ask(scripted.status(200, head, body))
        assert (parts, finish) == ([TextPart("a")], STOPPED)
    _, error = await fail(scripted.status(200, head, b'{"error": {"message": "Too many."}}'))
    assert "Too many." in error.message
    assert "endpoint" not in error.message
    _, error = await fail(scripted.status(200, head, b"<html>"))
    assert "no endpoint for conversations" in error.message


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("api_key", 1, "api_key is a str or a function"),
        ("headers", {"x": "\n"}, "headers: 'x' has no text"),
        ("organization", "\n", "organization: "),
        ("project", 1, "project: "),
        ("system_role", "boss", "'system_role' must be in"),
        ("stream_usage", None, "'stream_usage' must be"),
        ("empty_content", None, "'empty_content' must be in"),
        ("call_ids", "openai", "call_ids is a function or one of 'mistral', not 'openai'"),
        ("schema_dialect", 1, "schema_dialect is a function or one of 'gemini', not 1"),
        ("think_tags", 1, "'think_tags' must be True, False or 'opened', not 1"),
        ("think_tags", "open", "'think_tags' must be"),
        ("keep_alive_counts", 1, "'keep_alive_counts' must be"),
    ],
)
def test_what_is_no_such_argument_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        OpenAIModel("m", **{name: value})
