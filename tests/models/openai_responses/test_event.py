"""One event of a streamed response."""

import json
from typing import Any

import msgspec
import pytest

from trio_agent.models.openai_responses._event import (
    Event,
    Response,
    decode_event,
    is_response,
    read_event,
    read_response,
)

LETTER = [
    {"type": "response.output_text.delta", "item_id": "m", "output_index": 1, "delta": "x"},
    {"type": "response.output_text.done", "content_index": 0, "text": "x"},
    {"type": "response.refusal.done", "refusal": "x"},
    {"type": "response.function_call_arguments.done", "arguments": "{}"},
    {"type": "response.output_item.done", "item": {"type": "message"}},
    {"type": "response.content_part.done", "part": {"type": "output_text"}},
    {
        "type": "response.completed",
        "response": {"status": "completed", "output": [], "store": True},
    },
]


@pytest.mark.parametrize("value", LETTER)
def test_both_ways_read_the_same(value: dict[str, Any]) -> None:
    assert decode_event(json.dumps(value)) == read_event(value, "message")
    assert not decode_event(json.dumps(value)).is_odd


@pytest.mark.parametrize(
    ("fields", "name", "meant"),
    [
        ({"delta": {"text": "x"}}, "delta", "x"),
        ({"delta": 7}, "delta", "7"),
        ({"output_index": "1"}, "output_index", 1),
        ({"output_index": "-1"}, "output_index", None),
        ({"summary_index": 2.0}, "summary_index", 2),
        ({"item_id": 7}, "item_id", "7"),
        ({"arguments": {"a": 1}}, "arguments", '{"a": 1}'),
        ({"item": []}, "item", None),
        ({"response": "x"}, "response", None),
    ],
)
def test_what_is_meant(fields: dict[str, Any], name: str, meant: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_event(json.dumps(fields))
    assert getattr(read_event(fields, "response.output_text.delta"), name) == meant


def test_arguments_as_a_delta() -> None:
    type_ = "response.function_call_arguments.delta"
    assert read_event({"delta": {"text": 1}}, type_).delta == '{"text": 1}'


@pytest.mark.parametrize("type_", [None, "", 7])
def test_the_type_of_the_server_sent_event_counts_if_there_is_no_other(type_: Any) -> None:
    assert read_event({"type": type_}, "response.completed").type == "response.completed"


@pytest.mark.parametrize(
    "event", [Event(), Event("error"), Event("ping"), Event("response.completed", error={})]
)
def test_odd_events(event: Event) -> None:
    assert event.is_odd


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"object": "response"}, True),
        ({"output": []}, True),
        ({"type": "response.completed", "object": "response"}, False),
        ({"type": "message"}, False),
        ({}, False),
    ],
)
def test_whole_responses(value: dict[str, Any], expected: bool) -> None:
    assert is_response(value) is expected


def test_a_whole_response() -> None:
    assert read_response({"status": 1, "x": 2}) == Response(status=1)
    assert read_response([]) is None
