"""AnthropicModel against a scripted server on a real socket, which refuses what Anthropic does."""

import gzip
import itertools
import json
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
from model_kit import ASK, Emitted, answer_of, cancel_after_every_tick, failure_of

import trio_agent
from trio_agent import models
from trio_agent._agent import Agent
from trio_agent._errors import ModelError
from trio_agent._events import ToolRequest, Usage
from trio_agent._messages import AssistantMessage, ToolMessage
from trio_agent.models import anthropic as public
from trio_agent.models._model import Model
from trio_agent.models._parts import (
    ModelFinish,
    ModelRequest,
    TextPart,
    ToolInputPart,
    ToolSpec,
)
from trio_agent.models.anthropic._model import AnthropicModel
from trio_agent.testing import anthropic as scripted
from trio_agent.testing.anthropic import ScriptedServer, open_scripted_anthropic
from trio_agent.tools import tool

ON = {"thinking": {"type": "enabled", "budget_tokens": 2000}}
TOOL = ToolSpec("f", "Does.", {"type": "object"})


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)


@asynccontextmanager
async def opened(
    *script: scripted.Answer, **config: Any
) -> AsyncIterator[tuple[ScriptedServer, Model]]:
    async with (
        open_scripted_anthropic(script) as server,
        AnthropicModel("m", base_url=server.base_url, **config).open() as model,
    ):
        yield server, model


async def ask(*answer: scripted.Step, **config: Any) -> tuple[Emitted, ModelFinish]:
    return await answer_of(opened(answer, **config))


async def fail(*answer: scripted.Step, **config: Any) -> tuple[Emitted, ModelError]:
    return await failure_of(opened(answer, **config))


def message_of(parts: Iterable[object], finish: ModelFinish) -> AssistantMessage:
    """What a transcript has of an answer; ids of calls are renamed, as runs may do."""
    text, inputs = "", dict[tuple[str, str], str]()
    for part in parts:
        if isinstance(part, TextPart):
            text += part.delta
        elif isinstance(part, ToolInputPart):
            key = f"run/{part.id}", part.name
            inputs[key] = inputs.get(key, "") + part.delta
    calls = [ToolRequest(*key, json.loads(said or "{}")) for key, said in inputs.items()]
    return AssistantMessage(text, tuple(calls), provider=finish.provider)


def test_the_public_names() -> None:
    assert trio_agent.AnthropicModel is models.AnthropicModel is public.AnthropicModel
    assert public.AnthropicModel is AnthropicModel
    assert public.MessagesDecoder().feed_eof() == []
    assert public.encode_request(ASK, "m")["model"] == "m"


async def test_the_request_and_the_connection_is_used_again() -> None:
    answer = [scripted.text("a"), scripted.finish()]
    config = {"api_key": " sk-1\n", "options": {"max_tokens": 5, "top_k": 2}}
    async with opened(answer, answer, **config) as (server, model):
        request = ModelRequest(ASK.messages, "Be.", (TOOL,), {"max_tokens": 7})
        await model.generate(request, Emitted())
        await model.generate(ASK, Emitted())
        assert server.connections == 1
    first, second = server.requests
    assert first.path == "/v1/messages"
    assert first.headers["x-api-key"] == "sk-1"
    assert first.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in first.headers
    assert first.body == {
        "model": "m",
        "max_tokens": 7,
        "stream": True,
        "system": "Be.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "top_k": 2,
        "tools": [{"name": "f", "description": "Does.", "input_schema": {"type": "object"}}],
    }
    assert second.body["max_tokens"] == 5


@pytest.mark.parametrize("pasted", ["", "/", "/v1", "/v1/", "/v1/messages", "/v1/messages/?a=b"])
async def test_what_people_paste(pasted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_scripted_anthropic([[scripted.finish()]]) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", f"{server.base_url}{pasted}")
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-env")
        model = AnthropicModel("m", headers={"anthropic-beta": "b1", "anthropic-version": "v"})
        await model.check()
        assert (await model.generate(ASK, Emitted())).reason == "stop"
    query = "?a=b" if "?" in pasted else ""
    listed, asked = server.requests
    assert (listed.path, asked.path) == (f"/v1/models{query}", f"/v1/messages{query}")
    assert asked.headers["x-api-key"] == "sk-env"
    assert (asked.headers["anthropic-beta"], asked.headers["anthropic-version"]) == ("b1", "v")


async def test_anthropic_itself_wants_a_key() -> None:
    with pytest.raises(ValueError, match="set ANTHROPIC_API_KEY"):
        await AnthropicModel("m").generate(ASK, Emitted())


@pytest.mark.parametrize("tools", [["web_search"], [1]])
def test_tools_that_are_none(tools: Any) -> None:
    with pytest.raises(TypeError, match="server_tools are objects"):
        AnthropicModel("m", server_tools=tools)


async def test_tools_of_the_provider_are_offered_behind_those_of_the_agent() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    async with opened([scripted.finish()], server_tools=[search]) as (server, model):
        await model.generate(ModelRequest(ASK.messages, tools=(TOOL,)), Emitted())
    assert [tool["name"] for tool in server.requests[0].body["tools"]] == ["f", "web_search"]


async def loop(*, name: str = "m", thinking: dict[str, Any] = ON, **changes: Any) -> ScriptedServer:
    """Let a model call tools, change its message, and ask again: the server must take it."""
    script: list[scripted.Answer] = [THINKING, [scripted.text("b"), scripted.finish()]]
    async with open_scripted_anthropic(script) as server:
        emitted = Emitted()
        model = AnthropicModel("m", base_url=server.base_url)
        request = ModelRequest(ASK.messages, tools=(TOOL,), options=thinking)
        message = message_of(emitted, await model.generate(request, emitted))
        message = msgspec.structs.replace(message, **changes)
        results = [ToolMessage(call.id, "r") for call in message.tool_calls]
        again = ModelRequest((*ASK.messages, message, *results), tools=(TOOL,), options=thinking)
        second = AnthropicModel(name, base_url=server.base_url)
        assert (await second.generate(again, Emitted())).reason == "stop"
    return server


THINKING = [
    scripted.thinking("Let me", " see."),
    scripted.redacted_thinking(),
    scripted.text("a"),
    scripted.tool_use("toolu_1", "f", '{"x":1}'),
    scripted.thinking("And"),
    scripted.tool_use("toolu_2", "f"),
    scripted.finish("tool_use"),
]


async def test_a_tool_loop_with_thinking() -> None:
    server = await loop()
    body = server.requests[1].body
    assert body["thinking"] == ON["thinking"]
    types = [block["type"] for block in body["messages"][1]["content"]]
    assert types == [
        "thinking", "redacted_thinking", "text", "tool_use", "thinking", "tool_use",
    ]  # fmt: skip
    calls = [b["id"] for b in body["messages"][1]["content"] if b["type"] == "tool_use"]
    assert calls == [block["tool_use_id"] for block in body["messages"][2]["content"]]


@pytest.mark.parametrize(
    "changes",
    [
        {"content": "somebody wrote something else"},
        {"provider": {}},
        {"provider": {"anthropic@elsewhere": {"model": "m", "content": []}}},
        {"name": "another"},
    ],
)
async def test_a_tool_loop_whose_thinking_is_lost_goes_on_without(
    changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trio_agent")
    server = await loop(**changes)
    body = server.requests[1].body
    assert body["thinking"] == {"type": "disabled"}
    types = [block["type"] for block in body["messages"][1]["content"]]
    assert types == ["text", "tool_use", "tool_use"]
    assert [record.levelname for record in caplog.records if "thinking" in record.message] == [
        "INFO"
    ]


async def test_an_agent_keeps_what_the_provider_wants_back() -> None:
    """Ids of calls are doubled by the provider and renamed by the run; thinking goes on."""

    @tool
    def f(x: int = 0) -> int:
        return x

    def step(thought: str, *inputs: str) -> scripted.Answer:
        calls = [scripted.tool_use("toolu_1", "f", each) for each in inputs]
        return [scripted.thinking(thought), *calls, scripted.finish("tool_use")]

    script = [
        step("a", '{"x":1}', "{}"),
        step("b", '{"x":3}'),
        [scripted.text("done"), scripted.finish()],
    ]
    async with open_scripted_anthropic(script) as server:
        model = AnthropicModel("m", base_url=server.base_url, options=ON)
        result = await Agent(model=model, tools=[f]).run("q")
    assert (result.text, result.finish_reason) == ("done", "stop")
    last = server.requests[-1].body
    assert last["thinking"] == ON["thinking"]
    thoughts = [
        b.get("thinking") for t in last["messages"] for b in t["content"] if "signature" in b
    ]
    assert thoughts == ["a", "b"]


async def test_adaptive_thinking_stays_on() -> None:
    adaptive = {"thinking": {"type": "adaptive"}}
    server = await loop(thinking=adaptive, provider={})
    assert server.requests[1].body["thinking"] == {"type": "adaptive"}


async def test_a_forced_tool_turns_thinking_off() -> None:
    async with opened([scripted.finish()]) as (server, model):
        request = ModelRequest(ASK.messages, tools=(TOOL,), options=ON, tool_choice="f")
        await model.generate(request, Emitted())
    body = server.requests[0].body
    assert body["tool_choice"] == {"type": "tool", "name": "f"}
    assert body["thinking"] == {"type": "disabled"}


async def test_once_per_model_it_is_said_that_thinking_is_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "trio_agent")
    async with open_scripted_anthropic([[scripted.finish()]] * 3) as server:
        model = AnthropicModel("m", base_url=server.base_url, options=ON)
        request = ModelRequest(ASK.messages, tools=(TOOL,), tool_choice="required")
        for _ in range(3):
            await model.generate(request, Emitted())
    assert len([each for each in caplog.messages if "without thinking" in each]) == 1


async def test_a_pause_is_a_part_of_the_answer() -> None:
    searched = [
        scripted.tool_use("srvtoolu_1", "web_search", '{"query":"x"}', type="server_tool_use"),
        scripted.block({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1",
                        "content": []}),
    ]  # fmt: skip
    emitted = Emitted()
    script: list[scripted.Answer] = [
        [scripted.start(5), scripted.thinking("hm"), *searched, scripted.finish("pause_turn", 6)],
        [scripted.start(7), scripted.text("found"), scripted.finish("end_turn", 8)],
    ]
    async with opened(*script, options=ON) as (server, model):
        finish = await model.generate(ASK, emitted)
    assert emitted[1:] == [TextPart("found")]
    assert (finish.reason, finish.usage) == ("stop", Usage(12, 14, 26))
    first, second = (request.body for request in server.requests)
    assert second["messages"][:-1] == first["messages"]
    assert [block["type"] for block in second["messages"][-1]["content"]] == [
        "thinking", "server_tool_use", "web_search_tool_result",
    ]  # fmt: skip
    [kept] = finish.provider.values()
    assert [block["type"] for block in kept["content"]][-1] == "text"


async def test_pauses_have_an_end() -> None:
    async with open_scripted_anthropic(
        itertools.repeat([scripted.text("a"), scripted.finish("pause_turn")])
    ) as server:
        with pytest.raises(ModelError, match="paused more than"):
            await AnthropicModel("m", base_url=server.base_url).generate(ASK, Emitted())


async def cancel_when_it_speaks(model: Model) -> None:
    emitted = Emitted()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(model.generate, ASK, emitted)
        await emitted.event.wait()
        nursery.cancel_scope.cancel()


async def test_cancelling_closes_the_providers_connection() -> None:
    async with opened([scripted.text("a"), scripted.hang()]) as (server, model):
        await cancel_when_it_speaks(model)
        await server.requests[0].disconnected.wait()


@pytest.mark.parametrize(
    "script",
    [
        [[scripted.thinking("a"), scripted.text("b"), scripted.finish()]],
        [[scripted.refuse(529, "overloaded_error", "Overloaded")]],
        [[b"data: {nonsense\n\n"]],
        [[scripted.text("a"), scripted.finish("pause_turn")], [scripted.finish()]],
    ],
)
async def test_cancelled_after_every_tick(script: list[scripted.Answer]) -> None:
    """Whenever it is cancelled, it ends with `Cancelled` or as usual, and leaves nothing."""
    async with (
        open_scripted_anthropic(itertools.cycle(script)) as server,
        AnthropicModel("m", base_url=server.base_url).open() as model,
    ):
        await cancel_after_every_tick(model)


@pytest.mark.parametrize(
    ("answer", "code", "retryable", "message"),
    [
        (scripted.refuse(401, "authentication_error", "invalid x-api-key sk-1"), "auth", False,
         r"invalid x-api-key \*\*\*"),
        (scripted.refuse(403, "permission_error", "no"), "auth", False, "403"),
        (scripted.refuse(404, "not_found_error", "model: m"), "not-found", False, "model: m"),
        (scripted.refuse(413, "request_too_large", "too big"), "bad-request", False, "too big"),
        (scripted.refuse(429, "rate_limit_error", "slow", retry_after="3"), "rate-limit", True,
         "slow"),
        (scripted.refuse(500, "api_error", "Internal server error"), "provider-error", True, "500"),
        (scripted.refuse(529, "overloaded_error", "Overloaded"), "provider-error", True, "529"),
        (scripted.refuse(400, "invalid_request_error", "prompt is too long: 2 tokens > 1 maximum"),
         "context-length", False, "too long"),
        (scripted.refuse(400, "invalid_request_error", "messages.0: no"), "bad-request", False,
         "messages.0: no"),
        (scripted.error(), "provider-error", True, "Overloaded"),
        (scripted.error("rate_limit_error", "slow"), "rate-limit", True, "slow"),
        (scripted.status(200, body={"type": "error", "error": {"type": "overloaded_error",
         "message": "Overloaded"}}), "provider-error", True, "Overloaded"),
        ([scripted.end()], "cut-stream", True, "before the answer did"),
        ([scripted.start(), scripted.cut()], "cut-stream", True, "cut-stream"),
        (b"data: {nonsense\n\n", "bad-response", False, "no stream of a message"),
    ],
)  # fmt: skip
async def test_failures(answer: scripted.Step, code: str, retryable: bool, message: str) -> None:
    steps = [answer] if isinstance(answer, bytes) or not isinstance(answer, list) else answer
    parts, error = await fail(*steps, api_key="sk-1")
    assert parts == []
    assert (error.code, error.retryable) == (code, retryable)
    assert error.retry_after == (3 if "429" in error.message else None)
    with pytest.raises(ModelError, match=message):
        raise error


async def test_an_overloaded_provider_may_be_asked_again() -> None:
    script: list[scripted.Answer] = [
        [scripted.refuse(529, "overloaded_error", "Overloaded")],
        [scripted.start(), scripted.error()],
        [scripted.text("a"), scripted.finish()],
    ]
    async with opened(*script) as (server, model):
        for _ in range(2):
            with pytest.raises(ModelError, match="Overloaded") as info:
                await model.generate(ASK, Emitted())
            assert info.value.retryable
        assert (await model.generate(ASK, Emitted())).reason == "stop"
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    "end",
    [[scripted.cut()], [scripted.end()], [scripted.error()], [scripted.hang()]],
)
async def test_after_a_part_no_failure_is_retryable(end: list[scripted.Step]) -> None:
    parts, error = await fail(scripted.text("a"), *end, between_tokens_deadline=0.05)
    assert parts == [TextPart("a")]
    assert not error.retryable


async def test_an_answer_that_came_whole_is_whole_however_the_stream_ends() -> None:
    said: list[scripted.Step] = [scripted.text("a"), scripted.finish(output_tokens=3)]
    ends = [[scripted.end()], [scripted.cut()], [scripted.ping(), scripted.hang()]]
    for end in ends:
        parts, finish = await ask(*said, *end, between_tokens_deadline=0.05)
        assert (parts, finish.reason) == ([TextPart("a")], "stop")
        assert finish.usage.output_tokens == 3


@pytest.mark.parametrize("step", [[], [scripted.start()], [scripted.ping()]])
async def test_the_first_token_has_a_deadline(step: list[scripted.Step]) -> None:
    parts, error = await fail(*step, scripted.hang(), first_token_deadline=0.05)
    assert parts == []
    assert (error.code, error.retryable) == ("timeout-first-token", True)


async def test_the_next_token_has_a_deadline() -> None:
    parts, error = await fail(scripted.text("a"), scripted.hang(), between_tokens_deadline=0.05)
    assert parts == [TextPart("a")]
    assert error.code == "timeout-between-tokens"


async def test_pings_may_keep_an_answer_alive() -> None:
    pings = [step for _ in range(6) for step in (scripted.ping(), scripted.sleep(0.03))]
    answer = [scripted.start(), *pings, scripted.text("a"), scripted.finish()]
    _, error = await fail(*answer, first_token_deadline=0.1)
    assert error.code == "timeout-first-token"
    parts, _ = await ask(*answer, first_token_deadline=0.1, keep_alive_counts=True)
    assert parts == [TextPart("a")]


WHOLE = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "a"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 2},
}


@pytest.mark.parametrize(
    "answer",
    [
        scripted.status(200, body=WHOLE),
        scripted.status(200, {"content-type": "text/event-stream"}, json.dumps(WHOLE).encode()),
        scripted.status(200, {"content-encoding": "gzip", "content-type": "application/json"},
                        gzip.compress(json.dumps(WHOLE).encode(), mtime=0)),
        scripted.status(200, {"content-type": "application/json"}, b"".join([
            scripted.event("message_start", message={"usage": {"input_tokens": 1}}),
            scripted.event("content_block_delta", index=0,
                           delta={"type": "text_delta", "text": "a"}),
            scripted.event("message_delta", delta={"stop_reason": "end_turn"},
                           usage={"output_tokens": 2}),
            scripted.event("message_stop"),
        ])),
    ],
    ids=["JSON", "JSON as a stream", "gzip", "a stream as JSON"],
)  # fmt: skip
async def test_what_a_body_is_its_beginning_tells(answer: scripted.Step) -> None:
    parts, finish = await ask(answer)
    assert (parts, finish.reason, finish.usage) == ([TextPart("a")], "stop", Usage(1, 2, 3))
