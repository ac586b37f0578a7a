"""Requests and chunks of chat completions, without any I/O."""

import itertools
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from trio_agent._errors import ModelError
from trio_agent._events import Usage
from trio_agent.models._parts import (
    ModelFinish,
    ModelPart,
    ReasoningPart,
    TextPart,
    ToolInputPart,
)
from trio_agent.models.openai._chat import ChatDecoder


def chunk(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def delta(finish_reason: str | None = None, **fields: Any) -> bytes:
    return chunk({"choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]})


def fragments(*calls: Any) -> bytes:
    return delta(tool_calls=list(calls))


def fragment(
    index: int | None, id_: str | None, name: str | None, arguments: str | None
) -> dict[str, Any]:
    return {"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}


DONE = b"data: [DONE]\n\n"
STOP = delta("stop")
CALLED = delta("tool_calls")


def run(reads: Iterable[bytes], secret: str = "") -> tuple[list[ModelPart], ModelFinish]:
    decoder = ChatDecoder(secret=secret)
    parts = [part for read in reads for part in decoder.feed(read)]
    return parts, decoder.finish()


def run_every_way(data: bytes) -> tuple[list[ModelPart], ModelFinish]:
    whole = run([data])
    assert run(data[i : i + 1] for i in range(len(data))) == whole
    return whole


def failure(data: bytes) -> tuple[list[ModelPart], ModelError]:
    """Decode, whole and in small pieces, what must fail; the parts before must be the same."""

    def decode(size: int) -> tuple[list[ModelPart], ModelError]:
        decoder = ChatDecoder()
        parts = [p for i in range(0, len(data), size) for p in decoder.feed(data[i : i + size])]
        with pytest.raises(ModelError) as info:
            decoder.finish()
        return parts, info.value

    parts, error = decode(len(data) or 1)
    slow_parts, slow_error = decode(1 if len(data) < 10_000 else 999)
    assert slow_parts == parts
    assert slow_error.args == error.args
    assert slow_error.retryable == error.retryable
    return parts, error


def test_text_reasoning_and_usage() -> None:
    data = b"".join(
        [
            delta(role="assistant", content=""),
            delta(content=None, reasoning_content="hm"),
            delta(reasoning="m", reasoning_content=""),
            delta(reasoning="once", reasoning_content="once"),
            b": keep-alive\n\n",
            delta(content="Hé", reasoning="so"),
            chunk({"choices": [{"index": 0}]}),
            chunk({"choices": [{"index": 1, "delta": {"content": "other"}}]}),
            chunk({"choices": [], "usage": None, "unknown": [1]}),
            delta(refusal="No."),
            delta("stop"),
            chunk({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}),
            DONE,
        ]
    )
    parts, finish = run_every_way(data)
    assert parts == [
        ReasoningPart("hm"),
        ReasoningPart("m"),
        ReasoningPart("once"),
        ReasoningPart("so"),
        TextPart("Hé"),
        TextPart("No."),
    ]
    assert finish == ModelFinish("stop", Usage(3, 2, 5))


def test_usage_on_the_last_choice_and_no_done() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 9}
    choice = {"delta": {}, "finish_reason": "length"}
    assert run_every_way(chunk({"choices": [choice], "usage": usage})) == (
        [],
        ModelFinish("length", Usage(3, 2, 9)),
    )


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("stop", "stop"), ("length", "length"), ("content_filter", "content-filter")],
)
def test_finish_reasons(reason: str, finish: str) -> None:
    assert run([delta(reason), DONE])[1].reason == finish


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "function_call"])
def test_whoever_calls_tools_finishes_with_tool_calls(reason: str) -> None:
    assert run([fragments(fragment(0, "a", "f", "")), delta(reason)]) == (
        [ToolInputPart("a", "f", "")],
        ModelFinish("tool-calls"),
    )


def test_arguments_that_were_cut_off_by_the_length_are_not_complete() -> None:
    assert run([fragments(fragment(0, "a", "f", "{")), delta("length")])[1].reason == "length"


# What providers send, and the calls (id, name, arguments) that they mean.
CALLS: list[tuple[str, list[bytes], list[tuple[str, str, str]]]] = [
    (
        "interleaved by index",
        [
            fragments(fragment(0, "a", "f", "")),
            fragments(fragment(1, "b", "g", '{"x"')),
            fragments(fragment(0, None, None, "{")),
            fragments(fragment(1, None, None, ":1}"), fragment(0, None, None, "}")),
        ],
        [("a", "f", "{}"), ("b", "g", '{"x":1}')],
    ),
    (
        "no arguments at all",
        [fragments(fragment(0, "a", "f", None)), fragments({"index": 0})],
        [("a", "f", "")],
    ),
    ("no id", [fragments(fragment(3, None, "f", "{}"))], [("call_3", "f", "{}")]),
    ("an empty id", [fragments(fragment(0, "", "f", "{}"))], [("call_0", "f", "{}")]),
    (
        "the name comes later",
        [
            fragments({"index": 0, "id": "a"}),
            fragments(fragment(0, None, None, "{")),
            fragments(fragment(0, None, "", '"x":')),
            fragments(fragment(0, None, "f", "1")),
            fragments(fragment(0, None, None, "}")),
        ],
        [("a", "f", '{"x":1}')],
    ),
    (
        "everything is repeated",
        [fragments(fragment(0, "a", "f", "{")), fragments(fragment(0, "a", "f", "}"))],
        [("a", "f", "{}")],
    ),
    (
        "a new id on every fragment",
        [fragments(fragment(0, "a", "f", "{")), fragments(fragment(0, "b", None, "}"))],
        [("a", "f", "{}")],
    ),
    (
        "always index 0 (Ollama)",
        [
            fragments(fragment(0, "a", "f", "{}")),
            fragments(fragment(0, "b", "f", "{")),
            fragments(fragment(0, None, None, "}")),
        ],
        [("a", "f", "{}"), ("b", "f", "{}")],
    ),
    (
        "no index, by id",
        [
            fragments(fragment(None, "a", "f", "{"), fragment(None, "b", "g", "{")),
            fragments(fragment(None, "b", None, "}")),
            fragments(fragment(None, "a", None, "}")),
        ],
        [("a", "f", "{}"), ("b", "g", "{}")],
    ),
    (
        "no index, one after the other (Gemini)",
        [
            fragments(fragment(None, "a", "f", "{")),
            fragments(fragment(None, None, None, "}")),
            fragments(fragment(None, "b", "g", "{")),
            fragments(fragment(None, None, None, "}")),
        ],
        [("a", "f", "{}"), ("b", "g", "{}")],
    ),
    (
        "no index and no id, by position",
        [
            fragments(fragment(None, None, "f", "{"), fragment(None, None, "g", "{")),
            fragments(fragment(None, None, None, "}"), fragment(None, None, None, "}")),
        ],
        [("call_0", "f", "{}"), ("call_1", "g", "{}")],
    ),
]


@pytest.mark.parametrize(("data", "calls"), [case[1:] for case in CALLS], ids=[c[0] for c in CALLS])
def test_tool_calls(data: list[bytes], calls: list[tuple[str, str, str]]) -> None:
    parts, finish = run_every_way(b"".join([*data, CALLED, DONE]))
    joined: dict[tuple[str, str], str] = {}
    for part in parts:
        assert isinstance(part, ToolInputPart)
        assert part.delta or (part.id, part.name) not in joined  # only an opening is empty
        joined[part.id, part.name] = joined.get((part.id, part.name), "") + part.delta
    assert [(*key, arguments) for key, arguments in joined.items()] == calls
    assert finish.reason == "tool-calls"


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (b"", "cut-stream", "before the answer did"),
        (DONE, "cut-stream", "before the answer did"),
        (chunk({"error": {"message": "over\nloaded"}}), "provider-error", "over loaded"),
        (chunk({"error": "overloaded"}), "provider-error", "overloaded"),
        (b"data: {\n\n", "bad-response", "no chat completion stream"),
        (b"data: \n\n", "bad-response", "no chat completion stream"),
        (chunk([]), "bad-response", "Expected `object`"),
        (b'data: "' + b"\\ud800" + b'"\n\n', "bad-response", "no chat completion stream"),
        (b'data: {"x":' + b"[" * 100_000 + b"\n\n", "bad-response", "recursion"),
        (b"data: " + b"x" * (1 << 20), "bad-response", "larger than"),
        (delta(content=7), "bad-response", r"\$.choices\[0\].delta.content"),
        (fragments(fragment(-1, "a", "f", "")), "bad-response", "index"),
        (chunk({"choices": [], "usage": {"prompt_tokens": -1}}), "bad-response", "prompt_tokens"),
        (chunk({"usage": {"total_tokens": 2**60}}), "bad-response", "total_tokens"),
        (delta("because\n"), "bad-response", "'because' is unknown"),
        (CALLED, "bad-response", "called none"),
        (fragments(fragment(0, "a", None, "{}")) + CALLED, "bad-response", "no name"),
        (
            fragments(fragment(0, "a", "f", ""), fragment(1, "a", "f", "")),
            "bad-response",
            "two tool calls have one id",
        ),
        (
            fragments(*(fragment(i, None, "f", "") for i in range(129))),
            "bad-response",
            "more than 128 tools",
        ),
    ],
)
def test_what_can_not_be_understood_is_an_error(data: bytes, code: str, message: str) -> None:
    _, error = failure(data)
    assert error.code == code
    with pytest.raises(ModelError, match=message):
        raise error


def test_parts_before_an_error_are_handed_out_first() -> None:
    parts, error = failure(delta(content="Hi") + b"data: nonsense\n\n" + delta(content="no"))
    assert parts == [TextPart("Hi")]
    assert error.code == "bad-response"


def test_nothing_is_read_after_done() -> None:
    assert run([delta("stop", content="a") + DONE + b"data: nonsense\n\n", b"data: x\n\n"]) == (
        [TextPart("a")],
        ModelFinish("stop"),
    )


def test_done_and_complete() -> None:
    decoder = ChatDecoder()
    decoder.feed(delta(content="a"))
    assert (decoder.started, decoder.complete, decoder.done) == (True, False, False)
    decoder.feed(STOP)
    assert (decoder.complete, decoder.done) == (True, False)
    decoder.feed(DONE)
    assert decoder.done


@pytest.mark.parametrize("end", [b"", chunk({"error": {"type": "server_error", "message": "x"}})])
def test_only_an_answer_without_parts_is_retryable(end: bytes) -> None:
    assert failure(end)[1].retryable
    assert not failure(delta(content="a") + end)[1].retryable


def test_the_key_is_cut_out_of_the_providers_message() -> None:
    with pytest.raises(ModelError) as info:
        run([chunk({"error": "bad key sk-secret"})], secret="sk-secret")
    assert info.value.message == "bad key ***"


def test_arguments_without_a_name_are_bounded() -> None:
    decoder = ChatDecoder()
    for _ in range(3):
        decoder.feed(fragments(fragment(0, "a", None, "x" * 500_000)))
    assert decoder.done
    with pytest.raises(ModelError, match="without its name"):
        decoder.finish()


NAMES = st.sampled_from(["index", "id", "function", "name", "arguments", "content", "delta"])
SCALARS = st.none() | st.booleans() | st.integers(-1, 3) | st.floats() | st.sampled_from("ab")
FRAGMENTS = st.fixed_dictionaries(
    {},
    optional={
        "index": st.integers(-1, 3) | SCALARS,
        "id": st.sampled_from(["", "a", "b", "call_0"]) | SCALARS,
        "function": SCALARS
        | st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["", "f"]) | SCALARS,
                "arguments": st.text(max_size=3) | SCALARS,
            },
        ),
    },
)
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": st.text(max_size=3) | SCALARS,
        "reasoning": st.text(max_size=3),
        "tool_calls": st.lists(FRAGMENTS, max_size=3) | SCALARS,
    },
)
CHUNKS = st.builds(
    lambda delta, reason: chunk({"choices": [{"delta": delta, "finish_reason": reason}]}),
    DELTAS,
    st.sampled_from([None, None, None, "stop", "tool_calls", "odd"]),
)
STREAMS = st.lists(
    CHUNKS | st.binary(max_size=8) | st.just(DONE) | st.just(chunk({"error": {}})), max_size=8
).map(b"".join)


@given(STREAMS, st.lists(st.integers(0, 400)))
def test_only_a_model_error_comes_out_and_cuts_change_nothing(data: bytes, cuts: list[int]) -> None:
    def outcome(pieces: Iterable[bytes]) -> tuple[Any, ...]:
        decoder = ChatDecoder()
        parts = [part for piece in pieces for part in decoder.feed(piece)]
        try:
            return parts, decoder.finish()
        except ModelError as error:
            return parts, error.args, error.retryable

    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert outcome(pieces) == outcome([data])
