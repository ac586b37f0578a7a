"""OpenAIModel against a scripted server on a real socket."""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import attrs
import httpx
import pytest
import trio
import trio.testing
from model_kit import Emitted
from proxy_kit import canned

from trio_agent._agent import Agent
from trio_agent._errors import ModelError
from trio_agent._events import ToolRequest, Usage
from trio_agent._messages import AssistantMessage, ToolMessage, UserMessage
from trio_agent.models._model import Model
from trio_agent.models._parts import (
    ModelFinish,
    ModelPart,
    ModelRequest,
    ReasoningPart,
    TextPart,
    ToolInputPart,
    ToolSpec,
)
from trio_agent.models.openai._dialects import mistral_id
from trio_agent.models.openai._model import OpenAIModel
from trio_agent.testing import openai as scripted
from trio_agent.testing.openai import ScriptedServer, open_scripted_openai

ASK = ModelRequest((UserMessage("Hi"),))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@asynccontextmanager
async def opened(
    *script: scripted.Answer, **config: Any
) -> AsyncIterator[tuple[ScriptedServer, Model]]:
    async with (
        open_scripted_openai(script) as server,
        OpenAIModel("m", base_url=server.base_url, **config).open() as model,
    ):
        yield server, model


async def ask(*answer: scripted.Step, **config: Any) -> tuple[list[ModelPart], ModelFinish]:
    emitted = Emitted()
    async with opened(answer, **config) as (_, model):
        return emitted, await model.generate(ASK, emitted)


async def fail(*answer: scripted.Step, **config: Any) -> tuple[list[ModelPart], ModelError]:
    emitted = Emitted()
    async with opened(answer, **config) as (_, model):
        with pytest.raises(ModelError) as info:
            await model.generate(ASK, emitted)
    return emitted, info.value


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
    assert finish == ModelFinish("tool-calls", Usage(3, 4, 7))


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
    assert sum(batches) == 640 + 4
    assert len(batches) < 64


async def test_without_open_it_has_a_connection_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_scripted_openai([[scripted.text("a"), scripted.finish()]] * 2) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-env")
        model = OpenAIModel("m")
        for _ in range(2):
            emitted = Emitted()
            assert await model.generate(ASK, emitted) == ModelFinish("stop")
            assert emitted == [TextPart("a")]
        assert server.connections == 2
    assert server.requests[0].headers["authorization"] == "Bearer sk-env"


async def test_no_key_no_header() -> None:
    async with opened([scripted.finish()]) as (server, model):
        await model.generate(ASK, Emitted())
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
async def test_an_injected_client(library: str) -> None:
    module = httpx if library == "httpx" else pytest.importorskip(library)
    script: list[scripted.Answer] = [
        [scripted.text("a"), scripted.finish()],
        [scripted.text("b"), scripted.cut()],
        [scripted.text("c"), scripted.hang()],
    ]
    async with open_scripted_openai(script) as server, module.AsyncClient() as client:
        model = OpenAIModel("m", base_url=server.base_url, client=client)
        assert (await model.generate(ASK, Emitted())).reason == "stop"
        with pytest.raises(ModelError, match="cut-stream"):
            await model.generate(ASK, Emitted())
        await cancel_when_it_speaks(model)
        await server.requests[2].disconnected.wait()
        assert (await client.get(f"{server.base_url}/models")).status_code == 200


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
    "answer",
    [
        [scripted.text("a"), scripted.text("b"), scripted.finish()],
        [scripted.status(503)],
        [b"data: {nonsense\n\n"],
        [scripted.status(307, {"location": "completions"})],
    ],
)
async def test_cancelled_after_every_tick(answer: scripted.Answer) -> None:
    """Whenever it is cancelled, it ends with `Cancelled` or as usual, and leaves nothing."""
    async with (
        open_scripted_openai(itertools.repeat(answer)) as server,
        OpenAIModel("m", base_url=server.base_url).open() as model,
    ):
        for ticks in itertools.count():
            done = False
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(cancel_after, ticks, scope)
                    with suppress(ModelError):
                        await model.generate(ASK, Emitted())
                    done = not scope.cancel_called
                    nursery.cancel_scope.cancel()
            if done:
                break
        assert ticks > 5


async def cancel_after(ticks: int, scope: trio.CancelScope) -> None:
    for _ in range(ticks):
        await trio.lowlevel.checkpoint()
    scope.cancel()


async def test_an_error_of_emit_comes_out_as_it_is() -> None:
    class Refuses(Emitted):
        def nowait(self, *parts: ModelPart) -> bool:
            raise KeyError

    async with opened([scripted.text("a"), scripted.hang()]) as (server, model):
        with pytest.raises(KeyError):
            await model.generate(ASK, Refuses())
        await server.requests[0].disconnected.wait()


async def test_an_error_of_room_comes_out_as_it_is() -> None:
    class Full(Emitted):
        async def room(self) -> None:
            await trio.lowlevel.checkpoint()
            if self:
                raise KeyError

    script = [scripted.text("a"), scripted.sleep(0.01), scripted.text("b"), scripted.hang()]
    async with opened(script) as (server, model):
        with pytest.raises(KeyError):
            await model.generate(ASK, Full())
        await server.requests[0].disconnected.wait()


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
    whole = [TextPart("a")], ModelFinish("stop")
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
        assert finish == ModelFinish("tool-calls")


async def test_an_error_response_leaves_the_connection_usable() -> None:
    script: list[scripted.Answer] = [
        [scripted.status(500, body=b"x" * 1000)],
        [scripted.finish()],
    ]
    async with opened(*script) as (server, model):
        with pytest.raises(ModelError):
            await model.generate(ASK, Emitted())
        await model.generate(ASK, Emitted())
        assert server.connections == 1


async def test_a_decoding_error_closes_the_connection() -> None:
    async with opened([b"data: {x\n\n", scripted.hang()]) as (server, model):
        with pytest.raises(ModelError, match="bad-response"):
            await model.generate(ASK, Emitted())
        await server.requests[0].disconnected.wait()


@pytest.mark.parametrize(
    "answer", [[], [b""], [scripted.delta({"role": "assistant", "content": ""}), b": ping\n\n"]]
)
async def test_the_first_token_has_a_deadline(answer: list[scripted.Step]) -> None:
    parts, error = await fail(*answer, scripted.hang(), first_token_deadline=0.05)
    assert parts == []
    assert (error.code, error.retryable) == ("timeout-first-token", True)


async def test_the_next_token_has_a_deadline() -> None:
    parts, error = await fail(scripted.text("a"), scripted.hang(), between_tokens_deadline=0.05)
    assert parts == [TextPart("a")]
    assert error.code == "timeout-between-tokens"


async def test_time_without_room_does_not_count() -> None:
    class Slow(Emitted):
        async def room(self) -> None:
            # Real time must pass: real sockets and a clock that jumps don't go together.
            await trio.sleep(0.2)

    async with opened(
        [scripted.text("a"), scripted.finish()],
        first_token_deadline=0.1,
        between_tokens_deadline=0.1,
    ) as (_, model):
        assert (await model.generate(ASK, Slow())).reason == "stop"


async def test_nobody_listens() -> None:
    async with open_scripted_openai([]) as server:
        pass
    with pytest.raises(ModelError) as info:
        await OpenAIModel("m", base_url=server.base_url).generate(ASK, Emitted())
    assert (info.value.code, info.value.retryable) == ("connect", True)


async def test_connecting_has_a_deadline() -> None:
    async def say_nothing(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    serve = partial(trio.serve_tcp, say_nothing, 0, host="localhost")
    async with trio.open_nursery() as nursery:
        listener, *_ = await nursery.start(serve)
        port = listener.socket.getsockname()[1]
        model = OpenAIModel("m", base_url=f"https://localhost:{port}", connect_deadline=0.05)
        with pytest.raises(ModelError) as info:
            await model.generate(ASK, Emitted())
        nursery.cancel_scope.cancel()
    assert (info.value.code, info.value.retryable) == ("timeout-connect", True)


async def test_check_asks_for_the_models() -> None:
    async with open_scripted_openai([]) as server:
        model = OpenAIModel("m", base_url=server.base_url, api_key="sk-1")
        await model.check()
        await OpenAIModel("m", base_url=server.base_url + "/elsewhere").check()
    assert [request.path for request in server.requests] == ["/v1/models", "/v1/elsewhere/models"]
    assert server.requests[0].headers["authorization"] == "Bearer sk-1"
    with pytest.raises(ModelError, match="connect: "):
        await model.check()


@pytest.mark.parametrize(
    ("status", "code"), [(401, "auth"), (502, "provider-error"), (403, None), (404, None)]
)
async def test_check_tells_what_the_endpoint_says(status: int, code: str | None) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, text="bad sk-1", request=request)

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    model = OpenAIModel("m", base_url="http://x", api_key="sk-1", client=client)
    if code is None:
        await model.check()  # the list is missing or forbidden; conversations need not be
        return
    with pytest.raises(ModelError, match=rf"{code}: .*bad \*\*\*"):
        await model.check()


async def test_check_has_a_deadline() -> None:
    async def say_nothing(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, say_nothing, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        port = listener.socket.getsockname()[1]
        model = OpenAIModel("m", base_url=f"http://127.0.0.1:{port}", connect_deadline=0.05)
        with pytest.raises(ModelError, match="timeout-connect"):
            await model.check()
        nursery.cancel_scope.cancel()


async def test_options_can_not_override_the_request() -> None:
    with pytest.raises(ValueError, match=r"options: 'stream' is set by the agent"):
        OpenAIModel("m", options={"stream": False})
    async with opened() as (server, model):
        with pytest.raises(ModelError, match=r"bad-request: .*'stream'"):
            await model.generate(attrs.evolve(ASK, options={"stream": False}), Emitted())
    assert not server.requests


@pytest.mark.parametrize("request_", [ModelRequest((UserMessage("\udc80"),)), ASK])
async def test_a_request_that_has_no_json_form(request_: ModelRequest) -> None:
    async with opened(options={"x": object()}) as (server, model):
        with pytest.raises(ModelError, match="bad-request: the request has no JSON form: "):
            await model.generate(request_, Emitted())
    assert not server.requests


async def test_it_can_not_be_opened() -> None:
    for config, message in (
        ({}, "set OPENAI_API_KEY"),
        ({"base_url": "api.example.com/v1"}, "must look like https://host/v1"),
        ({"base_url": "http://x", "api_key": "sk-1\nsk-2"}, "no HTTP header can carry"),
    ):
        with pytest.raises(ValueError, match=message):
            async with OpenAIModel("m", **config).open():
                pytest.fail("there is something wrong with it")


async def test_a_proxy_that_can_not_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "gopher://proxy")
    with pytest.raises(ModelError, match="connect: the proxy in the environment"):
        await OpenAIModel("m", base_url="http://elsewhere.invalid").generate(ASK, Emitted())
    assert (await ask(scripted.finish()))[1] == ModelFinish("stop")


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


async def test_a_key_that_is_asked_for() -> None:
    keys = iter(["sk-1", "sk-2"])

    async def fetch() -> str:
        await trio.lowlevel.checkpoint()
        return next(keys)

    unauthorized = scripted.status(401, body={"error": "bad sk-2"})
    async with opened([scripted.finish()], [unauthorized], api_key=fetch) as (server, model):
        await model.generate(ASK, Emitted())
        with pytest.raises(ModelError, match=r"auth: .*bad \*\*\*"):
            await model.generate(ASK, Emitted())
        with pytest.raises(ModelError, match="auth: "):
            await model.check()
    assert [request.headers["authorization"] for request in server.requests] == [
        "Bearer sk-1",
        "Bearer sk-2",
    ]


async def test_a_key_that_never_comes() -> None:
    config: dict[str, Any] = {"first_token_deadline": 0.05, "connect_deadline": 0.05}
    async with opened(api_key=trio.sleep_forever, **config) as (server, model):
        with pytest.raises(ModelError, match="timeout-first-token") as info:
            await model.generate(ASK, Emitted())
        assert info.value.retryable
        with pytest.raises(ModelError, match="timeout-connect"):
            await model.check()
    assert not server.requests


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


async def test_a_key_in_a_header_is_not_repeated() -> None:
    refusal = scripted.status(401, body={"error": "bad sk-1"})
    with pytest.raises(ModelError, match=r"bad \*\*\*"):
        async with opened([refusal], headers={"api-key": "sk-1"}) as (_, model):
            await model.generate(ASK, Emitted())


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


async def test_keep_alive_may_count() -> None:
    alive = [*[b": hm\n\n", scripted.sleep(0.1)] * 5]
    answer = [*alive, scripted.text("a"), *alive, scripted.finish()]
    config: dict[str, Any] = {"first_token_deadline": 0.3, "between_tokens_deadline": 0.3}
    assert (await ask(*answer, **config, keep_alive_counts=True))[1] == ModelFinish("stop")
    assert (await fail(*answer, **config))[1].code == "timeout-first-token"


@pytest.mark.parametrize("content_type", ["application/json", "text/html", "text/event-stream"])
async def test_what_a_body_is_does_not_hang_on_its_type(content_type: str) -> None:
    head = {"content-type": content_type}
    stream = b"".join([scripted.text("a"), scripted.finish(), b"data: [DONE]\n\n"])
    choice = {"message": {"content": "a"}, "finish_reason": "stop"}
    whole = json.dumps({"object": "chat.completion", "choices": [choice]}).encode()
    for body in (stream, whole):
        parts, finish = await ask(scripted.status(200, head, body))
        assert (parts, finish) == ([TextPart("a")], ModelFinish("stop"))
    _, error = await fail(scripted.status(200, head, b'{"error": {"message": "Too many."}}'))
    assert "Too many." in error.message
    assert "endpoint" not in error.message
    _, error = await fail(scripted.status(200, head, b"<html>"))
    assert "no endpoint for conversations" in error.message


async def test_a_redirect_within_the_host_is_followed() -> None:
    moved = scripted.status(307, {"location": "/v1/chat/completions"})
    async with opened([moved], [scripted.finish()], api_key="sk-1") as (server, model):
        assert await model.generate(ASK, Emitted()) == ModelFinish("stop")
    first, second = server.requests
    assert first.body == second.body
    assert second.headers["authorization"] == "Bearer sk-1"


async def test_the_key_is_not_shown() -> None:
    model = OpenAIModel("m", base_url="http://x", api_key="sk-secret")
    async with model.open() as live:
        assert "sk-secret" not in repr(model) + repr(live)


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
        ("think_tags", 1, "'think_tags' must be"),
        ("keep_alive_counts", 1, "'keep_alive_counts' must be"),
    ],
)
def test_what_is_no_such_argument_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        OpenAIModel("m", **{name: value})


def test_a_bad_configuration_is_refused() -> None:
    with pytest.raises(ValueError, match="name"):
        OpenAIModel("")
    for name in ("connect_deadline", "first_token_deadline", "between_tokens_deadline"):
        with pytest.raises(ValueError, match=name):
            OpenAIModel("m", **{name: 0})  # type: ignore[arg-type]


def test_models_are_told_apart_by_identity() -> None:
    assert len({OpenAIModel("m"), OpenAIModel("m")}) == 2
