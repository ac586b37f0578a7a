"""OpenAIModel against a scripted server on a real socket."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from model_kit import Emitted

from trio_agent._agent import Agent
from trio_agent._errors import ModelError
from trio_agent._events import Usage
from trio_agent._messages import UserMessage
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
from trio_agent.models.openai._model import DEFAULT_BASE_URL, OpenAIModel
from trio_agent.testing import openai as scripted
from trio_agent.testing.openai import ScriptedOpenAI, open_scripted_openai

ASK = ModelRequest((UserMessage("Hi"),))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@asynccontextmanager
async def opened(
    *script: scripted.Answer, **config: Any
) -> AsyncIterator[tuple[ScriptedOpenAI, Model]]:
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
        ToolInputPart("b", "g", ""),
        ToolInputPart("a", "f", '{"x":'),
        ToolInputPart("b", "g", "{}"),
        ToolInputPart("a", "f", "1}"),
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
        [b"data: nonsense\n\n"],
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
        (scripted.status(307, {"location": "http://elsewhere"}), "bad-response", False, "307"),
        (scripted.status(200, body={"choices": []}), "bad-response", False, "200"),
        (
            scripted.status(200, {"content-type": "text/html; charset=utf-8"}, b"<html>"),
            "bad-response",
            False,
            "no chat completions endpoint",
        ),
        ([scripted.end()], "cut-stream", True, "before the answer did"),
        ([scripted.cut()], "cut-stream", True, "peer closed"),
        (b'data: {"error": {"message": "bad sk-1"}}\n\n', "provider-error", False, r"bad \*\*\*"),
        (b"data: nonsense\n\n", "bad-response", False, "no chat completion stream"),
        (b"data: " + b"x" * (1 << 20), "bad-response", False, "larger than"),
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
    async with opened([b"data: x\n\n", scripted.hang()]) as (server, model):
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


@pytest.mark.parametrize(("status", "code"), [(401, "auth"), (502, "provider-error")])
async def test_check_tells_what_the_endpoint_says(status: int, code: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, text="bad sk-1", request=request)

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    model = OpenAIModel("m", base_url="http://x", api_key="sk-1", client=client)
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
    async with opened(options={"stream": False}) as (server, model):
        with pytest.raises(ValueError, match="'stream'"):
            await model.generate(ASK, Emitted())
    assert not server.requests


@pytest.mark.parametrize("base_url", [None, DEFAULT_BASE_URL, DEFAULT_BASE_URL + "/"])
async def test_openai_needs_a_key(base_url: str | None) -> None:
    with pytest.raises(ValueError, match="set OPENAI_API_KEY"):
        async with OpenAIModel("m", base_url=base_url).open():
            pytest.fail("there is no key")


@pytest.mark.parametrize("base_url", ["api.example.com/v1", "ftp://x", "http:///v1"])
async def test_the_base_url_must_be_one(base_url: str) -> None:
    with pytest.raises(ValueError, match="must look like https://host/v1"):
        async with OpenAIModel("m", base_url=base_url).open():
            pytest.fail("that is no URL")


@pytest.mark.parametrize("key", ["sk-\u20ac", "sk-1\nsk-2"])
async def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="api_key") as info:
        async with OpenAIModel("m", base_url="http://x", api_key=key).open():
            pytest.fail("that is no key")
    assert "sk-" not in str(info.value)


async def test_the_key_is_not_shown() -> None:
    model = OpenAIModel("m", base_url="http://x", api_key="sk-secret")
    async with model.open() as live:
        assert "sk-secret" not in repr(model) + repr(live)


def test_a_bad_configuration_is_refused() -> None:
    with pytest.raises(ValueError, match="name"):
        OpenAIModel("")
    for name in ("connect_deadline", "first_token_deadline", "between_tokens_deadline"):
        with pytest.raises(ValueError, match=name):
            OpenAIModel("m", **{name: 0})  # type: ignore[arg-type]


def test_models_are_told_apart_by_identity() -> None:
    assert len({OpenAIModel("m"), OpenAIModel("m")}) == 2
