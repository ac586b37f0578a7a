"""The scripted server: its steps on a real socket, and bad clients."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio

from trio_agent._agent import Agent
from trio_agent.models.openai._model import OpenAIModel
from trio_agent.testing import openai as scripted
from trio_agent.testing.openai import RecordedRequest, open_scripted_openai
from trio_agent.tools import tool

ASK = {"model": "m", "messages": []}
DONE = b"data: [DONE]\n\n"


async def test_plays_answers_in_order_over_one_connection() -> None:
    script: list[scripted.Answer | Callable[[RecordedRequest], scripted.Answer]] = [
        [scripted.text("a"), [scripted.finish(), scripted.usage(1, 2)]],
        lambda request: [scripted.text(request.body["model"]), scripted.end()],
    ]
    async with open_scripted_openai(script) as server, httpx.AsyncClient() as client:
        url = f"{server.base_url}/chat/completions"
        first = await client.post(url, json=ASK, headers={"X-Y": "z"})
        second = await client.post(url, json=ASK)
        third = await client.post(url, json=ASK)
        models = await client.get(f"{server.base_url}/models")
        other = await client.post(f"{server.base_url}/else", content=b"{no json")
        assert server.connections == 1
    assert first.headers["content-type"] == "text/event-stream"
    assert first.content.endswith(scripted.usage(1, 2) + DONE)
    assert second.content == scripted.text("m")
    assert third.status_code == 400
    assert third.json() == {"error": {"message": "the script has no more answers"}}
    assert models.json()["data"][0]["id"] == "scripted"
    assert other.status_code == 404
    assert [(r.method, r.path, r.body) for r in server.requests] == [
        *[("POST", "/v1/chat/completions", ASK)] * 3,
        ("GET", "/v1/models", None),
        ("POST", "/v1/else", "{no json"),
    ]
    assert server.requests[0].headers["x-y"] == "z"
    assert not server.requests[0].disconnected.is_set()


@pytest.mark.parametrize("calls", [0, 2])
async def test_a_final_call_has_the_next_index(calls: int) -> None:
    before: list[Any] = [scripted.text("a")]
    before += [scripted.tool_call(f"{n}", "f", index=n) for n in range(calls)]
    ask = {**ASK, "tools": [{"type": "function", "function": {"name": "final"}}]}
    async with (
        open_scripted_openai([scripted.output("{}", before=before)]) as server,
        httpx.AsyncClient() as client,
    ):
        answer = await client.post(f"{server.base_url}/chat/completions", json=ask)
    final = scripted.tool_call("call_output", "final", "{}", index=calls)
    assert b"".join(final) in answer.content


async def test_status_has_headers_and_a_body() -> None:
    script = [
        [scripted.status(429, {"retry-after": "1"}, b"slow")],
        [scripted.status(500, body={"error": "x"})],
    ]
    async with open_scripted_openai(script) as server, httpx.AsyncClient() as client:
        url = f"{server.base_url}/chat/completions"
        first = await client.post(url, json=ASK)
        second = await client.post(url, json=ASK)
    assert (first.status_code, first.headers["retry-after"], first.text) == (429, "1", "slow")
    assert (second.status_code, second.json()) == (500, {"error": "x"})


@pytest.mark.parametrize("answer", [[], [scripted.end()], [scripted.status(204)]])
async def test_a_client_that_wants_the_connection_closed(answer: scripted.Answer) -> None:
    async with open_scripted_openai([answer] * 2) as server, httpx.AsyncClient() as client:
        for _ in range(2):
            await client.post(
                f"{server.base_url}/chat/completions", json=ASK, headers={"Connection": "close"}
            )
        assert server.connections == 2


async def test_pause_waits_for_its_event() -> None:
    go_on = trio.Event()
    script = [[scripted.text("a"), scripted.pause(go_on), scripted.text("b")]]
    received = b""
    async with (
        open_scripted_openai(script) as server,
        httpx.AsyncClient() as client,
        client.stream("POST", f"{server.base_url}/chat/completions", json=ASK) as response,
    ):
        async for chunk in response.aiter_raw():
            received += chunk
            go_on.set()
    assert received == scripted.text("a") + scripted.text("b") + DONE


async def test_cut_breaks_the_connection_in_a_chunk() -> None:
    async with (
        open_scripted_openai([[scripted.text("a"), scripted.cut()]]) as server,
        httpx.AsyncClient() as client,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(f"{server.base_url}/chat/completions", json=ASK)


@pytest.mark.parametrize("rate", [None, 1e6])
async def test_tokens_come_one_in_a_chunk(rate: float | None) -> None:
    async with (
        open_scripted_openai([[scripted.tokens(100, rate=rate)]]) as server,
        httpx.AsyncClient() as client,
        client.stream("POST", f"{server.base_url}/chat/completions", json=ASK) as response,
    ):
        chunks = [chunk async for chunk in response.aiter_raw()]
    assert chunks[:2] == [scripted.text("word0 "), scripted.text("word1 ")]
    assert len(chunks) == 101


async def test_tokens_keep_their_rate(autojump_clock: trio.abc.Clock) -> None:
    sent = []

    class Exchange:
        async def send(self, *chunks: bytes) -> None:
            sent.append((trio.current_time(), chunks))

    start = trio.current_time()
    step = scripted.tokens(3, rate=2)
    assert callable(step)
    await step(Exchange())  # type: ignore[arg-type]
    assert [(at - start, len(chunks)) for at, chunks in sent] == [(0, 1), (0.5, 1), (1.0, 1)]


async def connect(server: scripted.ScriptedServer) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", httpx.URL(server.base_url).port or 0)


def post(body: bytes = b"{}", length: int | None = None) -> bytes:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {length or len(body)}"
    return f"{head}\r\n\r\n".encode() + body


@pytest.mark.parametrize("answer", [[scripted.hang()], [b"", scripted.hang()]])
async def test_tells_when_the_client_left(answer: scripted.Answer) -> None:
    seen: list[RecordedRequest] = []
    asked = trio.Event()

    def play(request: RecordedRequest) -> scripted.Answer:
        seen.append(request)
        asked.set()
        return answer

    async with open_scripted_openai([play]) as server:
        async with await connect(server) as stream:
            await stream.send_all(post())
            await asked.wait()
        await seen[0].disconnected.wait()


async def test_tells_when_the_client_left_during_a_write() -> None:
    endless = [scripted.tokens(1 << 40)]
    async with open_scripted_openai([endless]) as server:
        async with await connect(server) as stream:
            await stream.send_all(post())
            await stream.receive_some(1)
        await server.requests[0].disconnected.wait()


async def test_a_request_may_come_during_an_answer() -> None:
    go_on = trio.Event()
    script: list[scripted.Answer] = [
        [b"", scripted.pause(go_on), scripted.end()],
        [scripted.status(204)],
    ]
    async with open_scripted_openai(script) as server, await connect(server) as stream:
        await stream.send_all(post())
        await stream.receive_some(1)
        await stream.send_all(post())
        await trio.testing.wait_all_tasks_blocked(0.01)
        go_on.set()
        received = b""
        while b"HTTP/1.1 204" not in received:
            received += await stream.receive_some()


@pytest.mark.parametrize(
    "data",
    [b"", b"nonsense\r\n\r\n", post(b"{", 9), post(b"x" * (17 << 20))],
    ids=["nothing", "nonsense", "a part of a body", "too much"],
)
async def test_a_bad_client_only_loses_its_connection(data: bytes) -> None:
    async with open_scripted_openai([]) as server, httpx.AsyncClient() as client:
        async with await connect(server) as stream:
            try:
                await stream.send_all(data)
                await stream.send_eof()
                assert await stream.receive_some() == b""
            except trio.BrokenResourceError:
                assert len(data) > 1 << 20
        assert (await client.get(f"{server.base_url}/models")).status_code == 200


def test_tool_calls_come_in_fragments() -> None:
    assert scripted.tool_call("a", "f", ["{", "}"], index=1) == [
        scripted.tool_fragment(1, id="a", name="f"),
        scripted.tool_fragment(1, arguments="{"),
        scripted.tool_fragment(1, arguments="}"),
    ]
    assert len(scripted.tool_call("a", "f")) == 2
    assert b'"reasoning_content": "hm"' in scripted.reasoning("hm")


async def test_sleep_goes_on_later(autojump_clock: trio.abc.Clock) -> None:
    step = scripted.sleep(5)
    assert callable(step)
    start = trio.current_time()
    await step(None)  # type: ignore[arg-type]
    assert trio.current_time() == start + 5


CALLED = {
    "role": "assistant",
    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "a", "content": "ok"}


@pytest.mark.parametrize(
    ("options", "messages", "refusal"),
    [
        ({}, [], None),
        ({"strict": True}, [CALLED, RESULT], None),
        ({"strict": True}, [], "empty array"),
        ({"wants_back": "reasoning_content"}, [], "empty array"),
        ({"wants_back": "reasoning_content"}, [CALLED, RESULT], "Missing `reasoning_content`"),
    ],
)
async def test_what_is_refused_takes_no_answer(
    options: Any, messages: list[Any], refusal: str | None
) -> None:
    script = [[scripted.text("a"), scripted.end()]]
    async with open_scripted_openai(script, **options) as server, httpx.AsyncClient() as client:
        url = f"{server.base_url}/chat/completions"
        if refusal is not None:
            refused = await client.post(url, json={"messages": messages})
            assert refused.status_code == 400
            assert refusal in refused.json()["error"]["message"]
            messages = [{"role": "user", "content": "Hi"}]
        assert (await client.post(url, json={"messages": messages})).status_code == 200


@pytest.mark.parametrize(
    ("wants_back", "said"),
    [
        (
            "reasoning_content",
            [scripted.reasoning("H"), scripted.reasoning("m."), scripted.tool_call("a", "look")],
        ),
        (
            "thought_signature",
            [
                scripted.tool_call("a", "look", thought_signature="c2ln"),
                scripted.tool_call("a", "look", index=1),
            ],
        ),
        (
            "reasoning_details",
            [
                scripted.reasoning_details({"type": "reasoning.text", "text": "H", "index": 0}),
                scripted.reasoning_details(
                    {"type": "reasoning.text", "text": "m.", "signature": "s", "index": 0}
                ),
                scripted.tool_call("a", "look"),
            ],
        ),
    ],
)
async def test_an_agent_brings_it_back(wants_back: Any, said: list[scripted.Step]) -> None:
    """Q05, Q06 and Q07, and the next turn with the same ids."""

    @tool
    async def look() -> str:
        """Look."""
        await trio.lowlevel.checkpoint()
        return "snow"

    loop: list[scripted.Answer] = [
        [*said, scripted.finish("tool_calls")],
        [scripted.text("Snow."), scripted.finish()],
    ]
    async with open_scripted_openai(loop * 2, wants_back=wants_back) as server:
        agent = Agent(model=OpenAIModel("m", base_url=server.base_url), tools=[look])
        first = await agent.run("Weather?")
        second = await agent.run("And now?", messages=first.messages)
    assert (first.text, second.text) == ("Snow.", "Snow.")
    assert len(server.requests) == 4
