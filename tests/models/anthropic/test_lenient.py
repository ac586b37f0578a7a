"""Events that are not written to the letter."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from trio_agent._errors import ModelError
from trio_agent.models._provider._json import parse_json
from trio_agent.models.anthropic._event import (
    DELTAS,
    Counts,
    Delta,
    Details,
    Event,
    Message,
    decode_event,
)
from trio_agent.models.anthropic._lenient import read_block, read_events

COUNTS = st.integers(0, 2**53)
TEXTS = st.text(max_size=4)
OBJECTS = st.dictionaries(st.text(max_size=2), st.integers(), max_size=2)
USAGE = st.builds(Counts, COUNTS, COUNTS, COUNTS, COUNTS, st.builds(Details, COUNTS))
EVENTS = st.one_of(
    st.builds(Event, st.just("message_start"), message=st.builds(Message, USAGE, OBJECTS)),
    st.builds(Event, st.just("content_block_start"), COUNTS,
              st.fixed_dictionaries({"type": st.sampled_from(["text", "news"]), "text": TEXTS})),
    st.builds(Event, st.just("content_block_delta"), COUNTS, delta=st.builds(
        Delta, st.sampled_from(sorted(DELTAS)), TEXTS, TEXTS, TEXTS, TEXTS, OBJECTS)),
    st.builds(Event, st.just("content_block_stop"), COUNTS),
    st.builds(Event, st.just("message_delta"), usage=USAGE, delta=st.builds(
        Delta, stop_reason=st.text(min_size=1, max_size=4), container=OBJECTS)),
    st.builds(Event, st.sampled_from(["message_stop", "ping"])),
)  # fmt: skip


def as_json(value: Any) -> Any:
    if hasattr(value, "__struct_fields__"):
        fields = {name: as_json(getattr(value, name)) for name in value.__struct_fields__}
        return {name: each for name, each in fields.items() if name not in ("error", "other")}
    return value


@settings(deadline=None)
@given(EVENTS)
def test_an_event_to_the_letter_means_what_it_says(event: Event) -> None:
    text = json.dumps(as_json(event))
    [read] = read_events(parse_json(text))
    assert as_json(read) == as_json(decode_event(text)) == as_json(event)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda each: st.lists(each, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["type", "index", "delta", "content_block", "message", "usage", "text", "content",
             "role", "stop_reason", "container", "thinking", "partial_json", "input_tokens"]
        ),
        each,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.text(max_size=3) | st.just("delta"), JSON), JSON, st.text(max_size=3))
def test_nothing_but_value_errors(value: Any, more: Any, type_: str) -> None:
    for each in (value, {"type": "content_block_delta", "delta": more}, more):
        if isinstance(each, dict):
            with suppress(ValueError, ModelError):
                list(read_events(each, type_))


@pytest.mark.parametrize(
    ("value", "type_", "expected"),
    [
        ({"index": 0}, "content_block_stop", "content_block_stop"),
        ({"type": "", "index": 0}, "content_block_stop", "content_block_stop"),
        ({"type": "ping"}, "content_block_stop", "ping"),
        ({"content_block": {"type": "text"}}, "message", "content_block_start"),
        ({"delta": {"text": "a"}}, "message", "content_block_delta"),
        ({"delta": {"stop_reason": None}}, "message", "message_delta"),
        ({"usage": {"output_tokens": 1}}, "message", "message_delta"),
    ],
)
def test_types_that_are_missing(value: Any, type_: str, expected: str) -> None:
    [event] = read_events(value, type_)
    assert event.type == expected


@pytest.mark.parametrize("value", [{}, {"type": "news"}, {"id": 1}, {"delta": None}])
def test_what_means_nothing(value: Any) -> None:
    assert list(read_events(value)) == []


def test_a_chat_completion_is_another_api() -> None:
    with pytest.raises(ModelError, match="OpenAIModel"):
        list(read_events({"choices": []}))


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ("a", Delta("text_delta", "a")),
        ({"text": "a"}, Delta("text_delta", "a")),
        ({"type": "text_delta", "text": ["a", 1]}, Delta("text_delta", "a1")),
        ({"thinking": "h"}, Delta("thinking_delta", thinking="h")),
        ({"partial_json": {"a": 1}}, Delta("input_json_delta", partial_json='{"a": 1}')),
        ({"type": "citations_delta", "citation": [1]}, Delta("citations_delta")),
        ({"type": "news_delta", "x": 1}, Delta("news_delta", other={"type": "news_delta", "x": 1})),
        ([1], None),
    ],
)
def test_deltas(delta: Any, expected: Delta | None) -> None:
    [event] = read_events({"type": "content_block_delta", "index": "2", "delta": delta})
    assert (event.index, event.delta) == (2, expected)


def test_text_that_can_not_be_told() -> None:
    with pytest.raises(ValueError, match="no text"):
        list(read_events({"type": "content_block_delta", "delta": {"text": {"x": 1}}}))


@pytest.mark.parametrize(
    ("value", "block"),
    [
        ("a", {"type": "text", "text": "a"}),
        ({"text": "a"}, {"type": "text", "text": "a"}),
        ({"thinking": "h"}, {"type": "thinking", "thinking": "h"}),
        ({"name": "f"}, {"type": "tool_use", "name": "f"}),
        ({"data": "d", "type": None}, {"type": "redacted_thinking", "data": "d"}),
        ({"type": "news"}, {"type": "news"}),
    ],
)
def test_blocks(value: Any, block: dict[str, Any]) -> None:
    assert read_block(value) == block


@pytest.mark.parametrize("value", [None, 7, [1]])
def test_no_blocks(value: Any) -> None:
    with pytest.raises(ValueError, match="no object"):
        read_block(value)


@pytest.mark.parametrize("reason", ["end_turn", {"type": "end_turn"}, {"reason": "end_turn"}])
def test_reasons(reason: Any) -> None:
    [event] = read_events({"type": "message_delta", "delta": {"stop_reason": reason}})
    assert event.delta == Delta(stop_reason="end_turn")


def test_a_whole_message_is_the_events_that_it_would_have_been() -> None:
    value = {"type": "message", "content": "a", "stop_reason": "end_turn", "usage": []}
    assert list(read_events(value)) == [
        Event("message_start", message=Message()),
        Event("content_block_start", 0, {"type": "text", "text": "a"}),
        Event("content_block_stop", 0),
        Event("message_delta", delta=Delta(stop_reason="end_turn")),
        Event("message_stop"),
    ]
