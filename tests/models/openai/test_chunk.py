"""The strict and fast way to read a chunk."""

import json
from typing import Any

import pytest

from trio_agent.models.openai._chunk import (
    Choice,
    Chunk,
    Counts,
    Delta,
    Function,
    ToolCall,
    decode_chunk,
)

CHOICE = {"index": 0, "delta": {"content": "a"}, "finish_reason": None}


def test_what_is_read() -> None:
    function = {"name": "f", "arguments": "{"}
    delta = {
        "role": "assistant",
        "content": "a",
        "refusal": "b",
        "reasoning_content": "c",
        "reasoning": "d",
        "tool_calls": [{"index": 1, "id": "e", "type": "function", "function": function}],
        "function_call": function,
        "images": [1],
    }
    counts = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "details": {}}
    choice = {"index": 2, "delta": delta, "finish_reason": "stop", "usage": counts}
    text = json.dumps({"id": "x", "choices": [choice], "usage": counts})
    call = Function("f", "{")
    read = Delta("a", "b", "c", "d", [ToolCall(1, "e", call)], call)
    chunk = decode_chunk(text)
    assert chunk.choices == [Choice(2, read, "stop", Counts(1, 2, 3))]
    assert chunk.usage == Counts(1, 2, 3)
    assert not chunk.is_odd


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"choices":[{"delta":{"content":7}}]}',
        '{"usage":{"prompt_tokens":-1}}',
        '{"usage":{"prompt_tokens":9007199254740993}}',
        '{"choices":[{"delta":{"content":"\\ud800"}}]}',
    ],
)
def test_what_is_not_to_the_letter(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_chunk(text)


@pytest.mark.parametrize(
    ("value", "odd"),
    [
        ({"choices": [CHOICE]}, False),
        ({"choices": [CHOICE], "error": None}, False),
        ({"choices": [CHOICE | {"error": None}]}, False),
        ({"choices": [], "usage": {}}, False),
        ({"choices": [CHOICE], "error": {}}, True),
        ({"choices": [CHOICE | {"error": "no"}]}, True),
        ({"choices": [{"message": {"content": "a"}}]}, True),
        ({"choices": []}, True),
        ({"base_resp": {}}, True),
        ({}, True),
    ],
)
def test_what_may_mean_more(value: Any, odd: bool) -> None:
    assert decode_chunk(json.dumps(value)).is_odd is odd


def test_nothing_is_odd() -> None:
    assert Chunk().is_odd
