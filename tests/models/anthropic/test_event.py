"""Events to the letter, and which of them may mean more."""

import json
from typing import Any

import pytest

from trio_agent.models.anthropic._event import Counts, Delta, Event, decode_event

BLOCK = {"type": "text", "text": ""}


@pytest.mark.parametrize(
    ("value", "event"),
    [
        ({"type": "ping"}, Event("ping")),
        ({"type": "content_block_stop", "index": 3}, Event("content_block_stop", 3)),
        ({"type": "content_block_start", "index": 0, "content_block": BLOCK, "more": [1]},
         Event("content_block_start", 0, BLOCK)),
        ({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
         Event("content_block_delta", 0, delta=Delta("text_delta", "a"))),
        ({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
          "usage": {"output_tokens": 3, "server_tool_use": {}}},
         Event("message_delta", delta=Delta(stop_reason="end_turn"),
               usage=Counts(output_tokens=3))),
    ],
)  # fmt: skip
def test_to_the_letter(value: Any, event: Event) -> None:
    decoded = decode_event(json.dumps(value))
    assert decoded == event
    assert not decoded.is_odd


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"type": "news"},
        {"type": "message", "content": []},
        {"type": "error", "error": {"message": "no"}},
        {"type": "ping", "error": {"message": "no"}},
        {"type": "content_block_delta"},
        {"type": "content_block_delta", "delta": {"text": "a"}},
        {"type": "content_block_delta", "delta": {"type": "news_delta"}},
        {"type": "content_block_start"},
        {"type": "content_block_start", "content_block": {"text": "a"}},
        {"type": "content_block_start", "content_block": {"type": 3}},
    ],
)
def test_odd_ones(value: Any) -> None:
    assert decode_event(json.dumps(value)).is_odd


@pytest.mark.parametrize("error", [None])
def test_an_error_that_is_none(error: Any) -> None:
    assert not decode_event(json.dumps({"type": "ping", "error": error})).is_odd


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "7",
        '{"type": 3}',
        '{"index": -1}',
        '{"index": "0"}',
        '{"delta": {"text": 7}}',
        '{"delta": {"text": "\\ud83d"}}',
        '{"usage": {"output_tokens": 1.5}}',
        '{"content_block": [1]}',
        '{"message": 7}',
    ],
)
def test_what_is_no_event_to_the_letter(text: str) -> None:
    with pytest.raises(ValueError):
        decode_event(text)
