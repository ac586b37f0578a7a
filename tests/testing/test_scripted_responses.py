"""The scripted provider of Responses: its steps on a real socket, and what it refuses."""

import json
from typing import Any

import httpx
import pytest

from trio_agent.testing import openai_responses as scripted
from trio_agent.testing.openai_responses import open_scripted_responses
from trio_agent.wire._sse import SSEDecoder

ASK = {"model": "m", "input": "Hi", "stream": True}


async def answer(*steps: scripted.ResponseStep, **fields: Any) -> list[dict[str, Any]]:
    async with open_scripted_responses([steps]) as server, httpx.AsyncClient() as client:
        response = await client.post(f"{server.base_url}/responses", json={**ASK, **fields})
    assert response.headers["content-type"] == "text/event-stream"
    return [json.loads(event.data) for event in SSEDecoder().feed(response.content)]


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


async def test_the_stream_is_as_it_is_documented() -> None:
    events = await answer(
        scripted.reasoning("Hm."),
        [scripted.text("a", "b"), scripted.tool_call("c", "f", ["{", "}"])],
        scripted.finish(input_tokens=1, output_tokens=2),
    )
    assert types(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [e["output_index"] for e in events if "output_index" in e] == [0] * 6 + [1] * 7 + [2] * 5
    response = events[-1]["response"]
    assert response["output"] == [e["item"] for e in events if e["type"].endswith("item.done")]
    assert response["usage"]["total_tokens"] == 3


@pytest.mark.parametrize(
    ("step", "kinds"),
    [
        (scripted.refusal("No."), ["refusal.delta", "refusal.done"]),
        (scripted.reasoning(content="Hm."), ["reasoning_text.delta", "reasoning_text.done"]),
        (scripted.item("web_search_call"), []),
        (scripted.event("response.queued"), ["queued"]),
        (scripted.incomplete(), ["incomplete"]),
        (scripted.failed(), ["failed"]),
        (scripted.error("server_error", "Oops"), ["error"]),
        (scripted.tokens(3, rate=1000.0), ["output_text.delta"] * 3 + ["output_text.done"]),
    ],
)
async def test_steps(step: scripted.ResponseStep, kinds: list[str]) -> None:
    frame = ("created", "in_progress", "output_item", "content_part")
    assert [each for each in types(await answer(step)) if not each.startswith(frame)] == kinds


async def test_what_is_refused_costs_no_answer() -> None:
    script = [[scripted.text("a"), scripted.finish()]]
    async with open_scripted_responses(script) as server, httpx.AsyncClient() as client:
        url = f"{server.base_url}/responses"
        refused = await client.post(url, json={**ASK, "x": 1})
        first = await client.post(url, json=ASK)
        none_left = await client.post(url, json=ASK)
        models = await client.get(f"{server.base_url}/models")
        other = await client.post(f"{server.base_url}/chat/completions", json=ASK)
    assert refused.status_code == 400
    assert refused.json()["error"] == {
        "message": "Unknown parameter: 'x'.",
        "type": "invalid_request_error",
        "param": "x",
        "code": "unknown_parameter",
    }
    assert b"response.completed" in first.content
    assert none_left.json()["error"]["message"] == "the script has no more answers"
    assert models.json()["data"][0]["id"] == "scripted"
    assert other.status_code == 404


async def test_it_knows_what_it_gave() -> None:
    script = [
        lambda request: [scripted.reasoning(), scripted.text(request.body["input"][0]["content"])],
        [scripted.finish()],
    ]
    message = {"type": "message", "role": "user", "content": "Hi"}
    body = {**ASK, "store": False, "include": ["reasoning.encrypted_content"], "input": [message]}
    async with open_scripted_responses(script) as server, httpx.AsyncClient() as client:
        url = f"{server.base_url}/responses"
        first = await client.post(url, json=body)
        values = [json.loads(event.data) for event in SSEDecoder().feed(first.content)]
        items = [value["item"] for value in values if value["type"].endswith("item.done")]
        assert items[1]["content"][0]["text"] == "Hi"
        with_ids = await client.post(url, json={**body, "input": [message, *items]})
        for item in items:
            del item["id"]
        altered = {**items[0], "encrypted_content": items[0]["encrypted_content"] + "x"}
        refused = await client.post(url, json={**body, "input": [message, altered, items[1]]})
        taken = await client.post(url, json={**body, "input": [message, *items]})
    assert with_ids.status_code == 404
    assert refused.json()["error"]["code"] == "invalid_encrypted_content"
    assert taken.status_code == 200
