"""The strict and fast way to read a chunk."""

import json
from typing import Any

import msgspec
import pytest

from trio_agent.models.openai._chunk import (
    Choice,
    Chunk,
    Counts,
    Delta,
    Details,
    Function,
    Groq,
    ToolCall,
    decode_chunk,
)

CHOICE = {"index": 0, "delta": {"content": "a"}, "finish_reason": None}


def test_what_is_read() -> None:
    function = {"name": "f", "arguments": "{"}
    delta: dict[str, Any] = {
        "role": "assistant",
        "content": "a",
        "refusal": "b",
        "reasoning_content": "c",
        "reasoning": "d",
        "tool_calls": [{"index": 1, "id": "e", "type": "function", "function": function}],
        "function_call": function,
        "images": [1],
        "reasoning_text": "x",
        "thinking": "y",
        "reasoning_details": [{"type": "reasoning.text"}],
        "reasoning_opaque": "z",
        "extra_content": {"google": {}},
    }
    delta["tool_calls"][0]["extra_content"] = {"google": {"thought_signature": "s"}}
    details = {"cached_tokens": 4, "reasoning_tokens": 5}
    counts = {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 3,
        "details": {},
        "prompt_cache_hit_tokens": 6,
        "cached_tokens": 7,
        "prompt_tokens_details": details,
        "completion_tokens_details": details,
    }
    choice = {"index": 2, "delta": delta, "finish_reason": "stop", "usage": counts}
    groq = {"usage": counts, "error": "e"}
    text = json.dumps({"id": "x", "choices": [choice], "usage": counts, "x_groq": groq})
    function_read = Function("f", "{")
    extra = msgspec.Raw(b'{"google": {"thought_signature": "s"}}')
    call = ToolCall(1, "e", function_read, extra)
    read = Delta(
        *("a", "b", "c", "d", [call], function_read, "x", "y", None, None),
        *(msgspec.Raw(b'[{"type": "reasoning.text"}]'), "z", msgspec.Raw(b'{"google": {}}')),
    )
    chunk = decode_chunk(text)
    tokens = Counts(1, 2, 3, None, None, 6, 7, Details(4, 5), Details(4, 5))
    assert chunk.choices == [Choice(2, read, "stop", tokens)]
    assert chunk.usage == tokens
    assert chunk.x_groq == Groq(tokens, "e")
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
        ({"choices": [], "x_groq": {"id": "a"}}, False),
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
