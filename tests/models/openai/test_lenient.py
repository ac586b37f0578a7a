"""Chunks that are not written to the letter."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from trio_agent.models._provider._json import parse_json
from trio_agent.models.openai._chunk import (
    NOTHING,
    REASONING_NAMES,
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
from trio_agent.models.openai._lenient import read_chunk

COUNTS = st.none() | st.integers(0, 2**53)
WORDS = st.none() | st.text(max_size=4)
FUNCTIONS = st.builds(Function, WORDS, WORDS)
RAW = st.just(NOTHING) | st.builds(
    lambda value: msgspec.Raw(msgspec.json.encode(value)),
    st.dictionaries(st.text(max_size=4), st.lists(st.integers(0, 9), max_size=2), min_size=1),
)
CALLS = st.builds(ToolCall, COUNTS, st.text(min_size=1, max_size=4), FUNCTIONS, RAW)
DELTAS = st.builds(
    Delta,
    *(st.text(max_size=4), WORDS, WORDS, WORDS, st.lists(CALLS, max_size=2)),
    reasoning_text=WORDS,
    thinking=WORDS,
    reasoning_details=RAW,
    reasoning_opaque=WORDS,
    extra_content=RAW,
)
DETAILS = st.none() | st.builds(Details, COUNTS, COUNTS)
USAGE = st.none() | st.builds(Counts, *[COUNTS] * 7, DETAILS, DETAILS)
REASONS = st.none() | st.text(min_size=1, max_size=4)
CHOICES = st.builds(Choice, st.integers(0, 2**53), DELTAS, REASONS, USAGE)


def as_json(value: Any) -> Any:
    if hasattr(value, "__struct_fields__"):
        fields = {name: as_json(getattr(value, name)) for name in value.__struct_fields__}
        fields.pop("error", None)
        return fields
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value) if value else None
    return [as_json(item) for item in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(
    st.builds(
        Chunk,
        st.lists(CHOICES, max_size=2),
        USAGE,
        x_groq=st.none() | st.builds(Groq, USAGE, WORDS),
    )
)
def test_a_chunk_to_the_letter_means_what_it_says(chunk: Chunk) -> None:
    text = json.dumps(as_json(chunk))
    read = read_chunk(parse_json(text))
    assert as_json(read) == as_json(decode_chunk(text)) == as_json(chunk)


def delta(value: Any) -> Delta:
    [choice] = read_chunk({"choices": [{"delta": value}]}).choices or []
    assert choice.delta is not None
    return choice.delta


WRONG: list[Any] = [None, True, False, 0, -1, 1.5, "", "x", [], ["x"], [[]], {}, {"x": "y"}]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize(
    "path",
    [
        "id", "object", "usage", "usage.prompt_tokens", "usage.total_tokens",
        "choice.index", "choice.usage", "choice.usage.prompt_tokens", "choice.logprobs",
        "delta.role", "delta.refusal", "delta.reasoning", "delta.reasoning_content",
        "delta.reasoning_text", "delta.thinking", "delta.reasoning_details",
        "delta.reasoning_opaque", "delta.extra_content", "x_groq", "x_groq.usage", "x_groq.error",
        "usage.prompt_tokens_details", "usage.completion_tokens_details",
        "usage.completion_tokens_details.reasoning_tokens", "usage.prompt_cache_hit_tokens",
    ],
)  # fmt: skip
def test_the_answer_survives_any_field_that_it_can_do_without(path: str, wrong: Any) -> None:
    inner: dict[str, Any] = {"content": "Hello."}
    choice: dict[str, Any] = {"index": 0, "delta": inner, "finish_reason": "stop"}
    value: dict[str, Any] = {"choices": [choice]}
    *folders, name = path.split(".")
    place: Any = value
    for folder in folders:
        named = {"choice": choice, "delta": inner}.get(folder)
        place = place.setdefault(folder, {}) if named is None else named
    place[name] = wrong
    [read] = read_chunk(value).choices or []
    assert read.delta is not None
    assert (read.delta.content, read.finish_reason) == ("Hello.", "stop")
    assert read.index == 0


@pytest.mark.parametrize(
    ("content", "text", "reasoning"),
    [
        ("a", "a", ""),
        (None, "", ""),
        (False, "", ""),
        ([], "", ""),
        ({}, "", ""),
        (0, "0", ""),
        (1.5, "1.5", ""),
        (["a", {"text": "b"}, {"type": "output_text", "text": "c"}, None], "abc", ""),
        ({"type": "text", "text": "a"}, "a", ""),
        ({"type": "text", "text": {"value": "a"}}, "a", ""),
        ([{"type": "refusal", "refusal": "No."}], "No.", ""),
        ([{"type": "image_url", "image_url": {}}, {"type": "reference", "text": "x"}], "", ""),
        ([{"type": "thinking", "thinking": "a"}, {"type": "text", "text": "b"}], "b", "a"),
        ([{"type": "reasoning", "summary": [{"text": "a"}, {"text": "b"}]}], "", "ab"),
        ([{"type": "thinking", "signature": "x"}], "", ""),
        ([{"type": "text", "text": None}, {"type": None, "text": "a"}], "a", ""),
        ({"type": [], "text": "a"}, "a", ""),
        ([{"type": "markdown", "text": "a"}, {"type": "chart"}], "a", ""),
    ],
)
def test_content(content: Any, text: str, reasoning: str) -> None:
    read = delta({"content": content})
    assert (read.content, read.reasoning_in_content or "") == (text, reasoning)
    assert read.reasoning_content is None


@pytest.mark.parametrize(
    ("reasoning", "text"),
    [("a", "a"), ({"text": "a"}, "a"), ({"content": "a"}, "a"), ({"effort": "high"}, None),
     (["a", {"text": "b"}], "ab"), (True, None)],
)  # fmt: skip
def test_reasoning(reasoning: Any, text: str | None) -> None:
    for name in REASONING_NAMES[:-1]:
        assert getattr(delta({name: reasoning}), name) == text


@pytest.mark.parametrize(("value", "content"), [("a", "a"), ([], None), (7, None), (None, None)])
def test_a_delta_that_is_no_object(value: Any, content: str | None) -> None:
    assert delta(value).content == content


CALL = ToolCall(1, "a", Function("f", "{}"))


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        ({"index": "1", "id": "a", "function": {"name": "f", "arguments": "{}"}}, CALL),
        ({"index": 1.0, "id": "a", "function": {"name": "f", "arguments": {}}}, CALL),
        ({"index": 1, "id": "a", "name": "f", "arguments": "{}"}, CALL),
        ({"index": -1, "id": 7}, ToolCall(None, "7", Function())),
        ({"index": "x", "id": [], "function": {"name": 7}}, ToolCall(None, None, Function("7"))),
        ({"index": True, "id": True}, ToolCall(None, None, Function())),
        ({"id": "\ud83d"}, ToolCall(None, "?", Function())),
        ({"function": {"arguments": [1, "é"]}}, ToolCall(function=Function(None, '[1, "é"]'))),
        ({"function": {"arguments": 7}}, ToolCall(function=Function(None, "7"))),
    ],
)  # fmt: skip
def test_tool_calls(call: Any, meant: ToolCall) -> None:
    assert delta({"tool_calls": [None, call]}).tool_calls == [meant]
    assert delta({"tool_calls": call}).tool_calls == [meant]


@pytest.mark.parametrize(
    "value",
    [
        {"content": True},
        {"content": {"answer": 7}},
        {"content": [[{"x": 1}, True], {"y": 1}]},
        {"tool_calls": "f"},
        {"tool_calls": [7]},
        {"tool_calls": [{"function": "f"}]},
        {"function_call": "f"},
    ],
)
def test_what_has_no_single_meaning_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        delta(value)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (7, 7), (7.0, 7), ("7", 7), ("7.0", 7), (" 7 ", 7), (2**53, 2**53),
        (-1, None), (1.5, None), ("x", None), ("", None), ("inf", None), (2**60, None),
        (math.nan, None), (math.inf, None), (True, None), ([7], None), (None, None),
    ],
)  # fmt: skip
def test_counts(value: Any, meant: int | None) -> None:
    read = read_chunk({"usage": {"prompt_tokens": value}})
    assert read.usage == Counts(meant)


@pytest.mark.parametrize(
    ("reason", "name"),
    [("stop", "stop"), ("", None), (None, None), (False, None), ({"type": "stop"}, "stop"),
     ({"reason": "length"}, "length"), ({}, None), (7, "7")],
)  # fmt: skip
def test_finish_reasons(reason: Any, name: str | None) -> None:
    [choice] = read_chunk({"choices": {"finish_reason": reason, "delta": {}}}).choices or []
    assert choice.finish_reason == name


def test_a_message_is_the_answer_if_there_is_no_delta() -> None:
    for choice in ({"message": {"content": "a"}}, {"delta": {}, "message": {"content": "a"}}):
        for whole, content in ((True, "a"), (False, "")):
            [read] = read_chunk({"choices": [choice]}, whole=whole).choices or []
            assert read.delta is not None
            assert (read.delta.content or "") == content
    beside = {"delta": {"content": "a"}, "message": {"content": "ab"}}
    [read] = read_chunk({"choices": [beside]}, whole=True).choices or []
    assert read.delta == Delta("a", tool_calls=[])


@pytest.mark.parametrize("value", [{}, {"choices": None}, {"choices": "x"}, {"choices": [None]}])
def test_no_choices(value: Any) -> None:
    assert read_chunk(value).choices == []
