"""What models of all providers do, over real sockets: by OpenAI's, and by a made-up language."""

import itertools
from functools import partial
from typing import Any

import attrs
import httpx
import pytest
import trio
from model_kit import ASK, Emitted, cancel_after_every_tick
from openai_kit import STOPPED, ask, fail, opened

from trio_agent._errors import ModelError
from trio_agent._events import Usage
from trio_agent._messages import UserMessage
from trio_agent.models._model import Model
from trio_agent.models._parts import ModelFinish, ModelPart, ModelRequest, TextPart
from trio_agent.models._provider._codec import Codec
from trio_agent.models._provider._endpoint import Endpoint, Provider
from trio_agent.models._provider._model import ProviderModel
from trio_agent.models.openai._model import OpenAIModel
from trio_agent.testing import openai as scripted
from trio_agent.testing._scripted_server import (
    Answer,
    RecordedRequest,
    Script,
    ScriptedServer,
    Status,
    open_script,
    serve_script,
    status,
)
from trio_agent.testing.openai import open_scripted_openai


async def test_without_open_it_has_a_connection_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_scripted_openai([[scripted.text("a"), scripted.finish()]] * 2) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-env")
        model = OpenAIModel("m")
        for _ in range(2):
            emitted = Emitted()
            assert await model.generate(ASK, emitted) == STOPPED
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
        await cancel_after_every_tick(model)


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
    assert (await ask(scripted.finish()))[1] == STOPPED


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


async def test_a_key_in_a_header_is_not_repeated() -> None:
    refusal = scripted.status(401, body={"error": "bad sk-1"})
    with pytest.raises(ModelError, match=r"bad \*\*\*"):
        async with opened([refusal], headers={"api-key": "sk-1"}) as (_, model):
            await model.generate(ASK, Emitted())


async def test_keep_alive_may_count() -> None:
    alive = [*[b": hm\n\n", scripted.sleep(0.1)] * 5]
    answer = [*alive, scripted.text("a"), *alive, scripted.finish()]
    config: dict[str, Any] = {"first_token_deadline": 0.3, "between_tokens_deadline": 0.3}
    assert (await ask(*answer, **config, keep_alive_counts=True))[1] == STOPPED
    assert (await fail(*answer, **config))[1].code == "timeout-first-token"


async def test_a_redirect_within_the_host_is_followed() -> None:
    moved = scripted.status(307, {"location": "/v1/chat/completions"})
    async with opened([moved], [scripted.finish()], api_key="sk-1") as (server, model):
        assert await model.generate(ASK, Emitted()) == STOPPED
    first, second = server.requests
    assert first.body == second.body
    assert second.headers["authorization"] == "Bearer sk-1"


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


FAKE = Provider(
    id="fake", title="Fake", base_url="http://fake", variables="FAKE", path="/ask", suffixes=()
)


class FakeDecoder:
    """Reads words up to a full stop. An answer that ends with a tilde pauses there."""

    def __init__(self) -> None:
        self.done = self.started = self.goes_on = False
        self._said = ""
        self._is_new = False

    @property
    def complete(self) -> bool:
        return self._said.endswith((".", "~")) and self._is_new

    def feed(self, data: bytes) -> list[ModelPart]:
        self.started = self._is_new = True
        self._said += data.decode()
        self.done = self.complete
        return [TextPart(data.decode())]

    def feed_eof(self) -> list[ModelPart]:
        return []

    def feed_whole(self, body: bytes) -> list[ModelPart]:
        return self.feed(body)

    def may_go_on(self, body: bytes | bytearray) -> bool:
        return False

    def finish(self) -> ModelFinish:
        if not self.complete:
            raise ModelError("cut-stream", "no full stop")
        return ModelFinish("stop", Usage(1, len(self._said)), provider={"fake": self._said})

    def resume(self, body: dict[str, Any]) -> dict[str, Any] | None:
        if not self._said.endswith("~"):
            return None
        self.done = self._is_new = False
        return {**body, "said": self._said}


class FakeCodec:
    def __init__(self, origin: str) -> None:
        self.origin = origin

    def encode(self, request: ModelRequest) -> dict[str, Any]:
        return {"origin": self.origin, **request.options}

    def decoder(self, secret: str, request: ModelRequest) -> FakeDecoder:
        return FakeDecoder()


@attrs.frozen(eq=False)
class FakeModel(ProviderModel):
    @property
    def _provider(self) -> Provider:
        return FAKE

    def _codec(self, endpoint: Endpoint) -> Codec:
        return FakeCodec(endpoint.origin)


async def serve_fake(
    script: Script,
    *,
    port: int = 0,
    task_status: trio.TaskStatus[ScriptedServer] = trio.TASK_STATUS_IGNORED,
) -> None:
    def respond(request: RecordedRequest) -> Answer | None:
        return None

    def refuse(code: int, message: str) -> Status:
        return status(code, body={"error": message})

    await serve_script(script, respond, path="", refuse=refuse, port=port, task_status=task_status)


async def converse(*script: Answer, **config: Any) -> tuple[list[Any], Emitted, ModelFinish]:
    """Ask the made-up model; return the bodies of its requests, its parts and how it ended."""
    emitted = Emitted()
    async with open_script(serve_fake, script) as server:
        model = FakeModel("f", base_url=server.base_url, **config)
        finish = await model.generate(ASK, emitted)
    return [request.body for request in server.requests], emitted, finish


async def test_an_answer_that_pauses_goes_on_with_its_next_request() -> None:
    bodies, parts, finish = await converse([b"a ~"], [b"b ~"], [b"c."], options={"x": 1})
    assert parts == [TextPart("a ~"), TextPart("b ~"), TextPart("c.")]
    assert finish == ModelFinish("stop", Usage(1, 8), "f", {"fake": "a ~b ~c."})
    assert [body.pop("said", None) for body in bodies] == [None, "a ~", "a ~b ~"]
    assert all(body["x"] == 1 for body in bodies)
    assert {body["origin"].partition(":")[0] for body in bodies} == {"fake@127.0.0.1"}


async def test_an_answer_does_not_pause_forever() -> None:
    with pytest.raises(ModelError, match=r"bad-response: .* paused more than 16 times"):
        await converse(*[[b"~"]] * 17)


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        ([status(529)], "provider-error"),
        ([b"b"], "cut-stream"),
        ([scripted.hang()], "timeout-between-tokens"),
    ],
)
async def test_what_goes_wrong_behind_a_pause_is_not_retryable(rest: Answer, code: str) -> None:
    with pytest.raises(ModelError) as info:
        await converse([b"a ~"], rest, first_token_deadline=0.2)
    assert (info.value.code, info.value.retryable) == (code, False)
