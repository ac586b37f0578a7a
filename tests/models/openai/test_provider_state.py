"""What a provider wants back: what is kept of an answer, and where it goes in the next request."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from trio_agent._events import ToolRequest
from trio_agent._messages import AssistantMessage
from trio_agent.models.openai._chunk import NOTHING, REASONING_NAMES, Delta
from trio_agent.models.openai._provider_state import ProviderState, restore_state


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


SIGNED = {"google": {"thought_signature": "c2ln"}}
BLOCK = {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "index": 0}
PLAIN = ("f", NOTHING)


def kept(*deltas: Delta, calls: Iterable[tuple[str, msgspec.Raw]]) -> dict[str, Any]:
    state = ProviderState()
    for delta in deltas:
        said = (getattr(delta, name) for name in REASONING_NAMES)
        state.feed(delta, next(filter(None, said), None))
    return state.finish(calls)


@pytest.mark.parametrize(
    ("deltas", "calls", "state"),
    [
        ([], [], {}),
        ([Delta("Hi")], [PLAIN], {}),
        ([Delta(reasoning_content="Hm.")], [], {"reasoning": "reasoning_content"}),
        ([Delta(reasoning="Hm.")], [], {"reasoning": "reasoning"}),
        ([Delta(thinking="Hm."), Delta(thinking="")], [PLAIN], {"reasoning": "thinking"}),
        ([Delta(reasoning_content="", reasoning="Hm.")], [], {"reasoning": "reasoning_content"}),
        # Thinking is on, although it thought nothing: DeepSeek wants the field all the same.
        ([Delta(reasoning_content="")], [PLAIN], {"reasoning": "reasoning_content"}),
        ([Delta(reasoning_content="")], [], {}),
        (
            [Delta(reasoning="Hm.", reasoning_details=raw([BLOCK]))],
            [PLAIN],
            {"reasoning": "reasoning", "reasoning_details": [BLOCK], "calls": [{"name": "f"}]},
        ),
        (
            [],
            [("f", raw(SIGNED)), ("g", NOTHING)],
            {"calls": [{"name": "f", "extra_content": SIGNED}, {"name": "g"}]},
        ),
        ([Delta("a", extra_content=raw(SIGNED))], [], {"extra_content": SIGNED, "calls": []}),
        (
            [Delta(reasoning_in_content="Hm.", part_type="thinking")],
            [],
            {"reasoning": "reasoning_in_content"},
        ),
        ([Delta(reasoning_in_content="Hm.", part_type="reasoning")], [PLAIN], {}),
        ([Delta("a", extra_content=raw({"google": {"thought": True}}))], [], {}),
        ([Delta("a", extra_content=raw(["x"]))], [("f", raw(None))], {}),
        (
            [Delta(reasoning_text="Hm."), Delta(reasoning_opaque="x")],
            [PLAIN],
            {"reasoning": "reasoning_text", "reasoning_opaque": "x", "calls": [{"name": "f"}]},
        ),
    ],
)
def test_what_is_kept(deltas: list[Delta], calls: Any, state: dict[str, Any]) -> None:
    assert kept(*deltas, calls=calls) == state


@pytest.mark.parametrize(
    "details",
    [
        msgspec.Raw(b"[" * 10_000),
        msgspec.Raw(b'["\\ud800"]'),
        msgspec.Raw(b"[Infinity]"),
        msgspec.Raw(b"[" * 200 + b"]" * 200),
        msgspec.Raw(b"[" + b"[]," * (1 << 19) + b"[]]"),
        raw(["x" * (4 << 20)]),
    ],
    ids=["none", "half a pair", "no number", "deep", "many", "large"],
)
def test_rather_none_goes_back_than_a_part(details: msgspec.Raw) -> None:
    deltas = [
        Delta(reasoning="a", reasoning_details=raw([BLOCK])),
        Delta(reasoning_details=details),
    ]
    assert kept(*deltas, calls=[("f", raw(SIGNED))]) == {"reasoning": "reasoning"}


HERE = "openai@here"
CALLED = (ToolRequest("a", "f", {}), ToolRequest("b", "g", {}))


def restored(
    state: Any, *, calls: tuple[ToolRequest, ...] = CALLED, calling: bool = True, at: str = HERE
) -> dict[str, Any]:
    """What a message has besides what it says anyway."""
    message = AssistantMessage("Hi", calls, "Hm.", {HERE: state})
    encoded: dict[str, Any] = {"content": "Hi"}
    restore_state(encoded, message, at, calling=calling)
    return {name: value for name, value in encoded.items() if value != "Hi"}


@pytest.mark.parametrize(
    ("state", "fields"),
    [
        ({}, {}),
        ({"reasoning": "reasoning_content"}, {"reasoning_content": "Hm."}),
        ({"reasoning": "reasoning"}, {"reasoning": "Hm."}),
        ({"reasoning": "content"}, {}),
        (
            {"reasoning": "reasoning", "reasoning_details": [BLOCK]},
            {"reasoning_details": [BLOCK]},
        ),
        (
            {"reasoning": "reasoning_in_content"},
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                    {"type": "text", "text": "Hi"},
                ]
            },
        ),
        (
            {"reasoning": "reasoning_text", "reasoning_opaque": "x"},
            {"reasoning_text": "Hm.", "reasoning_opaque": "x"},
        ),
        ({"extra_content": SIGNED}, {"extra_content": SIGNED}),
        ("of another version", {}),
        ({"reasoning": 7}, {}),
    ],
)
def test_what_goes_back(state: Any, fields: dict[str, Any]) -> None:
    assert restored(state) == fields
    assert restored(state, at="openai@elsewhere") == {}


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "reasoning_text", "thinking"])
def test_reasoning_as_text_goes_back_in_turns_with_calls_only(name: str) -> None:
    assert restored({"reasoning": name}, calling=False) == {}
    signed = {"reasoning": name, "reasoning_details": [BLOCK]}
    assert restored(signed, calling=False) == {"reasoning_details": [BLOCK]}


@pytest.mark.parametrize("names", ["", "f", "gf", "fgf", "fx"])
def test_what_is_signed_goes_back_with_the_same_calls_only(names: str) -> None:
    state = {
        "reasoning_details": [BLOCK],
        "calls": [{"name": "f", "extra_content": SIGNED}, {"name": "g"}],
    }
    edited = tuple(ToolRequest(str(number), name, {}) for number, name in enumerate(names))
    assert restored(state, calls=edited) == {}
    assert restored(state, calls=CALLED) == {"reasoning_details": [BLOCK]}


def test_what_stands_beside_a_call_goes_back_in_the_same_place() -> None:
    state = {"calls": [{"name": "f"}, {"name": "g", "extra_content": SIGNED}]}
    calls = [{"id": "renamed"}, {"id": "too"}]
    message = AssistantMessage("", CALLED, "", {HERE: state})
    restore_state({"tool_calls": calls}, message, HERE, calling=True)
    assert calls == [{"id": "renamed"}, {"id": "too", "extra_content": SIGNED}]
