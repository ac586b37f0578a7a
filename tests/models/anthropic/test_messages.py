"""Answers of Anthropic's Messages API, without any I/O."""

import gzip
import itertools
import json
import logging
import random
from typing import Any

import pytest
from anthropic_kit import (
    CALLED,
    END,
    MODEL,
    ORIGIN,
    STOP,
    begin,
    call,
    decoder,
    delta,
    ended,
    event,
    failure,
    kept,
    reason,
    run,
    run_every_way,
    said,
    started,
    text,
    thought,
)
from hypothesis import given, settings, strategies as st

from trio_agent._errors import ModelError
from trio_agent._events import Usage
from trio_agent._messages import UserMessage
from trio_agent.models._parts import ModelFinish, ModelRequest, TextPart, ToolInputPart
from trio_agent.models.anthropic._messages import MessagesCodec, MessagesDecoder

SEARCH = {"type": "web_search_tool_result", "tool_use_id": "srv", "content": [{"url": "u"}]}
RICH = b"".join(
    [
        started(input_tokens=3, cache_read_input_tokens=4, cache_creation_input_tokens=5),
        event("ping"),
        thought(0, "Let me ", "see. 🙂"),
        begin(1, "redacted_thinking", data="secret"),
        ended(1),
        text(2, "Hé", "llo"),
        call(3, "srv", "web_search", '{"query":', '"x"}', type_="server_tool_use"),
        event("content_block_start", index=4, content_block=SEARCH),
        ended(4),
        begin(5, "text", text=""),
        delta(5, "citations_delta", citation={"type": "web", "url": "u"}),
        delta(5, "text_delta", text=" found"),
        ended(5),
        call(6, "toolu_1", "f", "", '{"a"', ": 1}"),
        call(7, "toolu_2", "g"),
        reason("tool_use", output_tokens=9, output_tokens_details={"thinking_tokens": 6}),
        STOP,
    ]
)


def test_a_whole_answer() -> None:
    parts, finish = run_every_way(RICH)
    assert said(parts) == [
        ("Let me see. 🙂",),
        "Héllo found",
        ["toolu_1", "f", '{"a": 1}'],
        ["toolu_2", "g", ""],
    ]
    assert finish.reason == "tool-calls"
    assert finish.usage == Usage(12, 9, 21, 4, 6)
    assert finish.provider[ORIGIN]["model"] == MODEL
    assert kept(finish) == [
        {"type": "thinking", "thinking": "Let me see. 🙂", "signature": "sig"},
        {"type": "redacted_thinking", "data": "secret"},
        {"type": "text", "text": "Héllo"},
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "x"}},
        SEARCH,
        {"type": "text", "text": " found", "citations": [{"type": "web", "url": "u"}]},
        {"type": "tool_use", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "name": "g"},
    ]


def test_nothing_is_kept_of_what_a_transcript_has() -> None:
    _, finish = run([started(), text(0, "a"), call(1, "t", "f", "{}"), CALLED])
    assert finish.provider == {}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, len(RICH)), max_size=12))
def test_how_reads_cut_the_stream_makes_no_difference(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(RICH)]
    pieces = [RICH[a:b] for a, b in itertools.pairwise(ends)]
    assert run(pieces) == run([RICH])


EVENTS = st.sampled_from(
    [
        started(input_tokens=1),
        begin(0, "text", text=""),
        begin(0, "tool_use", id="a", name="f", input={}),
        begin(1, "thinking", thinking=""),
        begin(2, "news", data={"a": [1]}),
        delta(0, "text_delta", text="x"),
        delta(1, "thinking_delta", thinking="y"),
        delta(7, "input_json_delta", partial_json='{"a":1}'),
        delta(0, "news_delta", data="z"),
        ended(0),
        reason("end_turn"),
        reason("pause_turn"),
        reason(None),
        STOP,
        event("error", error={"type": "api_error", "message": "no"}),
        b"data: [DONE]\n\n",
        b"data: {\n\n",
        b'data: {"type": 3}\n\n',
        b'data: {"type": "content_block_start", "index": {}, "content_block": [1]}\n\n',
        b'data: {"type": "content_block_delta", "delta": {"type": "text_delta", "text": [[]]}}\n\n',
        b'data: {"type": "message_start", "message": 7}\n\n',
        b"\xff\xfe\n",
    ]
)


@settings(deadline=None, max_examples=200)
@given(st.lists(EVENTS | st.binary(max_size=8), max_size=12))
def test_no_bytes_make_it_raise_and_all_splits_say_the_same(events: list[bytes]) -> None:
    data = b"".join(events)

    def decode(size: int) -> Any:
        decoding = decoder()
        parts = [p for i in range(0, len(data), size) for p in decoding.feed(data[i : i + size])]
        parts += decoding.feed_eof()
        try:
            finish: Any = decoding.finish()
        except ModelError as error:
            return said(parts), error.args, error.retryable
        json.dumps(finish.provider)
        return said(parts), finish, decoding.resume({"messages": []})

    assert decode(1) == decode(len(data) or 1)
    decoder().feed_whole(data)


@settings(deadline=None)
@given(st.randoms(use_true_random=False))
def test_damaged_streams_never_raise(rng: random.Random) -> None:
    data = bytearray(RICH)
    for _ in range(rng.randrange(1, 6)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    decoding = decoder()
    decoding.feed(bytes(data))
    decoding.feed_eof()
    try:
        decoding.finish()
    except ModelError as error:
        assert error.code in ("bad-response", "cut-stream", "provider-error")  # noqa: PT017


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content-filter"),
        ("tool_use", "stop"),  # without any call, but with text
        ("news", "stop"),
        ("pause_turn", "stop"),
    ],
)
def test_stop_reasons(name: str, expected: str) -> None:
    _, finish = run_every_way(started() + text(0, "a") + reason(name) + STOP)
    assert finish.reason == expected


@pytest.mark.parametrize("name", ["end_turn", "tool_use", "stop_sequence", None])
def test_calls_are_calls_whatever_the_reason(name: str | None) -> None:
    """ollama_chat behind LiteLLM says `end_turn` (litellm#34692), others nothing at all."""
    parts, finish = run_every_way(started() + call(0, "t", "f", "{}") + reason(name) + STOP)
    assert finish.reason == "tool-calls"
    assert said(parts) == [["t", "f", "{}"]]


@pytest.mark.parametrize("name", ["max_tokens", "refusal"])
def test_what_was_cut_is_not_kept(name: str) -> None:
    _, finish = run([started(), thought(0, "hm"), reason(name), STOP])
    assert finish.provider == {}


FAILURES: list[tuple[bytes, str, str, bool]] = [
    (b"", "cut-stream", "ended before the answer did", True),
    (started(), "cut-stream", "ended before the answer did", True),
    (started() + text(0, "a"), "cut-stream", "ended before", False),
    (started() + STOP, "cut-stream", "ended before", True),
    (started() + call(0, "t", "f", '{"a":') + STOP, "cut-stream", "ended before", False),
    (reason("tool_use") + STOP, "bad-response", "called none", False),
    (reason("news") + STOP, "bad-response", "'news' is unknown", False),
    (reason("error") + STOP, "provider-error", "broke the answer off: error", True),
    (b"data: {nonsense\n\n", "bad-response", "no stream of a message", False),
    (b"data: number of tokens must be 3\n\n", "provider-error", "number of tokens", False),
    (b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', "bad-response", "OpenAI", False),
    (begin(0, "tool_use", id="t"), "bad-response", "has no name", False),
    (delta(0, "input_json_delta", partial_json="{}"), "bad-response", "without its name", False),
    (
        b'data: {"type": "content_block_start", "index": 0, "content_block": [7]}\n\n',
        "bad-response",
        "no stream",
        False,
    ),
    (b"data: " + b"[" * 50_000 + b"\n\n", "bad-response", "no stream", False),
]


@pytest.mark.parametrize(("data", "code", "message", "retryable"), FAILURES)
def test_failures(data: bytes, code: str, message: str, retryable: bool) -> None:
    _, error = failure(data)
    assert (error.code, error.retryable) == (code, retryable)
    assert message in error.message


ERRORS = [
    ("overloaded_error", "Overloaded", "provider-error", True),
    ("api_error", "Internal server error", "provider-error", True),
    ("timeout_error", "Request timed out", "provider-error", True),
    ("rate_limit_error", "Slow down", "rate-limit", True),
    ("authentication_error", "invalid x-api-key sk-secret", "auth", False),
    ("permission_error", "no", "auth", False),
    ("billing_error", "no credit", "rate-limit", False),
    ("not_found_error", "model: x", "not-found", False),
    ("invalid_request_error", "messages: at least one", "bad-request", False),
    ("request_too_large", "Request exceeds the maximum size", "bad-request", False),
    (
        "invalid_request_error",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "context-length",
        False,
    ),
]


@pytest.mark.parametrize(("type_", "message", "code", "retryable"), ERRORS)
def test_errors_within_the_stream(type_: str, message: str, code: str, retryable: bool) -> None:
    said_so = event("error", error={"type": type_, "message": message})
    _, error = failure(started() + said_so)
    assert (error.code, error.retryable) == (code, retryable)
    assert "sk-secret" not in error.message
    parts, error = failure(started() + text(0, "a") + said_so)
    assert parts == [TextPart("a")]
    assert not error.retryable


def test_a_complete_answer_is_not_thrown_away_for_what_follows() -> None:
    answer = started() + text(0, "a") + reason("end_turn", output_tokens=2)
    for behind in (event("error", error={"type": "api_error"}), b"data: {x\n\n", b"x" * 99):
        parts, finish = run_every_way(answer + behind)
        assert (parts, finish.usage.output_tokens) == ([TextPart("a")], 2)


def test_who_goes_on_behind_a_reason_is_not_complete() -> None:
    decoding = decoder()
    decoding.feed(started() + text(0, "a") + reason("end_turn"))
    assert decoding.complete
    assert not decoding.goes_on
    decoding.feed(text(1, "b"))
    assert decoding.goes_on
    decoding.feed(event("error", error={"type": "api_error", "message": "no"}))
    with pytest.raises(ModelError, match="no"):
        decoding.finish()


UNTYPED = b"".join(
    b"data: %s\n\n" % json.dumps({"delta": each}).encode()
    for each in ({"text": "a"}, {"stop_reason": "end_turn"})
)
SHAPES: list[tuple[str, bytes, list[Any]]] = [
    ("no message_start", text(0, "a") + END, ["a"]),
    ("no event names", (started() + text(0, "a") + END).replace(b"event: ", b": "), ["a"]),
    ("CRLF", (started() + text(0, "a") + END).replace(b"\n", b"\r\n"), ["a"]),
    ("[DONE] at the end", text(0, "a") + END + b"data: [DONE]\n\n", ["a"]),
    ("[DONE] and no reason", text(0, "a") + b"data: [DONE]\n\n", ["a"]),
    ("message_stop, no reason", text(0, "a") + STOP, ["a"]),
    ("stop_reason null", text(0, "a") + reason(None) + STOP, ["a"]),
    ("no message_stop", text(0, "a") + reason("end_turn"), ["a"]),
    ("no empty line at the end", (text(0, "a") + END).removesuffix(b"\n\n"), ["a"]),
    ("one newline at the end", (text(0, "a") + END).removesuffix(b"\n"), ["a"]),
    ("no usage at all", text(0, "a") + event("message_delta", delta={"stop_reason": "end_turn"}),
     ["a"]),
    ("comments and empty data", b": hi\n\ndata:\n\n" + text(0, "a") + b"data: \n\n" + END, ["a"]),
    ("keep-alive words", b"data: ping\n\n" + text(0, "a") + END, ["a"]),
    ("news", event("news", a=1) + text(0, "a") + event("more.news") + END, ["a"]),
    ("text within the begin", begin(0, "text", text="a") + delta(0, "text_delta", text="b") + END,
     ["ab"]),
    ("no begin", delta(0, "text_delta", text="a") + END, ["a"]),
    ("no begin, no index", event("content_block_delta", delta={"type": "text_delta", "text": "a"})
     + END, ["a"]),
    ("index -1", begin(0, "text", text="") + delta(-1, "text_delta", text="a") + END, ["a"]),
    ("index as text", event("content_block_delta", index="0",
     delta={"type": "text_delta", "text": "a"}) + END, ["a"]),
    ("text is a number", delta(0, "text_delta", text=7) + END, ["7"]),
    ("text is an object", delta(0, "text_delta", text={"text": "a"}) + END, ["a"]),
    ("delta is text", event("content_block_delta", index=0, delta="a") + END, ["a"]),
    ("no type of the delta", event("content_block_delta", index=0, delta={"text": "a"}) + END,
     ["a"]),
    ("no type within the data", b"event: content_block_delta\n"
     b'data: {"index": 0, "delta": {"type": "text_delta", "text": "a"}}\n\n' + END, ["a"]),
    ("no type anywhere", UNTYPED, ["a"]),
    ("no type of the block", event("content_block_start", index=0, content_block={"text": "a"})
     + END, ["a"]),
    ("thinking in a text block", begin(0, "text", text="")
     + delta(0, "thinking_delta", thinking="h") + delta(0, "text_delta", text="a") + END,
     [("h",), "a"]),
    ("empty input deltas in a text block (litellm#29286)", begin(0, "text", text="")
     + delta(0, "input_json_delta", partial_json="") + delta(0, "text_delta", text="a") + END,
     ["a"]),
    ("blank text before a call", text(0, "") + call(1, "t", "f", "{}") + CALLED,
     [["t", "f", "{}"]]),
    ("input within the begin", begin(0, "tool_use", id="t", name="f", input={"a": 1}) + CALLED,
     [["t", "f", '{"a": 1}']]),
    ("input within the begin, no end", begin(0, "tool_use", id="t", name="f", input='{"a": 1}')
     + CALLED, [["t", "f", '{"a": 1}']]),
    ("input twice", begin(0, "tool_use", id="t", name="f", input={"a": 1})
     + delta(0, "input_json_delta", partial_json='{"a":') +
     delta(0, "input_json_delta", partial_json="1}") + ended(0) + CALLED, [["t", "f", '{"a":1}']]),
    ("input in a delta twice", call(0, "t", "f", '{"a":1}', '{"a": 1}') + CALLED,
     [["t", "f", '{"a":1}']]),
    ("a placeholder before the input", call(0, "t", "f", "{}", '{"a":1}') + CALLED,
     [["t", "f", '{"a":1}']]),
    ("a placeholder alone", call(0, "t", "f", "{}") + CALLED, [["t", "f", "{}"]]),
    ("null for no input", call(0, "t", "f", "null") + CALLED, [["t", "f", "{}"]]),
    ("input is JSON as a JSON string", call(0, "t", "f", '"{\\"a\\":1}"') + CALLED,
     [["t", "f", '"{\\"a\\":1}"']]),
    ("no input in the begin (cc-switch#2557)", begin(0, "tool_use", id="t", name="f")
     + delta(0, "input_json_delta", partial_json="{}") + CALLED, [["t", "f", "{}"]]),
    ("a piece is an object", delta(0, "text_delta", text="a")
     + begin(1, "tool_use", id="t", name="f", input={})
     + delta(1, "input_json_delta", partial_json={"a": 1}) + CALLED, ["a", ["t", "f", '{"a": 1}']]),
    ("input at another index", begin(3, "tool_use", id="t", name="f", input={})
     + delta(0, "input_json_delta", partial_json="{}") + CALLED, [["t", "f", "{}"]]),
    ("ids blank", call(0, "", "f", "{}") + call(1, " ", "f", "{}") + CALLED,
     [["call_0", "f", "{}"], ["call_1", "f", "{}"]]),
    ("ids null", call(0, None, "f", "{}") + CALLED, [["call_0", "f", "{}"]]),
    ("ids are numbers", call(0, 7, "f", "{}") + CALLED, [["7", "f", "{}"]]),
    ("ids doubled", call(0, "t", "f", "{}") + call(1, "t", "g", "{}") + CALLED,
     [["t", "f", "{}"], ["t-2", "g", "{}"]]),
    ("index doubled", call(0, "t", "f", "{}") + call(0, "u", "g", "{}") + CALLED,
     [["t", "f", "{}"], ["u", "g", "{}"]]),
    ("no indexes", (call(0, "t", "f", "{}") + call(1, "u", "g", '{"a":1}') + CALLED)
     .replace(b'"index": 0, ', b"").replace(b'"index": 1, ', b""),
     [["t", "f", "{}"], ["u", "g", '{"a":1}']]),
    ("the begin twice", begin(0, "tool_use", id="t", name="f", input={})
     + call(0, "t", "f", "{}") + CALLED, [["t", "f", "{}"]]),
    ("no end of blocks", begin(0, "thinking", thinking="")
     + delta(0, "thinking_delta", thinking="h") + begin(1, "text", text="")
     + delta(1, "text_delta", text="a") + END, [("h",), "a"]),
    ("interleaved", begin(0, "tool_use", id="t", name="f", input={})
     + begin(1, "tool_use", id="u", name="g", input={})
     + delta(0, "input_json_delta", partial_json='{"a":')
     + delta(1, "input_json_delta", partial_json="{}")
     + delta(0, "input_json_delta", partial_json="1}") + CALLED,
     [["t", "f", '{"a":1}'], ["u", "g", "{}"]]),
    ("halves of a pair", b'data: {"type":"content_block_delta","index":0,"delta":'
     b'{"type":"text_delta","text":"a\\ud83d"}}\n\ndata: {"type":"content_block_delta","index":0,'
     b'"delta":{"type":"text_delta","text":"\\ude42"}}\n\n' + END, ["a🙂"]),
    ("half a pair", b'data: {"type":"content_block_delta","index":0,"delta":'
     b'{"type":"text_delta","text":"a\\ud83d"}}\n\n' + END, ["a\ufffd"]),
    ("NaN", b'data: {"type":"content_block_delta","index":0,"p":NaN,"delta":'
     b'{"type":"text_delta","text":"a"}}\n\n' + END, ["a"]),
    ("framed twice", b"data: data: " + delta(0, "text_delta", text="a").partition(b"data: ")[2]
     + END, ["a"]),
    ("a message as one event", event("message", role="assistant", stop_reason="end_turn",
     content=[{"type": "text", "text": "a"}]), ["a"]),
    ("message_start that is complete already", event("message_start", message={"content": [],
     "stop_reason": "end_turn", "usage": {"output_tokens": 9}}) + text(0, "a") + END, ["a"]),
    ("message null", event("message_start", message=None) + text(0, "a") + END, ["a"]),
    ("an empty error in each event", (text(0, "a") + END).replace(b'{"type"',
     b'{"error": {}, "type"'), ["a"]),
    ("one JSON over several lines", b"event: content_block_delta\ndata: {\"type\":\n"
     b'data: "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}\n\n'
     + END, ["a"]),
]  # fmt: skip


@pytest.mark.parametrize(("data", "expected"), [s[1:] for s in SHAPES], ids=[s[0] for s in SHAPES])
def test_what_gateways_make_of_it(data: bytes, expected: list[Any]) -> None:
    parts, finish = run_every_way(data)
    assert said(parts) == expected
    calls = any(isinstance(part, ToolInputPart) for part in parts)
    assert finish.reason == ("tool-calls" if calls else "stop")


USAGES: list[tuple[str, bytes, Usage]] = [
    ("at the end only", reason("end_turn", input_tokens=3, output_tokens=4), Usage(3, 4, 7)),
    ("zeros at the end", started(input_tokens=3) + reason("end_turn", input_tokens=0),
     Usage(3, 0, 3)),
    ("grows", started(input_tokens=3, output_tokens=1) + reason(None, output_tokens=5)
     + reason("end_turn", input_tokens=9, output_tokens=7), Usage(9, 7, 16)),
    ("cached", started(input_tokens=1, cache_read_input_tokens=2, cache_creation_input_tokens=4)
     + reason("end_turn", output_tokens=8), Usage(7, 8, 15, 2)),
    ("as text and floats", started(input_tokens="3") + reason("end_turn", output_tokens=4.0),
     Usage(3, 4, 7)),
    ("null", started(input_tokens=None) + reason("end_turn", output_tokens=None), Usage()),
    ("nonsense", started(input_tokens=[1]) + reason("end_turn", output_tokens=-4), Usage()),
    ("thinking", reason("end_turn", output_tokens=4, output_tokens_details={"thinking_tokens": 3}),
     Usage(0, 4, 4, 0, 3)),
    ("details null", reason("end_turn", output_tokens=4, output_tokens_details=None),
     Usage(0, 4, 4)),
    ("details nonsense", reason("end_turn", output_tokens=4, output_tokens_details=[]),
     Usage(0, 4, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("data", "usage"), [u[1:] for u in USAGES], ids=[u[0] for u in USAGES])
def test_usage(data: bytes, usage: Usage) -> None:
    _, finish = run_every_way(data + STOP)
    assert finish.usage == usage


WHOLE: dict[str, Any] = {
    "type": "message",
    "role": "assistant",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "text", "text": "a"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    ],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 3, "output_tokens": 4},
}


def whole(body: bytes) -> tuple[list[Any], ModelFinish]:
    decoding = decoder()
    parts = decoding.feed_whole(body)
    assert decoding.done
    return said(parts), decoding.finish()


def test_a_whole_message_although_a_stream_was_asked_for() -> None:
    parts, finish = whole(json.dumps(WHOLE).encode())
    assert parts == [("hm",), "a", ["t", "f", '{"a": 1}']]
    assert (finish.reason, finish.usage) == ("tool-calls", Usage(3, 4, 7))
    assert kept(finish)[0] == {"type": "thinking", "thinking": "hm", "signature": "sig"}


@pytest.mark.parametrize(
    "message",
    [
        WHOLE | {"type": None},
        WHOLE | {"usage": None, "stop_reason": None},
        WHOLE | {"content": [*WHOLE["content"], {"type": "news"}]},
    ],
)
def test_whole_messages_that_lack_something(message: Any) -> None:
    parts, finish = whole(json.dumps(message).encode())
    assert parts == [("hm",), "a", ["t", "f", '{"a": 1}']]
    assert finish.reason == "tool-calls"


def test_events_in_lines() -> None:
    lines = [each.partition(b"data: ")[2] for each in (text(0, "a") + END).split(b"\n\n") if each]
    parts, finish = whole(b"\n".join(lines))
    assert (parts, finish.reason) == (["a"], "stop")
    assert decoder().may_go_on(lines[0])
    assert not decoder().may_go_on(json.dumps(WHOLE).encode())


@pytest.mark.parametrize(
    ("body", "code", "retryable"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "x"}},
         "provider-error", True),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "x"}},
         "rate-limit", True),
        ({"error": {"message": "x", "code": 429}}, "rate-limit", True),
        ({"message": "x", "code": "401"}, "auth", False),
        ({"detail": "x"}, "provider-error", False),
        ({"choices": [{"message": {"content": "a"}}]}, "bad-response", False),
        ({}, "bad-response", False),
    ],
)  # fmt: skip
def test_a_whole_body_that_is_an_error(body: Any, code: str, retryable: bool) -> None:
    decoding = decoder()
    assert decoding.feed_whole(json.dumps(body).encode()) == []
    with pytest.raises(ModelError) as info:
        decoding.finish()
    assert (info.value.code, info.value.retryable) == (code, retryable)


def test_a_whole_body_that_was_cut() -> None:
    decoding = decoder()
    assert decoding.feed_whole(json.dumps(WHOLE).encode()[:-3]) == []
    assert not decoding.done
    with pytest.raises(ModelError, match="cut-stream"):
        decoding.finish()


def test_an_event_larger_than_a_mebibyte() -> None:
    parts, _ = run([delta(0, "text_delta", text="x" * (2 << 20)) + END])
    assert parts == [TextPart("x" * (2 << 20))]


def test_bytes_that_are_no_text() -> None:
    _, error = failure(gzip.compress(RICH, mtime=0) + b"\n\n")
    assert error.code == "cut-stream"


def test_more_calls_than_anybody_means() -> None:
    parts, finish = run([b"".join(call(n, f"t{n}", "f") for n in range(128)) + CALLED])
    assert (len(parts), finish.reason) == (128, "tool-calls")
    parts, error = failure(b"".join(call(n, f"t{n}", "f") for n in range(129)) + CALLED)
    assert (len(parts), error.code) == (128, "bad-response")
    assert "more than 128 tools" in error.message


BODY = {"model": MODEL, "messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}]}


def paused(*blocks: bytes, container: str | None = None) -> bytes:
    message: dict[str, Any] = {"usage": {"input_tokens": 2}}
    if container is not None:
        message["container"] = {"id": container}
    begun = event("message_start", message=message)
    return begun + b"".join(blocks) + reason("pause_turn", output_tokens=3) + STOP


SEARCHED = call(1, "srv", "web_search", '{"q":1}', type_="server_tool_use")
SEARCHED_BLOCK = {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"q": 1}}


def test_a_pause_goes_on_with_what_was_said() -> None:
    decoding = decoder()
    assert said(decoding.feed(paused(text(0, "a"), SEARCHED))) == ["a"]
    assert decoding.done
    assert decoding.finish().reason == "stop"
    first = decoding.resume(BODY)
    assert first is not None
    assert first["messages"][0] == BODY["messages"][0]
    assert first["messages"][1:] == [
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, SEARCHED_BLOCK]}
    ]
    assert not decoding.done
    assert not decoding.complete
    assert said(decoding.feed(paused(text(0, "b ")))) == ["b "]
    second = decoding.resume(first)
    assert second is not None
    assert second["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "a"},
                SEARCHED_BLOCK,
                {"type": "text", "text": "b"},
            ],
        }
    ]
    decoding.feed(started(input_tokens=2) + text(0, "c") + END)
    finish = decoding.finish()
    assert decoding.resume(second) is None
    assert finish.reason == "stop"
    assert finish.usage == Usage(6, 7, 13)
    assert [block.get("text") for block in kept(finish)] == ["a", None, "b ", "c"]
    assert BODY["messages"] == [{"role": "user", "content": [{"type": "text", "text": "q"}]}]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ({}, "c1"),
        ({"container": "c0"}, "c1"),
        ({"container": {"skills": []}}, {"skills": [], "id": "c1"}),
    ],
)
def test_a_pause_goes_on_in_its_container(option: Any, expected: Any) -> None:
    decoding = decoder()
    decoding.feed(paused(SEARCHED, container="c1"))
    resumed = decoding.resume(BODY | option)
    assert resumed is not None
    assert resumed["container"] == expected


def test_a_pause_in_which_nothing_was_said_asks_again() -> None:
    decoding = decoder()
    decoding.feed(paused())
    assert decoding.resume(BODY) == BODY
    decoding.feed(paused(text(0, "a")))
    resumed = decoding.resume(BODY)
    assert resumed is not None
    assert [turn["role"] for turn in resumed["messages"]] == ["user", "assistant"]


def test_what_goes_wrong_after_a_pause_is_told() -> None:
    decoding = decoder()
    decoding.feed(paused(text(0, "a")))
    assert decoding.resume(BODY)
    decoding.feed_eof()
    with pytest.raises(ModelError, match="cut-stream") as info:
        decoding.finish()
    assert not info.value.retryable


@pytest.mark.parametrize(
    "answer", [text(0, "a") + END, call(0, "t", "f") + reason("pause_turn") + STOP, b"data: {\n\n"]
)
def test_what_is_no_pause_does_not_go_on(answer: bytes) -> None:
    decoding = decoder()
    decoding.feed(answer)
    assert decoding.resume(BODY) is None


def test_the_codec_says_once_that_thinking_is_off(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trio_agent")
    codec = MessagesCodec(model=MODEL, origin=ORIGIN, server_tools=({"name": "s"},))
    thinking = {"type": "enabled", "budget_tokens": 2000}
    request = ModelRequest((UserMessage("q"),), options={"thinking": thinking})
    assert codec.encode(request)["thinking"] == thinking
    assert caplog.messages == []
    forced = ModelRequest(request.messages, options=request.options, tool_choice="s")
    for _ in range(2):
        body = codec.encode(forced)
        assert body["thinking"] == {"type": "disabled"}
        assert body["tools"] == [{"name": "s"}]
    assert len(caplog.messages) == 1
    assert MODEL in caplog.messages[0]
    assert isinstance(codec.decoder("k", forced), MessagesDecoder)


@pytest.mark.parametrize("said", ["sk-secret", "error: sk-secret"])
def test_a_reason_that_repeats_the_key_is_told_without_it(said: str) -> None:
    decoder = MessagesDecoder(secret="sk-secret")
    decoder.feed(reason(said) + STOP)
    with pytest.raises(ModelError) as info:
        decoder.finish()
    assert "sk-secret" not in info.value.message
