"""The scripted provider as it answers, byte by byte, without a client of ours."""

import itertools
import json
from typing import Any

import httpx
import pytest
import trio

from trio_agent.testing import anthropic as scripted
from trio_agent.testing.anthropic import RecordedRequest, open_scripted_anthropic
from trio_agent.wire._sse import SSEDecoder

BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "q"}]}
HEADERS = {"anthropic-version": "2023-06-01"}


async def post(server: scripted.ScriptedServer, **fields: Any) -> httpx.Response:
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        url = f"{server.base_url}/v1/messages"
        return await client.post(url, json=BODY | fields, headers=HEADERS)


async def events(*answer: scripted.Step) -> list[dict[str, Any]]:
    async with open_scripted_anthropic([answer]) as server:
        response = await post(server)
    assert response.status_code == 200
    read = SSEDecoder().feed(response.content)
    values = [json.loads(each.data) for each in read]
    assert [each.event for each in read] == [value["type"] for value in values]
    return values


async def test_the_documented_stream() -> None:
    got = await events(
        scripted.start(25, cache_read_input_tokens=3, container={"id": "c"}),
        scripted.ping(),
        scripted.thinking("a", "b"),
        scripted.redacted_thinking(),
        [scripted.text("Hello", "!", citations=[{"type": "web"}])],
        scripted.tool_use("toolu_1", "f", ['{"x":', "1}"]),
        scripted.tool_use("srvtoolu_1", "web_search", type="server_tool_use"),
        scripted.block({"type": "web_search_tool_result", "tool_use_id": "s", "content": []}),
        scripted.finish("tool_use", 15),
    )
    types = [value["type"] for value in got]
    assert [types[0], types[1], types[-2], types[-1]] == [
        "message_start", "ping", "message_delta", "message_stop",
    ]  # fmt: skip
    assert got[0]["message"]["usage"]["input_tokens"] == 25
    assert got[0]["message"]["container"] == {"id": "c"}
    assert got[0]["message"]["model"] == "m"
    assert got[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert got[-2]["usage"] == {"output_tokens": 15}
    starts = [value for value in got if value["type"] == "content_block_start"]
    assert [value["index"] for value in starts] == list(range(6))
    assert [value["content_block"]["type"] for value in starts] == [
        "thinking", "redacted_thinking", "text", "tool_use", "server_tool_use",
        "web_search_tool_result",
    ]  # fmt: skip
    deltas = [v["delta"] for v in got if v["type"] == "content_block_delta"]
    assert [each["type"] for each in deltas] == [
        *("thinking_delta", "thinking_delta", "signature_delta", "citations_delta", "text_delta"),
        *("text_delta", "input_json_delta", "input_json_delta", "input_json_delta"),
        *("input_json_delta", "input_json_delta"),
    ]
    assert types.count("content_block_stop") == 6


async def test_what_is_not_said_is_said_by_itself() -> None:
    got = await events(scripted.text("a"), scripted.finish())
    assert got[0]["type"] == "message_start"
    assert got[-1] == {"type": "message_stop"}


async def test_many_words() -> None:
    got = await events(scripted.tokens(200), scripted.tokens(2, rate=1000), scripted.finish())
    words = [v["delta"]["text"] for v in got if v["type"] == "content_block_delta"]
    assert words == [f"word{n} " for n in [*range(200), 0, 1]]


async def test_raw_bytes_are_sent_as_they_are() -> None:
    async with open_scripted_anthropic([[b"data: x\n\n", scripted.end()]]) as server:
        assert (await post(server)).content == b"data: x\n\n"


async def test_a_script_may_look_at_the_request_and_be_infinite() -> None:
    def answer(request: RecordedRequest) -> scripted.Answer:
        return [scripted.text(request.body["messages"][0]["content"]), scripted.finish()]

    async with open_scripted_anthropic(itertools.repeat(answer)) as server:
        for _ in range(2):
            assert b'"text": "q"' in (await post(server)).content
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("answer", "code", "type_"),
    [
        ([scripted.refuse(529, "overloaded_error", "Overloaded", retry_after="3")], 529,
         "overloaded_error"),
        (None, 400, "invalid_request_error"),
    ],
)  # fmt: skip
async def test_errors_have_the_documented_body(answer: Any, code: int, type_: str) -> None:
    async with open_scripted_anthropic([answer] if answer else []) as server:
        response = await post(server)
    assert response.status_code == code
    body = response.json()
    assert body["type"] == "error"
    assert body["error"]["type"] == type_
    assert body["error"]["message"]
    assert body["request_id"]
    assert response.headers.get("retry-after") == ("3" if answer else None)


async def test_a_refused_request_takes_no_answer() -> None:
    async with open_scripted_anthropic([[scripted.text("a"), scripted.finish()]]) as server:
        response = await post(server, messages=[])
        assert response.status_code == 400
        assert response.json()["error"]["message"].startswith("messages: at least one")
        assert (await post(server)).status_code == 200


async def test_models_and_what_there_is_not() -> None:
    async with open_scripted_anthropic([]) as server, httpx.AsyncClient(trust_env=False) as client:
        models = await client.get(f"{server.base_url}/v1/models?limit=1")
        assert models.json()["data"][0]["id"] == "scripted"
        missing = await client.get(f"{server.base_url}/v1/nothing")
        assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")


async def test_started_in_a_nursery() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            scripted.serve_scripted_anthropic, [[scripted.text("a"), scripted.finish()]]
        )
        assert (await post(server)).status_code == 200
        nursery.cancel_scope.cancel()
