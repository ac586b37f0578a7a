"""Streamed responses, without any I/O."""

import itertools
import json
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from decoder_kit import Decoding
from hypothesis import given, settings, strategies as st

from trio_agent._errors import ModelError
from trio_agent._events import Usage
from trio_agent.models._parts import ModelFinish, ModelPart, ReasoningPart, TextPart, ToolInputPart
from trio_agent.models.openai_responses._decoder import ResponsesDecoder

DONE = b"data: [DONE]\n\n"
ORIGIN = "openai-responses@api.openai.com"


def sse(value: Any, event: str | None = None) -> bytes:
    head = b"" if event is None else f"event: {event}\n".encode()
    return head + b"data: " + json.dumps(value).encode() + b"\n\n"


def ev(type_: str, **fields: Any) -> bytes:
    return sse({"type": f"response.{type_}", **fields})


def text(
    delta: str, id_: str | None = "msg_1", index: int | None = 0, part: int | None = 0
) -> bytes:
    return ev("output_text.delta", **place(id_, index), content_index=part, delta=delta)


def args(delta: Any, id_: str | None = "fc_1", index: int | None = 0) -> bytes:
    return ev("function_call_arguments.delta", **place(id_, index), delta=delta)


def place(id_: str | None, index: int | None) -> dict[str, Any]:
    fields = {"item_id": id_, "output_index": index}
    return {name: value for name, value in fields.items() if value is not None}


def added(item: Any, index: int | None = 0) -> bytes:
    return ev("output_item.added", **place(None, index), item=item)


def done(item: Any, index: int | None = 0) -> bytes:
    return ev("output_item.done", **place(None, index), item=item)


def message(*texts: str, **fields: Any) -> dict[str, Any]:
    parts = [{"type": "output_text", "text": each, "annotations": []} for each in texts]
    head = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    return {**head, "content": parts, **fields}


def call(arguments: Any = "", **fields: Any) -> dict[str, Any]:
    head = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f"}
    return {**head, "arguments": arguments, **fields}


def reasoning(*summary: str, **fields: Any) -> dict[str, Any]:
    parts = [{"type": "summary_text", "text": each} for each in summary]
    return {"type": "reasoning", "id": "rs_1", "summary": parts, **fields}


USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


def end(*output: Any, kind: str = "completed", **fields: Any) -> bytes:
    response = {"object": "response", "status": kind, "output": list(output), "usage": USAGE}
    return ev(kind, response={**response, **fields})


END = end()


decoding = Decoding(partial(ResponsesDecoder, origin=ORIGIN))
run, run_every_way, failure = decoding.run, decoding.run_every_way, decoding.failure


def said(parts: Iterable[ModelPart]) -> list[Any]:
    """Text as str, reasoning as (delta,), calls as [id, name, arguments]; deltas are joined."""
    result: list[Any] = []
    calls: dict[str, list[str]] = {}
    for part in parts:
        match part:
            case ToolInputPart(id_, name, delta):
                if id_ not in calls:
                    result.append(calls.setdefault(id_, [id_, name, delta]))
                else:
                    assert delta, "only an opening is empty"
                    assert calls[id_][1] == name
                    calls[id_][2] += delta
            case ReasoningPart(delta):
                assert delta
                if result and isinstance(result[-1], tuple):
                    delta = result.pop()[0] + delta
                result.append((delta,))
            case TextPart(delta):
                assert delta
                if result and isinstance(result[-1], str):
                    delta = result.pop() + delta
                result.append(delta)
    return result


def test_a_whole_stream_as_it_is_documented() -> None:
    thought = reasoning("Hm.", "So.", encrypted_content="gAAA", status="completed")
    first = {**place("rs_1", 0), "summary_index": 0}
    second = {**place("rs_1", 0), "summary_index": 1}
    part = {"type": "summary_text", "text": "Hm."}
    events = [
        ev("created", response={"status": "in_progress", "error": None}),
        ev("in_progress", response={"status": "in_progress"}),
        added(reasoning(), 0),
        ev("reasoning_summary_part.added", **first),
        ev("reasoning_summary_text.delta", **first, delta="H"),
        ev("reasoning_summary_text.delta", **first, delta="m."),
        ev("reasoning_summary_text.done", **first, text="Hm."),
        ev("reasoning_summary_part.done", **first, part=part),
        ev("reasoning_summary_part.added", **second),
        ev("reasoning_summary_text.delta", **second, delta="So."),
        done(thought, 0),
        added(message(), 1),
        ev(
            "content_part.added",
            item_id="msg_1",
            output_index=1,
            content_index=0,
            part={"type": "output_text", "text": ""},
        ),
        text("Hé", index=1),
        b": keep-alive\n\n",
        text("llo", index=1),
        ev("output_text.done", item_id="msg_1", output_index=1, content_index=0, text="Héllo"),
        ev(
            "content_part.done",
            item_id="msg_1",
            output_index=1,
            content_index=0,
            part={"type": "output_text", "text": "Héllo"},
        ),
        done(message("Héllo"), 1),
        added(call(), 2),
        args('{"a"', index=2),
        args(": 1}", index=2),
        ev("function_call_arguments.done", item_id="fc_1", output_index=2, arguments='{"a": 1}'),
        done(call('{"a": 1}', status="completed"), 2),
        end(thought, message("Héllo"), call('{"a": 1}', status="completed")),
    ]
    parts, finish = run_every_way(b"".join(events))
    assert parts == [
        ReasoningPart("H"),
        ReasoningPart("m."),
        ReasoningPart("\n\nSo."),
        TextPart("Hé"),
        TextPart("llo"),
        ToolInputPart("call_1", "f", ""),
        ToolInputPart("call_1", "f", '{"a"'),
        ToolInputPart("call_1", "f", ": 1}"),
    ]
    assert finish.reason == "tool-calls"
    assert finish.usage == Usage(3, 2, 5)
    (state,) = finish.provider.values()
    assert finish.provider.keys() == {ORIGIN}
    assert state["output"] == [
        {k: v for k, v in thought.items() if k not in ("id", "status")},
        {k: v for k, v in message("Héllo").items() if k != "id"},
        {k: v for k, v in call('{"a": 1}', status="completed").items() if k != "id"},
    ]


ONE = ["Hello"]
CALLED = [["call_1", "f", '{"a":1}']]
RAW_EMOJI = b'data: {"type":"response.output_text.delta","item_id":"m","delta":"%s"}\n\n'

SHAPES: dict[str, tuple[bytes, list[Any], str]] = {
    "only the whole response": (end(message("Hello")), ONE, "stop"),
    "only the whole item": (done(message("Hello")) + END, ONE, "stop"),
    "only done of the text": (ev("output_text.done", text="Hello") + END, ONE, "stop"),
    "only done of the part": (
        ev("content_part.done", part={"type": "output_text", "text": "Hello"}) + END,
        ONE,
        "stop",
    ),
    "everything, each more than once": (
        added(message())
        + text("Hel")
        + text("lo")
        + ev("output_text.done", **place("msg_1", 0), content_index=0, text="Hello") * 2
        + done(message("Hello")) * 2
        + end(message("Hello")),
        ONE,
        "stop",
    ),
    "the rest of a text stands in its item": (
        text("Hel") + done(message("Hello")) + END,
        ONE,
        "stop",
    ),
    "the rest of a text stands in the response": (text("Hel") + end(message("Hello")), ONE, "stop"),
    "a second part that was not streamed": (
        text("Hel") + text("lo") + done(message("Hello", " you")) + END,
        ["Hello you"],
        "stop",
    ),
    "the response is empty": (text("Hello") + done(message("Hello")) + end(), ONE, "stop"),
    "the response has a stub of the answer": (
        added(call()) + args('{"a":1}') + end(message("")),
        CALLED,
        "tool-calls",
    ),
    "deltas before their item": (
        text("Hel") + added(message()) + text("lo") + done(message("Hello")) + END,
        ONE,
        "stop",
    ),
    "no index": (
        added(message(), None)
        + text("Hello", index=None, part=None)
        + done(message("Hello"), None)
        + END,
        ONE,
        "stop",
    ),
    "no id": (text("Hello", None) + done(message("Hello", id=None)) + END, ONE, "stop"),
    "neither id nor index": (
        text("Hel", None, None, None) + text("lo", None, None, None) + end(message("Hello")),
        ONE,
        "stop",
    ),
    "an id that is new in each event": (
        added(message(id="a"))
        + text("Hel", "b")
        + text("lo", "c")
        + done(message("Hello", id="d"))
        + end(message("Hello", id="e")),
        ONE,
        "stop",
    ),
    "the part's number is another one when it is done": (
        text("Hello", part=1)
        + ev("output_text.done", **place("msg_1", 0), content_index=0, text="Hello")
        + done(message("Hello"))
        + END,
        ONE,
        "stop",
    ),
    "what was streamed stands, if the end says otherwise": (
        text(" Hello") + done(message("Hello")) + end(message("Hello")),
        [" Hello"],
        "stop",
    ),
    "two messages": (
        text("Let me see. ")
        + done(message("Let me see. "), 0)
        + text("Four.", "msg_2", 1)
        + done(message("Four.", id="msg_2"), 1)
        + END,
        ["Let me see. Four."],
        "stop",
    ),
    "two messages, index always 0": (
        added(message())
        + text("A")
        + done(message("A"))
        + added(message(id="msg_2"))
        + text("B", "msg_2")
        + done(message("B", id="msg_2"))
        + end(message("A"), message("B", id="msg_2")),
        ["AB"],
        "stop",
    ),
    "a refusal": (
        ev("refusal.delta", **place("msg_1", 0), content_index=0, delta="No")
        + ev("refusal.done", **place("msg_1", 0), content_index=0, refusal="No.")
        + end(message(content=[{"type": "refusal", "refusal": "No."}])),
        ["No."],
        "stop",
    ),
    "a refusal in the response only": (
        end(message(content=[{"type": "refusal", "refusal": "No."}])),
        ["No."],
        "stop",
    ),
    "reasoning as text": (
        ev("reasoning_text.delta", **place("rs_1", 0), content_index=0, delta="Hm")
        + ev("reasoning_text.done", **place("rs_1", 0), content_index=0, text="Hm.")
        + done(reasoning(content=[{"type": "reasoning_text", "text": "Hm."}]))
        + text("Hello", index=1)
        + END,
        [("Hm.",), "Hello"],
        "stop",
    ),
    "reasoning as a part": (
        ev(
            "content_part.done",
            **place("rs_1", 0),
            content_index=0,
            part={"type": "reasoning_text", "text": "Hm."},
        )
        + text("Hello", index=1)
        + END,
        [("Hm.",), "Hello"],
        "stop",
    ),
    "reasoning as a part that is called a text": (
        added(reasoning())
        + ev("reasoning_text.delta", **place("rs_1", 0), content_index=0, delta="Hm.")
        + ev(
            "content_part.done",
            **place("rs_1", 0),
            content_index=0,
            part={"type": "output_text", "text": "Hm."},
        )
        + text("Hello", index=1)
        + END,
        [("Hm.",), "Hello"],
        "stop",
    ),
    "a summary in its item only, in two parts": (
        done(reasoning("A", "B")) + text("Hello", index=1) + END,
        [("A\n\nB",), "Hello"],
        "stop",
    ),
    "a summary whose parts have no numbers": (
        ev("reasoning_summary_part.added")
        + ev("reasoning_summary_text.delta", delta="A")
        + ev("reasoning_summary_part.added")
        + ev("reasoning_summary_text.delta", delta="B")
        + text("Hello")
        + END,
        [("A\n\nB",), "Hello"],
        "stop",
    ),
    "a summary in a part only": (
        ev(
            "reasoning_summary_part.done",
            **place("rs_1", 0),
            summary_index=0,
            part={"type": "summary_text", "text": "A"},
        )
        + text("Hello")
        + END,
        [("A",), "Hello"],
        "stop",
    ),
    "reasoning between calls": (
        done(reasoning("A"), 0)
        + done(call('{"a":1}'), 1)
        + done(reasoning("B", id="rs_2"), 2)
        + END,
        [("A",), ["call_1", "f", '{"a":1}'], ("\n\nB",)],
        "tool-calls",
    ),
    "a call, to the letter": (
        added(call()) + args('{"a"') + args(":1}") + done(call('{"a":1}')) + end(call('{"a":1}')),
        CALLED,
        "tool-calls",
    ),
    "arguments in done only": (
        added(call())
        + ev("function_call_arguments.done", **place("fc_1", 0), arguments='{"a":1}')
        + END,
        CALLED,
        "tool-calls",
    ),
    "arguments in the item only": (
        added(call()) + done(call('{"a":1}')) + END,
        CALLED,
        "tool-calls",
    ),
    "arguments in the response only": (added(call()) + end(call('{"a":1}')), CALLED, "tool-calls"),
    "a call in the response only": (
        text("Hi") + end(message("Hi"), call('{"a":1}')),
        ["Hi", *CALLED],
        "tool-calls",
    ),
    "arguments at the begin, and again": (
        added(call('{"a":1}')) + args('{"a":1}') + done(call('{"a":1}')) + END,
        CALLED,
        "tool-calls",
    ),
    "arguments at the begin only": (added(call('{"a":1}')) + END, CALLED, "tool-calls"),
    "a placeholder before the arguments": (
        added(call("{}")) + args("{}") + args('{"a":1}') + done(call('{"a":1}')) + END,
        CALLED,
        "tool-calls",
    ),
    "whole arguments as a delta, twice": (
        added(call()) + args('{"a":1}') * 2 + END,
        CALLED,
        "tool-calls",
    ),
    "no arguments at all": (
        added(call()) + done(call("")) + END,
        [["call_1", "f", ""]],
        "tool-calls",
    ),
    "arguments null": (done(call(None)) + END, [["call_1", "f", ""]], "tool-calls"),
    "null before the arguments": (
        added(call(None)) + args(None) + args('{"a":1}') + done(call('{"a":1}')) + END,
        CALLED,
        "tool-calls",
    ),
    "the word null": (done(call("null")) + END, [["call_1", "f", "{}"]], "tool-calls"),
    "JSON within JSON": (
        done(call('"{\\"a\\":1}"')) + END,
        [["call_1", "f", '"{\\"a\\":1}"']],
        "tool-calls",
    ),
    "a blank id where a call goes on": (
        added(call()) + args('{"a"', " ") + args(":1}", " ") + END,
        CALLED,
        "tool-calls",
    ),
    "neither ids nor indexes where calls go on": (
        added(call(), None)
        + args('{"a":1}', None, None)
        + added(call(id="fc_2", call_id="call_2", name="g"), None)
        + args('{"b"', None, None)
        + args(":2}", None, None)
        + END,
        [["call_1", "f", '{"a":1}'], ["call_2", "g", '{"b":2}']],
        "tool-calls",
    ),
    "three calls, index always 0, names tell them apart": (
        b"".join(done(call("{}", id=None, call_id=None, name=name)) for name in "fgh") + END,
        [[f"call_{number}", name, "{}"] for number, name in enumerate("fgh")],
        "tool-calls",
    ),
    "the index begins at 1": (
        added(message(), 1)
        + text("Hello", index=1)
        + done(message("Hello"), 1)
        + added(call(), 2)
        + args('{"a":1}', index=2)
        + end(message("Hello"), call('{"a":1}')),
        ["Hello", *CALLED],
        "tool-calls",
    ),
    "empty arguments": (
        added(call()) + args("{}") + done(call("{}")) + END,
        [["call_1", "f", "{}"]],
        "tool-calls",
    ),
    "arguments as an object": (
        added(call({})) + done(call({"a": 1})) + END,
        [["call_1", "f", '{"a": 1}']],
        "tool-calls",
    ),
    "an object as a delta": (
        added(call()) + args({"a": 1}) + done(call({"a": 1})) + END,
        [["call_1", "f", '{"a": 1}']],
        "tool-calls",
    ),
    "arguments before their call": (
        args('{"a"') + added(call()) + args(":1}") + END,
        CALLED,
        "tool-calls",
    ),
    "the name comes at the end": (
        added(call(name="")) + args('{"a":1}') + done(call('{"a":1}')) + END,
        CALLED,
        "tool-calls",
    ),
    "no id of the call": (
        done(call('{"a":1}', call_id=None)) + END,
        [["fc_1", "f", '{"a":1}']],
        "tool-calls",
    ),
    "blank ids": (
        done(call('{"a":1}', call_id=" ", id=""), None)
        + done(call("{}", call_id="", id=" "), None)
        + END,
        [["call_0", "f", '{"a":1}'], ["call_1", "f", "{}"]],
        "tool-calls",
    ),
    "two calls, arguments interleaved": (
        added(call(), 0)
        + added(call(id="fc_2", call_id="call_2", name="g"), 1)
        + args('{"a"', index=0)
        + args('{"b"', "fc_2", 1)
        + args(":1}", index=0)
        + args(":2}", "fc_2", 1)
        + end(call('{"a":1}'), call('{"b":2}', id="fc_2", call_id="call_2", name="g")),
        [["call_1", "f", '{"a":1}'], ["call_2", "g", '{"b":2}']],
        "tool-calls",
    ),
    "two calls, index always 0, no ids of items": (
        added(call(id=None))
        + args('{"a":1}', None)
        + done(call('{"a":1}', id=None))
        + added(call(id=None, call_id="call_2"))
        + args('{"b":2}', None)
        + done(call('{"b":2}', id=None, call_id="call_2"))
        + END,
        [["call_1", "f", '{"a":1}'], ["call_2", "f", '{"b":2}']],
        "tool-calls",
    ),
    "two calls of one tool with one id": (
        done(call('{"a":1}', id="fc_1"), 0)
        + done(call('{"a":2}', id="fc_2"), 1)
        + end(call('{"a":1}', id="fc_1"), call('{"a":2}', id="fc_2")),
        [["call_1", "f", '{"a":1}'], ["call_1-2", "f", '{"a":2}']],
        "tool-calls",
    ),
    "two calls that are the same but for their ids": (
        done(call("{}"), 0)
        + done(call("{}", id="fc_2", call_id="call_2"), 1)
        + end(call("{}"), call("{}", id="fc_2", call_id="call_2")),
        [["call_1", "f", "{}"], ["call_2", "f", "{}"]],
        "tool-calls",
    ),
    "a call that is told again under another id of its item": (
        done(call('{"a":1}')) + done(call('{"a":1}', id="fc_9")) + end(call('{"a":1}', id="fc_8")),
        CALLED,
        "tool-calls",
    ),
    "a call that has another id at the end": (
        added(call()) + args('{"a":1}') + end(call('{"a":1}', call_id="call_9")),
        CALLED,
        "tool-calls",
    ),
    "[DONE] instead of an end": (text("Hello") + DONE, ONE, "stop"),
    "[DONE] behind a call": (added(call()) + args('{"a":1}') + DONE, CALLED, "tool-calls"),
    "[DONE] with a space": (text("Hello") + b"data: [DONE] \n\n", ONE, "stop"),
    "[DONE] behind the end": (text("Hello") + END + DONE, ONE, "stop"),
    "an end without anything": (text("Hello") + ev("completed"), ONE, "stop"),
    "an end whose status is a step behind": (
        text("Hello") + end(kind="completed", status="in_progress"),
        ONE,
        "stop",
    ),
    "incomplete, in an event that says completed": (
        text("Hello") + end(status="incomplete"),
        ONE,
        "length",
    ),
    "max_output_tokens": (
        text("Hello") + end(kind="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        ONE,
        "length",
    ),
    "content_filter": (
        text("Hello") + end(kind="incomplete", incomplete_details={"reason": "content_filter"}),
        ONE,
        "content-filter",
    ),
    "incomplete, nobody says why": (text("Hello") + end(kind="incomplete"), ONE, "length"),
    "cut off within a call": (
        added(call()) + args('{"a') + end(kind="incomplete"),
        [["call_1", "f", '{"a']],
        "length",
    ),
    "the type stands in the event only": (
        sse({"delta": "Hello", "item_id": "msg_1"}, "response.output_text.delta")
        + sse({"response": {"status": "completed"}}, "response.completed"),
        ONE,
        "stop",
    ),
    "the response stands in the event itself": (
        sse({"object": "response", "status": "in_progress"}, "response.created")
        + text("Hello")
        + sse({"object": "response", "status": "completed", "output": []}, "response.completed"),
        ONE,
        "stop",
    ),
    "a response without an event": (
        text("Hel")
        + sse({"object": "response", "status": "completed", "output": [message("Hello")]}),
        ONE,
        "stop",
    ),
    "unknown events, pings, empty data, several lines": (
        b"\xef\xbb\xbf: hi\r\n\r\ndata:\n\nretry: 3\n\nid: 7\n\n"
        + sse({"type": "keepalive", "sequence_number": 3}, "keepalive")
        + sse({}, "ping")
        + ev("web_search_call.searching", item_id="ws_1", output_index=0)
        + ev("output_text.annotation.added", annotation={"type": "url_citation"})
        + ev("custom_tool_call_input.delta", delta="x")
        + b'data:{"type": "response.output_text.delta",\ndata: "delta": "Hello"}\n\n'
        + END,
        ONE,
        "stop",
    ),
    "a delta of parts": (
        ev("output_text.delta", delta=[{"text": "Hel"}, {"text": "lo"}]) + END,
        ONE,
        "stop",
    ),
    "an index as text, a whole float": (
        ev("output_text.delta", delta="Hello", output_index="0", content_index=0.0)
        + done(message("Hello"))
        + END,
        ONE,
        "stop",
    ),
    "NaN where nobody looks": (
        b'data: {"type":"response.output_text.delta","delta":"Hello","logprobs":[NaN]}\n\n' + END,
        ONE,
        "stop",
    ),
    "an empty error in each event": (
        ev("output_text.delta", delta="Hello", error={}) + end(error={}),
        ONE,
        "stop",
    ),
    "halves of a pair in two deltas": (
        RAW_EMOJI % b"\\ud83d" + RAW_EMOJI % b"\\ude00" + END,
        ["😀"],
        "stop",
    ),
    "half a pair": (RAW_EMOJI % b"\\udcaf" + END, ["\ufffd"], "stop"),
    "the last event without the empty line": (text("Hello") + END[:-1], ONE, "stop"),
    "a large event": (text("x" * (2 << 20)) + END, ["x" * (2 << 20)], "stop"),
    "an item that is none": (
        ev("output_item.done", item=None) + ev("output_item.added", item=[1]) + text("Hello") + END,
        ONE,
        "stop",
    ),
    "what goes wrong behind the end": (
        text("Hello") + END + sse({"error": {"message": "x"}}) + b"data: {\n\n",
        ONE,
        "stop",
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name: str) -> None:
    data, expected, reason = SHAPES[name]
    parts, finish = run_every_way(data) if len(data) < 1 << 16 else run([data])
    assert said(parts) == expected
    assert finish.reason == reason


FAILURES: dict[str, tuple[bytes, str, bool, str]] = {
    "failed": (
        end(kind="failed", error={"code": "server_error", "message": "The model failed."}),
        "provider-error",
        True,
        "The model failed.",
    ),
    "failed, rate limit": (
        end(
            kind="failed",
            error={"code": "rate_limit_exceeded", "message": "Please try again in 6s."},
        ),
        "rate-limit",
        True,
        "try again",
    ),
    "failed, invalid prompt": (
        end(kind="failed", error={"code": "invalid_prompt", "message": "no"}),
        "content-filter",
        False,
        "no",
    ),
    "failed, too long": (
        end(kind="failed", error={"code": "context_length_exceeded", "message": "no"}),
        "context-length",
        False,
        "no",
    ),
    "failed without a word": (
        end(kind="failed"),
        "provider-error",
        True,
        "broke the answer off: failed",
    ),
    "cancelled": (end(kind="cancelled"), "provider-error", True, "broke the answer off: cancelled"),
    "failed, in an event that says completed": (
        end(status="failed"),
        "provider-error",
        True,
        "failed",
    ),
    "a flat error": (
        sse({"type": "error", "code": "server_error", "message": "Oops", "param": None}, "error"),
        "provider-error",
        True,
        "Oops",
    ),
    "a nested error": (
        sse(
            {
                "type": "error",
                "error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "Slow"},
            }
        ),
        "rate-limit",
        True,
        "Slow",
    ),
    "an error with a type of its own": (
        sse({"type": "invalid_request_error", "message": "no"}, "error"),
        "bad-request",
        False,
        "no",
    ),
    "an error without an event": (
        sse({"error": {"message": "no", "code": 400}}),
        "bad-request",
        False,
        "no",
    ),
    "an error as text": (
        b"data: the model is too busy, sorry\n\n",
        "provider-error",
        False,
        "busy",
    ),
    "an error object": (
        sse({"object": "error", "message": "no", "code": 400}),
        "bad-request",
        False,
        "no",
    ),
    "a base_resp": (
        sse({"base_resp": {"status_code": 1004, "status_msg": "login"}}),
        "auth",
        False,
        "login",
    ),
    "a code as text": (sse({"error": {"code": "429", "message": "no"}}), "rate-limit", True, "no"),
    "an error in an error event": (
        b"event: error\ndata: boom\n\n",
        "provider-error",
        False,
        "boom",
    ),
    "quota": (
        sse(
            {
                "type": "error",
                "error": {"type": "insufficient_quota", "message": "You have no credits"},
            }
        ),
        "rate-limit",
        False,
        "credits",
    ),
    "nothing": (b"", "cut-stream", True, "ended before"),
    "no end": (
        ev("created", response={"status": "in_progress"}),
        "cut-stream",
        True,
        "ended before",
    ),
    "the last event is cut": (
        b'data: {"type": "response.completed", "resp',
        "cut-stream",
        True,
        "ended",
    ),
    "no JSON": (b"data: {\n\n", "bad-response", False, "no stream of a response"),
    "another language": (
        sse({"object": "chat.completion.chunk", "choices": [{"delta": {}}]}),
        "bad-response",
        False,
        "OpenAIModel",
    ),
    "a call without a name": (args("{}") + END, "bad-response", False, "no name"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures(name: str) -> None:
    data, code, retryable, words = FAILURES[name]
    parts, error = failure(data)
    assert said(parts) == []
    assert (error.code, error.retryable) == (code, retryable)
    assert words in error.message
    parts, error = failure(text("Hi") + data)
    assert said(parts)[0] == "Hi"
    assert not error.retryable


def test_a_failure_keeps_the_wait_that_is_asked_for() -> None:
    error = {"code": "rate_limit_exceeded", "message": "Please try again in 6s."}
    assert failure(end(kind="failed", error=error))[1].retry_after == 6


def test_the_key_is_cut_out_of_the_providers_message() -> None:
    error = {"code": "server_error", "message": "bad sk-secret"}
    assert failure(end(kind="failed", error=error), secret="sk-secret")[1].message == "bad ***"


@pytest.mark.parametrize("item", [text("x"), added(call())])
def test_an_answer_that_was_cut(item: bytes) -> None:
    _, error = failure(item)
    assert (error.code, error.retryable) == ("cut-stream", False)


def test_an_end_that_ends_nothing() -> None:
    _, error = failure(DONE)
    assert (error.code, error.retryable) == ("cut-stream", True)


WHOLE = json.loads(end(message("Hello"), call('{"a":1}'))[len("data: ") :])["response"]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(WHOLE).encode(),
        json.dumps(WHOLE, indent=1).encode("utf-8-sig"),
        json.dumps({**WHOLE, "object": None}).encode(),
        json.dumps([WHOLE]).encode(),
        json.dumps({"type": "response.completed", "response": WHOLE}).encode(),
        b"\n".join(
            json.dumps(value).encode()
            for value in (
                {"type": "response.created", "response": {"status": "in_progress"}},
                {"type": "response.output_text.delta", "delta": "Hel"},
                {"type": "response.completed", "response": WHOLE},
            )
        ),
    ],
)
def test_a_whole_body(body: bytes) -> None:
    decoder = ResponsesDecoder()
    assert said(decoder.feed_whole(body)) == ["Hello", *CALLED]
    assert (decoder.done, decoder.complete, decoder.started) == (True, True, True)
    assert decoder.finish() == ModelFinish("tool-calls", Usage(3, 2, 5))


@pytest.mark.parametrize("end", range(1, len(json.dumps(WHOLE)), 7))
def test_a_whole_body_that_was_cut(end: int) -> None:
    decoder = ResponsesDecoder()
    assert decoder.feed_whole(json.dumps(WHOLE).encode()[:end]) == []
    with pytest.raises(ModelError):
        decoder.finish()


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b'{"error": {"message": "Slow down", "code": 429}}', "rate-limit", "Slow down"),
        (b'{"status": "failed", "object": "response", "error": {"code": "server_error"}}',
         "provider-error", "server_error"),
        (b'{"object": "response", "status": "queued"}', "bad-response", "it is 'queued'"),
        (b'{"choices": [{"message": {"content": "x"}}]}', "bad-response", "OpenAIModel"),
        (b'{"models": []}', "bad-response", "HTTP 200"),
        (b"[]", "bad-response", "HTTP 200"),
        (b"", "bad-response", "HTTP 200"),
        (b"[" * 100_000 + b"]", "bad-response", "HTTP 200"),
        (b'{"type": "response.created", "response": {}}', "cut-stream", "ended before the answer"),
    ],
)  # fmt: skip
def test_a_whole_body_that_is_no_answer(body: bytes, code: str, message: str) -> None:
    decoder = ResponsesDecoder()
    assert decoder.feed_whole(body) == []
    assert not decoder.complete
    with pytest.raises(ModelError, match=message) as info:
        decoder.finish()
    assert info.value.code == code


@pytest.mark.parametrize(
    ("body", "goes_on"),
    [
        (b'{"type": "response.created"}', True),
        (b'{"type":"response.output_text.delta"}', True),
        (json.dumps(WHOLE).encode(), False),
        (json.dumps({"text": json.dumps({"type": "response.created"})}).encode(), False),
    ],
)
def test_what_may_go_on(body: bytes, goes_on: bool) -> None:
    assert ResponsesDecoder().may_go_on(body) is goes_on


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"".join(added(call(id=f"fc_{n}", call_id=str(n)), n) for n in range(129)), "128 tools"),
        (b"".join(text("x", f"m{n}", n) for n in range(1025)), "1024 items"),
        (args("x" * 500_000) * 3, "without its name"),
        (b"data: " + b"x" * (17 << 20), "larger than"),
        (ev("completed", response={"output": [[]] * (1 << 20)}), "too many values"),
    ],
)
def test_bounds(data: bytes, message: str) -> None:
    _, error = failure(data)
    assert error.code == "bad-response"
    assert message in error.message


IDS = st.sampled_from(["", "a", "b", None, 7])
INDEXES = st.sampled_from([0, 0, 1, "1", None, -1])
WORDS = st.sampled_from(["a", "\ud83d", "\ude00", "{", "}", '{"x":1}', "null", " ", "{}"])
TEXTS = st.lists(WORDS, max_size=3).map("".join)
SCALARS = st.none() | st.booleans() | st.integers(-1, 3) | st.floats() | TEXTS
ODD = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "message", "error", "code", "status"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=4,
)
ITEMS = ODD | st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "reasoning", "function_call", "web_search_call"]) | ODD},
    optional={
        "id": IDS | ODD,
        "call_id": IDS | ODD,
        "name": st.sampled_from(["f", "g", ""]) | ODD,
        "arguments": TEXTS | ODD,
        "content": ODD | st.lists(st.fixed_dictionaries({"text": TEXTS}), max_size=2),
        "summary": ODD | st.lists(st.fixed_dictionaries({"text": TEXTS}), max_size=2),
        "encrypted_content": ODD,
    },
)
TYPES = st.sampled_from(
    [
        "output_text.delta", "output_text.done", "refusal.delta", "refusal.done",
        "reasoning_summary_text.delta", "reasoning_summary_text.done",
        "reasoning_summary_part.added", "reasoning_text.delta", "content_part.done",
        "function_call_arguments.delta", "function_call_arguments.done",
        "output_item.added", "output_item.done", "completed", "incomplete", "failed",
    ]
)  # fmt: skip
EVENTS = st.builds(
    lambda type_, fields: ev(type_, **fields),
    TYPES,
    st.fixed_dictionaries(
        {},
        optional={
            "item_id": IDS | ODD,
            "output_index": INDEXES | ODD,
            "content_index": INDEXES | ODD,
            "summary_index": INDEXES,
            "delta": TEXTS | ODD,
            "text": TEXTS,
            "arguments": TEXTS | ODD,
            "item": ITEMS,
            "part": ODD,
            "error": ODD,
            "response": ODD
            | st.fixed_dictionaries(
                {},
                optional={
                    "status": st.sampled_from(["completed", "failed", "incomplete"]) | ODD,
                    "output": st.lists(ITEMS, max_size=3) | ODD,
                    "usage": ODD,
                    "error": ODD,
                    "store": ODD,
                    "incomplete_details": ODD,
                },
            ),
        },
    ),
)
STREAMS = st.lists(
    EVENTS | ODD.map(sse) | st.binary(max_size=8) | st.sampled_from([DONE, END, b"data: "]),
    max_size=8,
).map(b"".join)


def outcome(pieces: Iterable[bytes]) -> tuple[Any, ...]:
    decoder = ResponsesDecoder(origin=ORIGIN)
    parts = [part for piece in pieces for part in decoder.feed(piece)]
    parts += decoder.feed_eof()
    assert decoder.started == bool(parts)
    try:
        return parts, decoder.finish()
    except ModelError as error:
        return parts, error.args, error.retryable


@settings(deadline=None)  # other work on the machine is no fault of the decoder
@given(STREAMS, st.lists(st.integers(0, 400)))
def test_only_a_model_error_comes_out_and_cuts_change_nothing(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert outcome(pieces) == outcome([data])


@settings(deadline=None)
@given(STREAMS)
def test_what_is_kept_is_json(data: bytes) -> None:
    result = outcome([data])
    if isinstance(result[-1], ModelFinish):
        json.dumps(result[-1].provider, allow_nan=False).encode()


@settings(deadline=None)
@given(ODD | ITEMS | STREAMS)
def test_whole_garbage(value: Any) -> None:
    decoder = ResponsesDecoder()
    decoder.feed_whole(value if isinstance(value, bytes) else json.dumps(value).encode())
    with suppress(ModelError):
        decoder.finish()


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=5), st.data())
def test_what_is_told_by_and_by_is_told_once(texts: list[str], data: st.DataObject) -> None:
    whole = "".join(texts)
    events = [added(message())] if data.draw(st.booleans()) else []
    streamed = data.draw(st.integers(0, len(texts)))
    events += [text(each) for each in texts[:streamed]]
    behind = [
        ev("output_text.done", **place("msg_1", 0), content_index=0, text=whole),
        done(message(whole)),
    ]
    told = [each for each in behind if data.draw(st.booleans())]
    last = end(message(whole)) if not told or data.draw(st.booleans()) else END
    parts, _ = run([b"".join([*events, *told, last])])
    assert said(parts) == [whole]
