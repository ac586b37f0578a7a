"""Streams of answers that have a shape, without I/O: however they are cut, they say the same."""

import itertools
import json
from typing import Any

import anthropic_kit as a
import pytest
from decoder_kit import Decoding
from hypothesis import given, settings, strategies as st

from trio_agent.models._parts import (
    ModelPart,
    OutputPart,
    ReasoningPart,
    TextPart,
    ToolInputPart,
)
from trio_agent.models._provider._shape import OutputMode, Shape
from trio_agent.models.anthropic._messages import MessagesDecoder
from trio_agent.models.openai._chat import ChatDecoder
from trio_agent.models.openai_responses._decoder import ResponsesDecoder

SHAPES: dict[OutputMode, Shape] = {
    "schema": Shape("schema", "final"),
    "tool": Shape("tool", "final"),
}
ORIGIN = "x@host"

chat = Decoding(lambda **options: ChatDecoder(origin=ORIGIN, **options))
responses = Decoding(lambda **options: ResponsesDecoder(origin=ORIGIN, **options))
messages = Decoding(lambda **options: MessagesDecoder(model="m", origin=ORIGIN, **options))


def sse(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def delta(finish_reason: str | None = None, **fields: Any) -> bytes:
    return sse({"choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]})


def call(
    index: int, id_: str | None, name: str | None, arguments: str | None, **extra: Any
) -> bytes:
    function = {"name": name, "arguments": arguments}
    return delta(tool_calls=[{"index": index, "id": id_, "function": function, **extra}])


def ev(type_: str, **fields: Any) -> bytes:
    return sse({"type": f"response.{type_}", **fields})


def item(index: int, id_: str, name: str, *pieces: str) -> bytes:
    """A call of Responses, from its begin to its end."""
    head = {"type": "function_call", "id": f"fc_{id_}", "call_id": id_, "name": name}
    place = {"item_id": f"fc_{id_}", "output_index": index}
    said = [ev("function_call_arguments.delta", **place, delta=each) for each in pieces]
    added = ev("output_item.added", output_index=index, item={**head, "arguments": ""})
    whole = {**head, "arguments": "".join(pieces)}
    return b"".join([added, *said, ev("output_item.done", output_index=index, item=whole)])


def completed(*output: Any) -> bytes:
    return ev("completed", response={"status": "completed", "output": list(output)})


DONE = b"data: [DONE]\n\n"
JSON: list[ModelPart] = [OutputPart('{"x"'), OutputPart(":1}")]
STREAMS: dict[str, tuple[Decoding, OutputMode, bytes, list[ModelPart], str]] = {
    "chat-schema": (
        chat,
        "schema",
        delta(reasoning="hm")
        + delta(content='{"x"')
        + delta(content=":1}")
        + call(0, "1", "f", "{}")
        + delta("tool_calls")
        + DONE,
        [ReasoningPart("hm"), *JSON, ToolInputPart("1", "f", ""), ToolInputPart("1", "f", "{}")],
        "tool-calls",
    ),
    "chat-refusal": (
        chat,
        "schema",
        delta(refusal="I ") + delta(refusal="won't.") + delta("stop") + DONE,
        [TextPart("I "), TextPart("won't.")],
        "stop",
    ),
    "chat-fenced": (
        chat,
        "schema",
        delta(content="```json\n") + delta(content="{}\n```") + delta("stop") + DONE,
        [OutputPart("```json\n"), OutputPart("{}\n```")],
        "stop",
    ),
    "chat-tool": (
        chat,
        "tool",
        delta(content="So:")
        + call(0, "1", "final", '{"x"')
        + call(1, "2", "f", '{"y"')
        + call(0, None, None, ":1}")
        + call(1, None, None, ":2}")
        + call(2, "3", "final", '{"x":3}')
        + delta("tool_calls")
        + DONE,
        [
            TextPart("So:"),
            OutputPart('{"x"'),
            ToolInputPart("2", "f", '{"y"'),
            OutputPart(":1}"),
            ToolInputPart("2", "f", ":2}"),
        ],
        "tool-calls",
    ),
    "chat-tool-alone": (
        chat,
        "tool",
        call(0, "1", "final", "")
        + call(0, None, None, '{"x"')
        + call(0, None, None, ":1}")
        + delta("stop")
        + DONE,
        JSON,
        "stop",
    ),
    "chat-tool-cut": (
        chat,
        "tool",
        call(0, "1", "final", '{"x"') + delta("length") + DONE,
        JSON[:1],
        "length",
    ),
    "chat-tool-text-only": (
        chat,
        "tool",
        delta(content="Well.") + delta("stop") + DONE,
        [TextPart("Well.")],
        "stop",
    ),
    "chat-done-without-a-reason": (
        chat,
        "schema",
        delta(content='{"x"') + delta(content=":1}") + DONE,
        JSON,
        "stop",
    ),
    "responses-schema": (
        responses,
        "schema",
        ev("output_text.delta", item_id="m", output_index=0, content_index=0, delta='{"x"')
        + ev("output_text.delta", item_id="m", output_index=0, content_index=0, delta=":1}")
        + ev("output_text.done", item_id="m", output_index=0, content_index=0, text='{"x":1}')
        + item(1, "1", "f", "{}")
        + completed(),
        [*JSON, ToolInputPart("1", "f", ""), ToolInputPart("1", "f", "{}")],
        "tool-calls",
    ),
    "responses-refusal": (
        responses,
        "schema",
        ev("refusal.delta", item_id="m", output_index=0, content_index=0, delta="I ")
        + ev("refusal.done", item_id="m", output_index=0, content_index=0, refusal="I won't")
        + ev(
            "content_part.done",
            item_id="m",
            output_index=0,
            content_index=0,
            part={"type": "refusal", "refusal": "I won't."},
        )
        + completed(),
        [TextPart("I "), TextPart("won't"), TextPart(".")],
        "stop",
    ),
    "responses-refusal-at-once": (
        responses,
        "schema",
        completed({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}),
        [TextPart("No.")],
        "stop",
    ),
    "responses-tool": (
        responses,
        "tool",
        item(0, "1", "final", '{"x"', ":1}")
        + item(1, "2", "f", '{"y":2}')
        + item(2, "3", "final", "{}")
        + completed(),
        [*JSON, ToolInputPart("2", "f", ""), ToolInputPart("2", "f", '{"y":2}')],
        "tool-calls",
    ),
    "responses-tool-alone": (
        responses,
        "tool",
        item(0, "1", "final", '{"x"', ":1}") + completed(),
        JSON,
        "stop",
    ),
    "anthropic-schema": (
        messages,
        "schema",
        a.started() + a.text(0, '{"x"', ":1}") + a.call(1, "1", "f", "{}") + a.CALLED,
        [*JSON, ToolInputPart("1", "f", ""), ToolInputPart("1", "f", "{}")],
        "tool-calls",
    ),
    "anthropic-tool": (
        messages,
        "tool",
        a.started()
        + a.text(0, "So:")
        + a.call(1, "1", "f", '{"y":2}')
        + a.call(2, "2", "final", '{"x"', ":1}")
        + a.call(3, "3", "final", "{}")
        + a.CALLED,
        [
            TextPart("So:"),
            ToolInputPart("1", "f", ""),
            ToolInputPart("1", "f", '{"y":2}'),
            *JSON,
        ],
        "tool-calls",
    ),
    "anthropic-tool-alone": (
        messages,
        "tool",
        a.started() + a.call(0, "1", "final", '{"x"', ":1}") + a.CALLED,
        JSON,
        "stop",
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_whole_and_byte_by_byte(name: str) -> None:
    decoding, mode, data, parts, reason = STREAMS[name]
    said, finish = decoding.run_every_way(data, shape=SHAPES[mode])
    assert said == parts
    assert finish.reason == reason
    assert "final" not in json.dumps(finish.provider)


@settings(deadline=None)  # other work on the machine is no fault of the decoder
@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(0, 1500), max_size=12))
def test_cuts_change_nothing(name: str, cuts: list[int]) -> None:
    decoding, mode, data, parts, _ = STREAMS[name]
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    reads = [data[i:j] for i, j in itertools.pairwise(edges)]
    assert decoding.run(reads, shape=SHAPES[mode])[0] == parts


@pytest.mark.parametrize("name", [each for each in STREAMS if each.endswith("tool")])
def test_without_a_shape_the_final_tool_is_any_tool(name: str) -> None:
    decoding, _, data, _, _ = STREAMS[name]
    parts, finish = decoding.run([data])
    assert not any(type(part) is OutputPart for part in parts)
    assert finish.reason == "tool-calls"
    assert "final" in {part.name for part in parts if isinstance(part, ToolInputPart)}


@pytest.mark.parametrize("tags", [True, "opened"])
def test_thoughts_in_the_text_stay_thoughts(tags: Any) -> None:
    data = delta(content="<think>h") + delta(content="m</thi") + delta(content='nk>\n{"x":1}')
    data += delta("stop") + DONE
    parts, _ = chat.run_every_way(data, shape=SHAPES["schema"], think_tags=tags)
    assert "".join(part.delta for part in parts if type(part) is ReasoningPart) == "hm"
    assert [part for part in parts if type(part) is not ReasoningPart] == [OutputPart('{"x":1}')]


@pytest.mark.parametrize("mode", SHAPES)
def test_halves_of_surrogate_pairs_are_joined(mode: OutputMode) -> None:
    pieces = ['{"x":"\ud83d', '\ude00"}']
    if mode == "schema":
        said = [delta(content=piece) for piece in pieces]
    else:
        said = [call(0, "1", "final", pieces[0]), call(0, None, None, pieces[1])]
    parts, _ = chat.run_every_way(b"".join(said) + delta("stop") + DONE, shape=SHAPES[mode])
    assert parts == [OutputPart('{"x":"'), OutputPart('\U0001f600"}')]


@pytest.mark.parametrize("mode", SHAPES)
def test_a_whole_body(mode: OutputMode) -> None:
    function = {"name": "final", "arguments": '{"x":1}'}
    said: dict[str, Any] = {"content": '{"x":1}'}
    if mode == "tool":
        said = {"content": None, "tool_calls": [{"id": "1", "function": function}]}
    body = json.dumps({"choices": [{"message": said, "finish_reason": "stop"}]}).encode()
    decoder = ChatDecoder(shape=SHAPES[mode])
    assert decoder.feed_whole(body) == [OutputPart('{"x":1}')]
    assert decoder.finish().reason == "stop"


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (("final", "f"), [{"name": "f", "extra_content": {"google": {"s": 1}}}]),
        (("f", "final"), [{"name": "f", "extra_content": {"google": {"s": 1}}}]),
        (("final", "f", "g"), [{"name": "f", "extra_content": {"google": {"s": 1}}}, "g"]),
        (("final",), None),
    ],
)
def test_what_google_signed_stands_beside_the_first_call_that_goes_back(
    names: tuple[str, ...], kept: Any
) -> None:
    signed = {"extra_content": {"google": {"s": 1}}}
    calls = [
        call(number, name, name, "{}", **(signed if number == 0 else {}))
        for number, name in enumerate(names)
    ]
    data = b"".join(calls) + delta("tool_calls") + DONE
    _, finish = chat.run([data], shape=SHAPES["tool"])
    expected = [{"name": each} if isinstance(each, str) else each for each in kept or ()]
    assert finish.provider.get(ORIGIN, {}).get("calls", []) == expected


def test_an_answer_by_a_tool_that_was_cut_is_no_answer() -> None:
    data = call(0, "1", "final", '{"x"')
    parts, error = chat.failure(data, shape=SHAPES["tool"])
    assert (parts, error.code, error.retryable) == ([OutputPart('{"x"')], "cut-stream", False)
    parts, error = chat.failure(call(0, "1", "final", ""), shape=SHAPES["tool"])
    assert (parts, error.code, error.retryable) == ([], "cut-stream", True)
