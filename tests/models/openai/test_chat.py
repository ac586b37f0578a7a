"""Requests and chunks of chat completions, without any I/O."""

import itertools
import json
from collections.abc import Iterable
from typing import Any

import pytest
from decoder_kit import Decoding
from hypothesis import given, settings, strategies as st

from trio_agent._errors import ModelError
from trio_agent._events import Usage
from trio_agent._log.plain import plain_json
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


decoding = Decoding(ChatDecoder)
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
                result.append((delta,))
            case TextPart(delta):
                assert delta
                result.append(delta)
    return result


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


def call(id_: str | None, name: str | None, arguments: Any, index: Any = 0) -> bytes:
    return fragments(fragment(index, id_, name, arguments))


OSLO, ROME = '{"city":"Oslo"}', '{"city":"Rome"}'
HELLO = delta(content="Hello.")
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def raw(text: str) -> bytes:
    """A chunk whose delta is written as it stands here."""
    return f'data: {{"choices":[{{"index":0,"delta":{{{text}}}}}]}}\n\n'.encode()


# By what it is called in the list of what providers send: what they send, what is meant by it,
# and why it finished.
CASES: dict[str, tuple[bytes, list[Any], str]] = {
    # Which call?
    "T01 no index": (
        fragments({"id": "a", "extra_content": {}, "function": {"name": "f", "arguments": OSLO}})
        + CALLED,
        [["a", "f", OSLO]],
        "tool-calls",
    ),
    "T02 no index, own chunks": (
        call("a", "f", OSLO, None) + call("b", "f", ROME, None) + CALLED,
        [["a", "f", OSLO], ["b", "f", ROME]],
        "tool-calls",
    ),
    "T04 index 0, no id, other names": (
        call(None, "f", OSLO) + call(None, "g", ROME) + call(None, "h", "{}") + CALLED,
        [["call_0", "f", OSLO], ["call_0-2", "g", ROME], ["call_0-3", "h", "{}"]],
        "tool-calls",
    ),
    "T04 in pieces": (
        call(None, "f", "") + call(None, None, OSLO) + call(None, "g", "") + call(None, None, ROME)
        + CALLED,
        [["call_0", "f", OSLO], ["call_0-2", "g", ROME]],
        "tool-calls",
    ),
    "T04 without arguments": (
        call(None, "f", "") + call(None, "g", None) + CALLED,
        [["call_0", "f", ""], ["call_0-2", "g", ""]],
        "tool-calls",
    ),
    "T05 index 0, blank id, one name": (
        call("", "f", OSLO) + call("", "f", ROME) + CALLED,
        [["call_0", "f", OSLO], ["call_0-2", "f", ROME]],
        "tool-calls",
    ),
    "T05 the same arguments twice": (
        call("", "f", OSLO) * 2 + CALLED,
        [["call_0", "f", OSLO], ["call_0-2", "f", OSLO]],
        "tool-calls",
    ),
    "T05 without arguments": (
        call("", "f", "{}") * 2 + CALLED,
        [["call_0", "f", "{}"], ["call_0-2", "f", "{}"]],
        "tool-calls",
    ),
    "T06 one id": (
        call("a", "f", OSLO, 0) + call("a", "g", ROME, 1) + CALLED,
        [["a", "f", OSLO], ["a-2", "g", ROME]],
        "tool-calls",
    ),
    "T06 in pieces": (
        call("a", "f", "{", 0) + call("a", "g", "{", 1) + call("a", None, "}", 1)
        + call("a", None, "}", 0) + CALLED,
        [["a", "f", "{}"], ["a-2", "g", "{}"]],
        "tool-calls",
    ),
    "T06 one id and one index": (
        call("a", "f", OSLO) + call("a", "g", OSLO) + call("a", "g", ROME) + CALLED,
        [["a", "f", OSLO], ["a-2", "g", OSLO], ["a-3", "g", ROME]],
        "tool-calls",
    ),
    "T06 one id and one index, in pieces": (
        call("a", "f", OSLO) + call("a", "g", "{") + call("a", None, "}") + CALLED,
        [["a", "f", OSLO], ["a-2", "g", "{}"]],
        "tool-calls",
    ),
    "T07 blank id and name in continuations": (
        call("a", "f", '{"x"') + call("", "", ":1}") + CALLED,
        [["a", "f", '{"x":1}']],
        "tool-calls",
    ),
    "T09 the name comes later": (
        fragments({"index": 0, "id": "a"}) + call(None, None, "{") + call(None, "", '"x":')
        + call(None, "f", "1") + call(None, None, "}") + CALLED,
        [["a", "f", '{"x":1}']],
        "tool-calls",
    ),
    "T10 the index begins at 1": (
        HELLO + call("a", "f", "", 1) + call(None, None, '{"x":', 1) + call(None, None, "1}", 1)
        + CALLED,
        ["Hello.", ["a", "f", '{"x":1}']],
        "tool-calls",
    ),
    "T11 ids in every delta, always index 0": (
        call("0", "f", "") + call("0", None, "{") + call("1", "g", "") + call("1", None, "{")
        + call("0", None, "}") + call("1", None, "}") + CALLED,
        [["0", "f", "{}"], ["1", "g", "{}"]],
        "tool-calls",
    ),
    "T12 finish stop": (call("a", "f", OSLO) + STOP, [["a", "f", OSLO]], "tool-calls"),
    "T22 function_call": (
        delta(function_call={"name": "f", "arguments": '{"x":'})
        + delta(function_call={"arguments": "1}"}) + delta("function_call"),
        [["call_0", "f", '{"x":1}']],
        "tool-calls",
    ),
    "T23 index as text": (
        call("a", "f", "{", "0") + call("b", "g", "{", "1") + call(None, None, "}", "0")
        + call(None, None, "}", 1.0) + CALLED,
        [["a", "f", "{}"], ["b", "g", "{}"]],
        "tool-calls",
    ),
    "T24 a blank id in continuations": (
        call("a", "f", "{") + call(" ", None, "}") + CALLED, [["a", "f", "{}"]], "tool-calls",
    ),
    "T25 no index, pieces one after the other": (
        call("a", "f", "{", None) + call(None, None, "}", None) + call("b", "g", "{", None)
        + call(None, None, "}", None) + CALLED,
        [["a", "f", "{}"], ["b", "g", "{}"]],
        "tool-calls",
    ),
    "T25 no index, by id": (
        fragments(fragment(None, "a", "f", "{"), fragment(None, "b", "g", "{"))
        + call("b", None, "}", None) + call("a", None, "}", None) + CALLED,
        [["a", "f", "{}"], ["b", "g", "{}"]],
        "tool-calls",
    ),
    "T25 no index and no id, by position": (
        fragments(fragment(None, None, "f", "{"), fragment(None, None, "g", "{"))
        + fragments(fragment(None, None, None, "}"), fragment(None, None, None, "}")) + CALLED,
        [["call_0", "f", "{}"], ["call_1", "g", "{}"]],
        "tool-calls",
    ),
    "no index in continuations": (
        call("a", "f", "") + call(None, None, OSLO, None) + call("b", "g", "", 1)
        + call(None, None, '{"city":', None) + call("", " ", '"Rome"}', None) + CALLED,
        [["a", "f", OSLO], ["b", "g", ROME]],
        "tool-calls",
    ),
    "no index in continuations of index 1": (
        call("a", "f", "", 1) + call(None, None, "{", None) + call(None, None, "}", None) + CALLED,
        [["a", "f", "{}"]],
        "tool-calls",
    ),
    "no index, only the second goes on": (
        fragments(fragment(None, "a", "f", OSLO), fragment(None, "b", "g", ""))
        + call(None, None, ROME, None) + CALLED,
        [["a", "f", OSLO], ["b", "g", ROME]],
        "tool-calls",
    ),
    "no index, only the first goes on": (
        fragments(fragment(None, "a", "f", "{"), fragment(None, "b", "g", OSLO))
        + call(None, None, "}", None) + CALLED,
        [["a", "f", "{}"], ["b", "g", OSLO]],
        "tool-calls",
    ),
    "no index, one goes on and another begins": (
        call("a", "f", "{", 3) + fragments(fragment(None, None, None, "}"),
        fragment(None, "b", "g", "{")) + call(None, None, "}", None) + CALLED,
        [["a", "f", "{}"], ["b", "g", "{}"]],
        "tool-calls",
    ),
    "T26 interleaved by index": (
        call("a", "f", "") + call("b", "g", '{"x"', 1) + call(None, None, "{")
        + fragments(fragment(1, None, None, ":1}"), fragment(0, None, None, "}")) + CALLED,
        [["a", "f", "{}"], ["b", "g", '{"x":1}']],
        "tool-calls",
    ),
    "everything is repeated": (
        call("a", "f", "{") + call("a", "f", "}") + CALLED, [["a", "f", "{}"]], "tool-calls",
    ),
    "a new id on every fragment": (
        call("a", "f", "{") + call("b", None, "}") + CALLED, [["a", "f", "{}"]], "tool-calls",
    ),
    "the whole call is said again": (
        call("a", "f", '{"x":') + call(None, None, "1}") + call("a", "f", '{"x":1}') + CALLED,
        [["a", "f", '{"x":1}']],
        "tool-calls",
    ),
    "the whole call is said again without its id": (
        call("a", "f", "") + call(None, "f", OSLO) * 2 + CALLED,
        [["a", "f", OSLO]],
        "tool-calls",
    ),
    "the whole call is said again in another place": (
        call("a", "f", '{"x":1,') + call(None, None, '"y":2}')
        + call("a", "f", '{"y": 2, "x": 1}', 1) + CALLED,
        [["a", "f", '{"x":1,"y":2}']],
        "tool-calls",
    ),
    "the whole call is said again with other spaces": (
        call("a", "f", OSLO) + call("a", "f", ' {"city": "Oslo"}') + call("a", "f", OSLO, None)
        + CALLED,
        [["a", "f", OSLO]],
        "tool-calls",
    ),
    "a call of another tool in between is said again": (
        call("a", "f", OSLO) + call("a", "g", ROME) + call("a", "f", OSLO) + CALLED,
        [["a", "f", OSLO], ["a-2", "g", ROME]],
        "tool-calls",
    ),
    "a call without arguments is said again": (
        call("a", "f", "{}") + call("a", "f", "{ }", 1) + CALLED,
        [["a", "f", "{}"]],
        "tool-calls",
    ),
    "another number is another call": (
        call("a", "f", '{"x":1}') + call("a", "f", '{"x":true}', 1) + CALLED,
        [["a", "f", '{"x":1}'], ["a-2", "f", '{"x":true}']],
        "tool-calls",
    ),
    "nothing behind whole arguments": (
        call("a", "f", OSLO) + call(None, None, "{}") + call("", "", "null", None)
        + call(None, None, "{ }") + CALLED,
        [["a", "f", OSLO]],
        "tool-calls",
    ),
    "null within arguments": (
        call("a", "f", '{"x":') + call(None, None, "null") + call(None, None, "}") + CALLED,
        [["a", "f", '{"x":null}']],
        "tool-calls",
    ),
    "one id goes on under another index": (
        call("a", "f", '{"x":') + call("a", None, "1", 1) + call(None, None, "}", 1) + CALLED,
        [["a", "f", '{"x":1}']],
        "tool-calls",
    ),
    "the name in pieces": (
        call("a", "get_", "") + call(None, "wea", None) + call(None, "ther", OSLO[:5])
        + call(None, None, OSLO[5:]) + CALLED,
        [["a", "get_weather", OSLO]],
        "tool-calls",
    ),
    "the name in pieces, without arguments": (
        call("a", "get_", "") + call(None, "time", None) + call("b", "f", "", 1) + CALLED,
        [["a", "get_time", ""], ["b", "f", ""]],
        "tool-calls",
    ),
    "the name is repeated": (
        call("a", "f", "") + call(None, "f", "") + call(None, "f", OSLO) + CALLED,
        [["a", "f", OSLO]],
        "tool-calls",
    ),
    "another name without an index is another call": (
        call("a", "f", "", None) + call(None, "g", OSLO, None) + CALLED,
        [["a", "f", ""], ["call_0", "g", OSLO]],
        "tool-calls",
    ),
    "another call without its id": (
        call("a", "f", OSLO) + call(None, "f", "{") + call(None, None, "}") + CALLED,
        [["a", "f", OSLO], ["call_0", "f", "{}"]],
        "tool-calls",
    ),
    "a call without function, id and arguments is nothing": (
        HELLO + fragments({"index": 0}) + STOP, ["Hello."], "stop",
    ),
    # With which arguments?
    "T13 an object": (
        call("a", "f", {"city": "K\xf6ln"}) + CALLED, [["a", "f", '{"city": "K\xf6ln"}']],
        "tool-calls",
    ),
    "T14 null first": (
        call("a", "f", None) + call(None, None, OSLO) + CALLED, [["a", "f", OSLO]], "tool-calls",
    ),
    "T15 the text null": (call("a", "f", "null") + CALLED, [["a", "f", "{}"]], "tool-calls"),
    "T16 nothing": (call("a", "f", "") + CALLED, [["a", "f", ""]], "tool-calls"),
    "T17 a placeholder first": (
        call("a", "f", "{}") + call(None, None, '{"x":') + call(None, None, "1}") + CALLED,
        [["a", "f", '{"x":1}']],
        "tool-calls",
    ),
    "T17 with the name again": (
        call("a", "f", "{}") + call(None, "f", OSLO) + CALLED, [["a", "f", OSLO]], "tool-calls"
    ),
    "T17 with ids and names": (
        call("a", "f", "{ }") + call("b", "g", "{}", 1) + call("a", "f", OSLO) + CALLED,
        [["a", "f", OSLO], ["b", "g", "{}"]],
        "tool-calls",
    ),
    "T21 JSON in JSON": (
        call("a", "f", json.dumps(OSLO)) + CALLED, [["a", "f", json.dumps(OSLO)]], "tool-calls",
    ),
    "the call is no list, the function is flat": (
        delta(tool_calls={"id": 7, "name": "f", "arguments": OSLO}) + CALLED,
        [["7", "f", OSLO]],
        "tool-calls",
    ),
    # Why did it finish?
    "T19 never": (call("a", "f", OSLO) + call("b", "g", None, 1) + DONE,
        [["a", "f", OSLO], ["b", "g", ""]], "tool-calls"),
    "T20 tool_calls without a call": (
        HELLO + delta("tool_calls", tool_calls=[]) + DONE, ["Hello."], "stop",
    ),
    "R01 blank all along": (
        delta("", content="Hel") + delta("null", content="lo.") + STOP, ["Hel", "lo."], "stop",
    ),
    "R02 eos": (HELLO + delta("eos"), ["Hello."], "stop"),
    "R06 max_tokens": (HELLO + delta("max_tokens"), ["Hello."], "length"),
    "R07 tool_use": (call("a", "f", OSLO) + delta("tool_use"), [["a", "f", OSLO]], "tool-calls"),
    "R09 length in the middle of a call": (
        call("a", "f", '{"ci') + fragments({"index": 1, "function": {"arguments": "{"}})
        + delta("length"),
        [["a", "f", '{"ci']],
        "length",
    ),
    "R11 content_filter": (HELLO + delta("content_filter"), ["Hello."], "content-filter"),
    "R12 never": (HELLO + DONE, ["Hello."], "stop"),
    "unknown": (HELLO + delta("because"), ["Hello."], "stop"),
    "unknown, with a call": (
        call("a", "f", OSLO) + delta("because"), [["a", "f", OSLO]], "tool-calls",
    ),
    "no text at all": (chunk({"choices": [{"finish_reason": {"type": "stop"}}]}), [], "stop"),
    # What did it say?
    "C01 content is a list": (
        delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}])
        + delta(content=[{"type": "text", "text": "Hel"}, {"type": "image_url"}, "lo."]) + STOP,
        [("Hm",), "Hello."],
        "stop",
    ),
    "C02 all at once": (
        delta(reasoning_content="Hm", content="", tool_calls=[]) + HELLO + STOP,
        [("Hm",), "Hello."],
        "stop",
    ),
    "C03 halves of a pair": (
        raw(r'"content":"Hi \ud83d"') + raw(r'"content":"\ude00!"') + STOP,
        ["Hi ", "\U0001f600!"],
        "stop",
    ),
    "C03 in the reasoning and in arguments": (
        raw(r'"reasoning":"\ud83d"') + raw(r'"content":"\uD83D"')
        + raw(r'"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\":\"\ud83d"}}]')
        + raw(r'"tool_calls":[{"index":0,"function":{"arguments":"\ude00\"}"}}]')
        + raw(r'"content":"\ude01"') + raw(r'"reasoning":"\ude02"') + STOP,
        [["a", "f", '{"x":"\U0001f600"}'], "\U0001f601", ("\U0001f602",)],
        "tool-calls",
    ),
    "C04 half a pair": (
        raw(r'"content":"a\udcafb"') + raw(r'"content":"\ud83d"') + HELLO
        + raw(r'"content":"\ud83d"') + STOP,
        ["a\ufffdb", "\ufffdHello.", "\ufffd"],
        "stop",
    ),
    "C06 refusal": (delta(refusal="No.") + STOP, ["No."], "stop"),
    "C07 message beside delta": (
        chunk({"choices": [{"delta": {"content": "a"}, "message": {"content": "a"}}]})
        + chunk({"choices": [{"message": {"content": "ab"}, "finish_reason": "stop"}]}),
        ["a"],
        "stop",
    ),
    "C10 NaN": (
        b'data: {"choices":[{"delta":{"content":"Hi"},"logprobs":[NaN,-Infinity]}]}\n\n' + STOP,
        ["Hi"],
        "stop",
    ),
    "C12 empty errors": (
        b"".join(
            chunk({"choices": [{"delta": {"content": "a"}, "error": {}}], "error": error})
            for error in ({"message": "", "type": "", "code": None}, {}, [], "", 0, False, None)
        )
        + STOP,
        ["a"] * 7,
        "stop",
    ),
    "C13 another choice": (
        HELLO + chunk({"choices": [{"index": 1, "delta": {"content": "x"}}]}) + STOP,
        ["Hello."],
        "stop",
    ),
    "C14 reasoning is an object": (
        delta(reasoning={"effort": "high"}, content="Hel") + delta(reasoning=None, content="lo.")
        + STOP,
        ["Hel", "lo."],
        "stop",
    ),
    "text as a number": (delta(content=7) + delta(content=1.5) + STOP, ["7", "1.5"], "stop"),
    "a whole completion as an event": (
        chunk({"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}),
        ["Hello."],
        "stop",
    ),
    # How is it sent?
    "S03 empty data": (b"data:\n\n" + HELLO + b"data: \n\n" + STOP, ["Hello."], "stop"),
    "S05 one newline at the end": (HELLO + STOP[:-1], ["Hello."], "stop"),
    "S05 no newline at the end": (HELLO + STOP[:-2], ["Hello."], "stop"),
    "S05 a call in the last event": (
        call("a", "f", "{}") + DONE[:-2], [["a", "f", "{}"]], "tool-calls",
    ),
    "S09 several data lines": (
        b'data: {"choices":[{"delta":\ndata: {"content":"Hi"}}]}\n\n' + STOP, ["Hi"], "stop",
    ),
    "S10 a byte order mark": (b"\xef\xbb\xbf" + HELLO + STOP, ["Hello."], "stop"),
    "S11 a space behind DONE": (HELLO + b"data: [DONE] \n\n", ["Hello."], "stop"),
    "DONE as JSON": (HELLO + b'data: "[DONE]"\n\n', ["Hello."], "stop"),
    "no empty lines between events": (
        (HELLO + HELLO + DONE + b"data: nonsense").replace(b"\n\n", b"\n"),
        ["Hello."] * 2,
        "stop",
    ),
    "framed twice": (
        b"".join(
            b"data: " + event.rstrip() + b"\r\ndata: \r\n\r\n" for event in (HELLO, STOP, DONE)
        ),
        ["Hello."],
        "stop",
    ),
    "keep-alive as data": (
        b"data: ping\n\ndata: None\n\nevent: ping\ndata: 17:00\n\n"
        b'data: {"type":"ping"}\n\ndata: null\n\n' + HELLO + STOP,
        ["Hello."],
        "stop",
    ),
    "a status without a choice": (
        chunk({"base_resp": {"status_code": 0, "status_msg": "success"}}) + HELLO + STOP,
        ["Hello."],
        "stop",
    ),
    # What comes behind a complete answer doesn't matter.
    "an error behind the end": (HELLO + STOP + chunk({"error": "late"}), ["Hello."], "stop"),
    "nonsense behind the end": (HELLO + STOP + b"data: {nonsense\n\n", ["Hello."], "stop"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "meant", "reason"), CASES.values(), ids=CASES)
def test_what_providers_send(data: bytes, meant: list[Any], reason: str) -> None:
    parts, finish = run_every_way(data)
    assert said(parts) == meant
    assert finish.reason == reason


@pytest.mark.parametrize(
    ("data", "usage"),
    [
        (chunk({"choices": [{"delta": {}, "usage": USAGE}]}), Usage(7, 3, 10)),  # U01
        (chunk({"usage": {"prompt_tokens": 1}}) + chunk({"usage": USAGE}), Usage(7, 3, 10)),  # U02
        (chunk({"usage": USAGE}) + chunk({"usage": {"total_tokens": None}}), Usage(7, 3, 10)),
        (
            chunk({"usage": {"prompt_tokens": 7}}) + chunk({"usage": {"completion_tokens": 3}}),
            Usage(7, 3, 10),
        ),
        (chunk({"usage": {"details": {}}}) + chunk({"usage": USAGE}), Usage(7, 3, 10)),  # U03
        (chunk({"usage": {"prompt_tokens": 7.0, "completion_tokens": "3"}}), Usage(7, 3, 10)),
        (chunk({"usage": {k: str(v) for k, v in USAGE.items()}}), Usage(7, 3, 10)),  # U05
        (chunk({"usage": USAGE | {"prompt_tokens": -1}}), Usage(0, 3, 10)),
        (chunk({"usage": USAGE | {"prompt_tokens": 1.5}}), Usage(0, 3, 10)),
        (chunk({"usage": USAGE | {"total_tokens": 2**60}}), Usage(7, 3, 10)),
        (chunk({"usage": {"input_tokens": 7, "output_tokens": 3}}), Usage(7, 3, 10)),
        (chunk({"usage": USAGE}) + chunk({"usage": dict.fromkeys(USAGE, 0)}), Usage(7, 3, 10)),
        (
            chunk(
                {
                    "usage": USAGE
                    | {
                        "prompt_tokens_details": {"cached_tokens": 5},
                        "completion_tokens_details": {"reasoning_tokens": 2},
                    }
                }
            ),
            Usage(7, 3, 10, 5, 2),
        ),  # U06
        (
            chunk({"usage": USAGE | {"prompt_tokens_details": {"cached_tokens": "5"}}}),
            Usage(7, 3, 10, 5),
        ),
        (
            chunk({"usage": USAGE | {"prompt_tokens_details": [], "prompt_cache_hit_tokens": 5.0}}),
            Usage(7, 3, 10, 5),
        ),
        (chunk({"choices": [], "x_groq": {"id": "a", "usage": USAGE}}), Usage(7, 3, 10)),
        (chunk({"x_groq": {"usage": {"prompt_tokens": "7"}}}), Usage(7, 0, 7)),
        (chunk({"usage": "none"}), Usage()),
        (chunk({"choices": [], "usage": None}), Usage()),
    ],
)
def test_usage(data: bytes, usage: Usage) -> None:
    assert run_every_way(HELLO + STOP + data + DONE) == (
        [TextPart("Hello.")],
        ModelFinish("stop", usage),
    )


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (b"", "cut-stream", "before the answer did"),
        (DONE, "cut-stream", "before the answer did"),
        (chunk({"error": {"message": "over\nloaded"}}), "provider-error", "over loaded"),
        (chunk({"error": "overloaded"}), "provider-error", "overloaded"),
        (chunk({"x_groq": {"id": "a", "error": "over\nloaded"}}), "provider-error", "over loaded"),
        (HELLO, "cut-stream", "before the answer did"),  # R13
        (HELLO + STOP[:-9], "cut-stream", "before the answer did"),
        (delta(reasoning="Hm") + DONE, "cut-stream", "before the answer did"),
        (call("a", "f", '{"ci') + DONE, "cut-stream", "before the answer did"),  # not T19
        (chunk([]) + b"data: null\n\n" + DONE, "cut-stream", "before the answer did"),
        (b"data: {\n\n", "bad-response", "no chat completion stream"),
        (b"data: 7\n\n", "cut-stream", "ended before"),
        (chunk([7]), "cut-stream", "ended before"),
        (b'data: {"x":' + b"[" * 100_000 + b"\n\n", "bad-response", "recursion"),
        (b'data: {"x":"\\ud800",' + b"[]," * 300_000 + b"\n\n", "bad-response", "malformed"),
        (b"data: " + b"x" * (16 << 20), "bad-response", "larger than 16777216 bytes"),
        (delta(content=True), "bad-response", r"\$.choices\[0\].delta.content"),
        (delta(content={"answer": 7}), "bad-response", r"\$.choices\[0\].delta.content"),
        (delta(tool_calls=["f"]), "bad-response", r"\$.choices\[0\].delta.tool_calls"),
        (fragments({"function": "f"}), "bad-response", r"tool_calls\[0\].function"),
        (delta("because\n"), "bad-response", "'because' is unknown"),
        (call("a", "f", '{"ci') + delta("because"), "bad-response", "'because' is unknown"),
        (delta(reasoning="Hm") + CALLED, "bad-response", "called none"),
        # R03, R04, R08
        (
            chunk({"error": {"message": "no"}, "choices": [{"finish_reason": "error"}]}),
            "provider-error",
            "no",
        ),
        (
            chunk({"choices": [{"delta": {}, "error": {"code": 502, "message": "Upstream"}}]}),
            "provider-error",
            "Upstream",
        ),
        (delta("error"), "provider-error", "broke the answer off: error"),
        (delta("insufficient_system_resource") + DONE, "provider-error", "insufficient_system"),
        # S23, E02, E03, E12, E14, E17
        (b"data: Number of choices must be\n\n", "provider-error", "Number of choices must be"),
        (b"event: error\ndata: Rate limit reached\n\n", "rate-limit", "Rate limit reached"),
        (b"event: error\n" + chunk({"message": "no"}), "provider-error", "no"),
        (chunk("no"), "provider-error", "no"),
        (chunk([{"error": {"code": 400, "message": "no"}}]), "bad-request", "no"),
        (
            chunk({"object": "error", "message": "maximum context length", "code": 400}) + DONE,
            "context-length",
            "maximum context length",
        ),
        (
            chunk({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
            "provider-error",
            "busy",
        ),
        (
            chunk({"choices": [], "error": {"message": "prompt is too long"}}),
            "context-length",
            "too long",
        ),
        (chunk({"error": {"message": "Too many", "code": "429"}}), "rate-limit", "Too many"),
        (
            chunk({"choices": None, "base_resp": {"status_code": 1004, "status_msg": "login"}}),
            "auth",
            "login",
        ),
        (CALLED, "bad-response", "called none"),
        (fragments(fragment(0, "a", None, "{}")) + CALLED, "bad-response", "no name"),
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
    parts, error = failure(delta(content="Hi") + b"data: {nonsense\n\n" + delta(content="no"))
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


@pytest.mark.parametrize(
    "end",
    [
        b"",
        DONE,
        chunk({"error": {"type": "server_error", "message": "x"}}),
        chunk({"error": {"code": "429"}}),
        delta("insufficient_system_resource"),
    ],
)
def test_only_an_answer_without_parts_is_retryable(end: bytes) -> None:
    assert failure(end)[1].retryable
    assert not failure(delta(reasoning="a") + end)[1].retryable


def test_an_image_in_one_chunk() -> None:  # C09
    images = [{"image_url": {"url": "data:image/png;base64," + "A" * (3 << 20)}}]
    data = HELLO + delta(images=images, content="A cat.") + STOP
    reads = (data[at : at + 65_536] for at in range(0, len(data), 65_536))
    assert run(reads) == ([TextPart("Hello."), TextPart("A cat.")], ModelFinish("stop"))
    odd = delta(images=images, content=[{"type": "text", "text": "A cat."}]) + STOP
    assert run([odd])[0] == [TextPart("A cat.")]


def test_a_chunk_to_the_letter_is_read_however_much_else_it_holds() -> None:
    odd = {"choices": [{"finish_reason": "stop"}], "unread": [0] * 300_000}
    assert run([HELLO + chunk(odd)]) == ([TextPart("Hello.")], ModelFinish("stop"))


SIGNED = {"google": {"thought_signature": "c2ln"}}
THOUGHT = {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "index": 0}
KEPT: list[tuple[bytes, Any]] = [
    (
        delta(reasoning_content="Hm.") + call("call_1", "f", "{}"),
        {"reasoning": "reasoning_content"},
    ),  # Q05
    (
        fragments(
            {
                "id": "call_1",
                "type": "function",
                "extra_content": SIGNED,
                "function": {"name": "f", "arguments": "{}"},
            }
        ),
        {"calls": [{"name": "f", "extra_content": SIGNED}]},
    ),  # Q06
    (
        delta(reasoning="Hm.", reasoning_details=[THOUGHT]) + call("call_1", "f", "{}"),
        {"reasoning": "reasoning", "reasoning_details": [THOUGHT], "calls": [{"name": "f"}]},
    ),  # Q07
    (
        delta(reasoning_details=[THOUGHT | {"text": "H", "signature": None}])
        + delta(content="", reasoning_details=[{**THOUGHT, "text": "m.", "signature": None}])
        + delta(reasoning_details=[{k: v for k, v in THOUGHT.items() if k != "text"}])
        + call("call_1", "f", "{}"),
        {"reasoning_details": [THOUGHT], "calls": [{"name": "f"}]},
    ),
    (
        delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}])
        + call("call_1", "f", "{}"),
        {"reasoning": "reasoning_in_content"},
    ),
    (call("call_1", "f", "{}"), None),
]


@pytest.mark.parametrize(("data", "state"), KEPT)
def test_what_the_provider_wants_back(data: bytes, state: Any) -> None:
    _, finish = run_every_way(data + CALLED + DONE, origin="openai@x")
    assert finish.provider == ({} if state is None else {"openai@x": state})
    _, finish = run([data + CALLED + DONE])
    assert finish.provider == {}, "nobody is known to whom it could go"


@pytest.mark.parametrize(
    ("message", "state"),
    [
        ({"reasoning_content": "Hm."}, {"reasoning": "reasoning_content"}),
        (
            {"reasoning": None, "reasoning_details": [THOUGHT, THOUGHT | {"text": "!"}]},
            {"reasoning_details": [THOUGHT, THOUGHT | {"text": "!"}], "calls": []},
        ),
        ({"extra_content": SIGNED}, {"extra_content": SIGNED, "calls": []}),
        (
            {
                "reasoning_content": "Hm.",
                "tool_calls": [
                    {"id": "a", "function": {"name": "f", "arguments": "{}"}},
                    {"function": {"name": "g", "arguments": "{}"}, "extra_content": SIGNED},
                ],
            },
            {
                "reasoning": "reasoning_content",
                "calls": [{"name": "f"}, {"name": "g", "extra_content": SIGNED}],
            },
        ),
    ],
)
def test_a_whole_completion_has_it_too(message: dict[str, Any], state: Any) -> None:
    decoder = ChatDecoder(origin="openai@x")
    decoder.feed_whole(json.dumps(completion(content="Hello.", **message)).encode())
    assert decoder.finish().provider == {"openai@x": state}


def test_think_tags() -> None:  # C11
    data = delta(content="<think>Hm") + delta(content="</think>\n") + HELLO + delta(content="<th")
    assert run_every_way(data + STOP, think_tags=True) == (
        [ReasoningPart("Hm"), TextPart("Hello."), TextPart("<th")],
        ModelFinish("stop"),
    )
    halves = raw(r'"content":"<think>\ud83d"') + raw(r'"content":"\ude00</think>a"')
    assert said(run_every_way(halves + DONE, think_tags=True)[0]) == [("\U0001f600",), "a"]
    assert said(run_every_way(delta(content="Hm</think>a") + DONE, think_tags="opened")[0]) == [
        ("Hm",), "a",
    ]  # fmt: skip
    thoughts = delta(content="<think>Hm</think>") + DONE
    with pytest.raises(ModelError, match="cut-stream"):
        run([thoughts], think_tags=True)
    assert run([thoughts])[0] == [TextPart("<think>Hm</think>")]


def completion(reason: str | None = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": reason}], "usage": USAGE}


@pytest.mark.parametrize(
    ("body", "meant", "reason"),
    [
        (completion(content="Hello."), ["Hello."], "stop"),
        (completion(None, content="Hello."), ["Hello."], "stop"),
        (completion("max_tokens", content="Hel"), ["Hel"], "length"),
        (completion(content=""), [], "stop"),
        (completion(content="a\ud83d"), ["a", "\ufffd"], "stop"),
        (
            completion(
                content=None,
                reasoning_content="Hm",
                tool_calls=[
                    {"id": "a", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "b", "function": {"name": "g", "arguments": {"x": 1}}},
                ],
            ),
            [("Hm",), ["a", "f", "{}"], ["b", "g", '{"x": 1}']],
            "tool-calls",
        ),
    ],
)
def test_a_whole_completion(body: Any, meant: list[Any], reason: str) -> None:  # S18
    decoder = ChatDecoder()
    parts = decoder.feed_whole(b"\xef\xbb\xbf" + json.dumps(body).encode())
    assert said(parts) == meant
    assert (decoder.done, decoder.complete, decoder.started) == (True, True, bool(meant))
    assert decoder.feed_eof() == []
    assert decoder.finish() == ModelFinish(reason, Usage(7, 3, 10))  # type: ignore[arg-type]


LINES = b"\n".join(
    [
        b'{"choices": [{"delta": {"content": "a"}}]}',
        b'{"choices": [{"delta": {"content": "b"}, "finish_reason": "stop"}]}',
    ]
)


def test_chunks_in_lines_are_a_stream_too() -> None:
    decoder = ChatDecoder()
    assert said(decoder.feed_whole(LINES)) == ["a", "b"]
    assert decoder.finish() == ModelFinish("stop")


def test_a_whole_body_that_was_cut_is_a_cut_stream() -> None:
    decoder = ChatDecoder()
    assert decoder.feed_whole(b'{"choices": [{"message": {"con') == []
    assert not decoder.done
    with pytest.raises(ModelError, match="cut-stream"):
        decoder.finish()


def test_a_reason_in_every_chunk_says_nothing() -> None:
    each = [
        chunk({"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]})
        for text in ("Hel", "lo")
    ]
    decoder = ChatDecoder()
    decoder.feed(each[0])
    assert (decoder.complete, decoder.goes_on) == (True, False)
    decoder.feed(each[1])
    assert (decoder.complete, decoder.goes_on) == (True, True)
    assert decoder.finish() == ModelFinish("stop")
    decoder.feed(chunk({"error": {"message": "upstream died", "code": 500}}))
    with pytest.raises(ModelError, match="upstream died"):
        decoder.finish()


def test_a_text_without_a_delta_is_the_answer() -> None:
    data = chunk({"choices": [{"text": "Hi", "finish_reason": "stop"}]})
    assert said(ChatDecoder().feed(data)) == ["Hi"]


@pytest.mark.parametrize("end", [LINES.index(b"\n"), LINES.index(b"\n") + 1, -30, -1])
def test_lines_that_were_cut_are_no_answer(end: int) -> None:
    decoder = ChatDecoder()
    assert said(decoder.feed_whole(LINES[:end])) == ["a"]
    with pytest.raises(ModelError):
        decoder.finish()


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (
            b'{"error": {"message": "Slow down", "code": 429}}',
            "rate-limit",
            "^rate-limit: Slow down$",
        ),
        (b'{"base_resp": {"status_code": 1004, "status_msg": "login"}}', "auth", "login"),
        (b'{"choices": null, "error": "no *key*"}', "provider-error", r"no \*\*\*"),
        (b'[{"error": {"message": "no"}}]', "provider-error", "no"),
        (b'{"models": []}', "bad-response", "no endpoint for conversations"),
        (b"[]", "bad-response", "no endpoint for conversations"),
        (b"7", "bad-response", "no endpoint for conversations"),
        (b"", "bad-response", "no endpoint for conversations"),
        (b'{"choices": [{"message": }', "bad-response", "no endpoint for conversations"),
        (b"[" * 100_000 + b"]", "bad-response", "no endpoint for conversations"),
    ],
)
def test_a_whole_body_that_is_no_completion(body: bytes, code: str, message: str) -> None:
    decoder = ChatDecoder(secret="*key*")
    assert decoder.feed_whole(body) == []
    assert (decoder.done, decoder.complete) == (True, False)
    with pytest.raises(ModelError, match=message) as info:
        decoder.finish()
    assert info.value.code == code


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


WORDS = st.sampled_from(["a", "<think>", "</think>", "</", "\ud83d", "\ude00", "{", "}", " ", "1"])
TEXTS = st.lists(WORDS, max_size=3).map("".join)
SCALARS = st.none() | st.booleans() | st.integers(-1, 3) | st.floats() | TEXTS
ODD = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "message", "error", "code", "name"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=4,
)
BLOCKS = st.fixed_dictionaries(
    {"type": st.sampled_from(["reasoning.text", "reasoning.encrypted"])},
    optional={
        "index": st.integers(0, 1) | ODD,
        "id": TEXTS | ODD,
        "text": TEXTS | ODD,
        "signature": TEXTS | ODD,
        "data": TEXTS | ODD,
    },
)
FRAGMENTS = st.fixed_dictionaries(
    {},
    optional={
        "index": st.integers(-1, 3) | ODD,
        "id": st.sampled_from(["", "a", "b", "call_0"]) | ODD,
        "extra_content": ODD,
        "function": ODD
        | st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["", "f", "g"]) | ODD,
                "arguments": st.sampled_from(["{}", "{", "}", "null", '{"x":1}']) | TEXTS | ODD,
            },
        ),
    },
)
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": TEXTS | ODD,
        "reasoning": TEXTS | ODD,
        "reasoning_content": TEXTS | ODD,
        "reasoning_details": st.lists(BLOCKS | ODD, max_size=2) | ODD,
        "reasoning_opaque": TEXTS | ODD,
        "extra_content": ODD,
        "tool_calls": st.lists(FRAGMENTS, max_size=3) | ODD,
        "function_call": ODD,
    },
)
CHUNKS = st.builds(
    lambda choice, fields: chunk({"choices": [choice], **fields}),
    st.fixed_dictionaries(
        {},
        optional={
            "delta": DELTAS | ODD,
            "message": ODD,
            "finish_reason": st.sampled_from([None, "", "stop", "tool_calls", "odd", "error"])
            | ODD,
            "error": ODD,
            "index": st.sampled_from([0, 0, 1]) | ODD,
        },
    ),
    st.dictionaries(
        st.sampled_from(["usage", "error", "choices", "base_resp", "x_groq", "x"]), ODD, max_size=1
    ),
)
STREAMS = st.lists(
    CHUNKS | ODD.map(chunk) | st.binary(max_size=8) | st.sampled_from([DONE, DONE[:-1], b"data: "]),
    max_size=8,
).map(b"".join)


@settings(deadline=None)  # other work on the machine is no fault of the decoder
@given(STREAMS, st.lists(st.integers(0, 400)), st.booleans())
def test_only_a_model_error_comes_out_and_cuts_change_nothing(
    data: bytes, cuts: list[int], think_tags: bool
) -> None:
    def outcome(pieces: Iterable[bytes]) -> tuple[Any, ...]:
        decoder = ChatDecoder(think_tags=think_tags, origin="openai@x")
        parts = [part for piece in pieces for part in decoder.feed(piece)]
        parts += decoder.feed_eof()
        assert decoder.started == bool(parts)
        try:
            finish = decoder.finish()
        except ModelError as error:
            return parts, error.args, error.retryable
        assert plain_json(finish.provider, "it") == finish.provider
        return parts, finish

    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert outcome(pieces) == outcome([data])


@pytest.mark.parametrize("said", ["sk-secret", "error: sk-secret"])
def test_a_reason_that_repeats_the_key_is_told_without_it(said: str) -> None:
    decoder = ChatDecoder(secret="sk-secret")
    decoder.feed(delta(said) + DONE)
    with pytest.raises(ModelError) as info:
        decoder.finish()
    assert "sk-secret" not in info.value.message
