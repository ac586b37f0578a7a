"""Events as JSON: the wire form of each type, and what is no event."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from trio_agent._content import File, Text
from trio_agent._events import (
    EVENT_TYPES,
    AnyEvent,
    ErrorDetail,
    ModelFinished,
    ModelSwitch,
    Nested,
    OutputDelta,
    OutputRetry,
    ReasoningDelta,
    RunContinued,
    RunError,
    RunFinish,
    RunStart,
    RunSummary,
    RunWaiting,
    StepDiscard,
    StepFinish,
    StepStart,
    TextDelta,
    ToolAnswered,
    ToolAsked,
    ToolCall,
    ToolInputDelta,
    ToolName,
    ToolOutcome,
    ToolProgress,
    ToolRequest,
    ToolResult,
    Usage,
    UserSaid,
)
from trio_agent._log.codec import EventInvalid, decode_event, encode_event, event_schema

NOTHING = (
    '{"inputTokens":0,"outputTokens":0,"totalTokens":0,"cachedInputTokens":0,"reasoningTokens":0}'
)
SOME = (
    '{"inputTokens":1,"outputTokens":2,"totalTokens":3,"cachedInputTokens":4,"reasoningTokens":5}'
)

EVENTS: dict[str, AnyEvent] = {
    '{"type":"run-start","at":1,"runId":"r","agent":"a","schema":2,"retractable":false}': (
        RunStart(at=1, run_id="r", agent="a")
    ),
    '{"type":"run-start","at":1,"runId":"r","agent":"a","schema":2,"retractable":true}': (
        RunStart(at=1, run_id="r", agent="a", retractable=True)
    ),
    '{"type":"user-message","at":1,"content":"hi"}': UserSaid(at=1, content="hi"),
    '{"type":"user-message","at":1,"content":[{"type":"text","text":"a"},'
    '{"type":"file","mediaType":"image/png","url":"u"}],"by":"ann"}': UserSaid(
        at=1, content=(Text("a"), File("image/png", url="u")), by="ann"
    ),
    '{"type":"step-discard","at":1,"stepNumber":1,"fromOffset":2,"reason":"cut"}': StepDiscard(
        at=1, step_number=1, from_offset=2, reason="cut"
    ),
    '{"type":"tool-call","at":1,"tool":{"id":"1","name":"t","input":{}},"wants":"approval"}': (
        ToolCall(at=1, tool=ToolRequest("1", "t", {}), wants="approval")
    ),
    '{"type":"tool-request","at":1,"tool":{"id":"1","name":"t","input":{}},"kind":"input",'
    '"deadline":9}': ToolAsked(at=1, tool=ToolRequest("1", "t", {}), kind="input", deadline=9),
    '{"type":"tool-request","at":1,"tool":{"id":"1","name":"t","input":{}},"kind":"approval",'
    '"deadline":null}': ToolAsked(
        at=1, tool=ToolRequest("1", "t", {}), kind="approval", deadline=None
    ),
    '{"type":"tool-answer","at":1,"tool":{"id":"1","name":"t"},"approved":true,"by":null,'
    '"reason":null}': ToolAnswered(at=1, tool=ToolName("1", "t"), approved=True),
    '{"type":"tool-answer","at":1,"tool":{"id":"1","name":"t"},"approved":false,"by":"ann",'
    '"reason":"no"}': ToolAnswered(
        at=1, tool=ToolName("1", "t"), approved=False, by="ann", reason="no"
    ),
    '{"type":"waiting","at":1,"calls":["1","2"]}': RunWaiting(at=1, calls=("1", "2")),
    '{"type":"continued","at":1,"reason":"worker-lost"}': RunContinued(at=1, reason="worker-lost"),
    '{"type":"tool-result","at":1,"tool":{"id":"1","name":"t","input":{},"output":"no",'
    '"status":"error"},"reason":"denied"}': ToolResult(
        at=1, tool=ToolOutcome("1", "t", {}, "no", "error"), reason="denied"
    ),
    '{"type":"step-start","at":1,"stepNumber":2}': StepStart(at=1, step_number=2),
    '{"type":"text-delta","at":1,"delta":"\u00fc\\n"}': TextDelta(at=1, delta="ü\n"),
    '{"type":"reasoning-delta","at":1,"delta":"x"}': ReasoningDelta(at=1, delta="x"),
    '{"type":"tool-input-delta","at":1,"tool":{"id":"1","name":"t"},"delta":"{"}': ToolInputDelta(
        at=1, tool=ToolName("1", "t"), delta="{"
    ),
    '{"type":"tool-call","at":1,"tool":{"id":"1","name":"t","input":{"a":[null]}}}': ToolCall(
        at=1, tool=ToolRequest("1", "t", {"a": [None]})
    ),
    '{"type":"output-delta","at":1,"delta":"{"}': OutputDelta(at=1, delta="{"),
    '{"type":"output-retry","at":1,"message":"m"}': OutputRetry(at=1, message="m"),
    '{"type":"tool-progress","at":1,"tool":{"id":"1","name":"t"},"data":[1,{"a":null}]}': (
        ToolProgress(at=1, tool=ToolName("1", "t"), data=[1, {"a": None}])
    ),
    '{"type":"nested","at":1,"call":"1","event":{"type":"step-start","at":1,"stepNumber":2}}': (
        Nested(at=1, call="1", raw=msgspec.Raw(b'{"type":"step-start","at":1,"stepNumber":2}'))
    ),
    '{"type":"tool-result","at":1,"tool":'
    '{"id":"1","name":"t","input":"{","output":1.5,"status":"ok"}}': ToolResult(
        at=1, tool=ToolOutcome("1", "t", "{", 1.5, "ok")
    ),
    '{"type":"tool-progress","at":1,"tool":{"id":"1","name":"t"},"data":null}': ToolProgress(
        at=1, tool=ToolName("1", "t"), data=None
    ),
    '{"type":"output-delta","at":1,"delta":"{\\"a\\""}': OutputDelta(at=1, delta='{"a"'),
    '{"type":"output-retry","at":1,"message":"no"}': OutputRetry(at=1, message="no"),
    '{"type":"nested","at":1,"call":"1","event":[]}': Nested(
        at=1, call="1", raw=msgspec.Raw(b"[]")
    ),
    '{"type":"model-switch","at":1,"stepNumber":1,"from":"a","to":"b",'
    '"error":{"code":"c","message":"m"}}': ModelSwitch(
        at=1, step_number=1, from_="a", to="b", error=ErrorDetail("c", "m")
    ),
    '{"type":"model-finish","at":1,"stepNumber":1,"model":"m","reason":"stop",'
    f'"usage":{SOME}}}': ModelFinished(
        at=1, step_number=1, model="m", reason="stop", usage=Usage(1, 2, 3, 4, 5)
    ),
    f'{{"type":"step-finish","at":1,"stepNumber":1,"usage":{SOME}}}': StepFinish(
        at=1, step_number=1, usage=Usage(1, 2, 3, 4, 5)
    ),
    '{"type":"run-finish","at":1,"run":{"id":"r","text":"t","steps":1,"finishReason":"stop",'
    f'"usage":{NOTHING}}}}}': RunFinish(at=1, run=RunSummary("r", "t", 1, "stop", Usage())),
    f'{{"type":"error","at":1,"error":{{"code":"c","message":"m"}},"usage":{SOME}}}': RunError(
        at=1, error=ErrorDetail("c", "m"), usage=Usage(1, 2, 3, 4, 5)
    ),
}


def test_every_type_is_here() -> None:
    assert {type(event) for event in EVENTS.values()} == set(EVENT_TYPES.values())


@pytest.mark.parametrize("text", EVENTS)
def test_wire_form(text: str) -> None:
    assert encode_event(EVENTS[text]).decode() == text
    assert decode_event(text.encode()) == EVENTS[text]
    with_more = {**json.loads(text), "unheardOf": {"x": 1}}
    more = json.dumps(with_more, separators=(",", ":"))
    assert decode_event(more.encode()) == EVENTS[text]


def changed(value: dict[str, Any]) -> Iterator[Any]:
    """The value with each of its words in turn, but for `type`, replaced by an unknown one."""
    for key, item in value.items():
        if isinstance(item, dict):
            for other in changed(item):
                yield {**value, key: other}
        elif isinstance(item, str) and key != "type":
            yield {**value, key: "of-tomorrow"}


@pytest.mark.parametrize(
    "text", [json.dumps(each) for text in EVENTS for each in changed(json.loads(text))]
)
def test_values_of_a_later_version_are_taken_as_they_are(text: str) -> None:
    event = decode_event(text.encode())
    assert event is not None
    assert json.loads(encode_event(event)) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ('{"type":"run-start","at":1,"runId":"r","agent":"a"}', RunStart),
        ('{"type":"run-start","at":1,"runId":"r","agent":"a","schema":2}', RunStart),
        ('{"type":"error","at":1,"error":{"code":"c","message":"m"}}', RunError),
        ('{"type":"step-finish","at":1,"stepNumber":1,"usage":{"totalTokens":3}}', StepFinish),
    ],
)
def test_what_the_first_schema_wrote(text: str, event: type[AnyEvent]) -> None:
    assert isinstance(decode_event(text.encode()), event)


def test_an_unknown_type_is_none() -> None:
    assert decode_event(b'{"type":"of-tomorrow","at":1,"stepNumber":1}') is None
    assert decode_event(b'{"type":"of-tomorrow"}') is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"null",
        b'{"type":1}',
        b'{"type":"text-delta"}',
        b'{"type":"text-delta","at":"x","delta":"x"}',
        b'{"type":"text-delta","at":1,"delta":"\xff"}',
        b'{"type":"\xff","at":1}',
        b'{"type":"waiting"}',
        b'{"type":"step-discard","at":1,"stepNumber":1}',
        b'{"type":"tool-answer","at":1,"tool":{"id":"1","name":"t"}}',
        b'{"type":"user-message","at":1,"content":7}',
        b"[" * 100_000,
        b'{"type":"text-delta","delta":' + b"[" * 100_000,
        b'{"type":"of-tomorrow","x":' + b"[" * 100_000,
    ],
)
def test_garbage(data: bytes) -> None:
    with pytest.raises(EventInvalid, match="not an event"):
        decode_event(data)


def test_what_utf_8_cant_hold() -> None:
    data = encode_event(ToolCall(at=1, tool=ToolRequest("1", "a\ud800b", {"ü": "\udcff"})))
    assert data == b'{"type":"tool-call","at":1,"tool":{"id":"1","name":"a?b","input":' + (
        '{"ü":"?"}}}'.encode()
    )


def test_schema_names_every_type() -> None:
    schema = event_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    assert set(schema["discriminator"]["mapping"]) == set(EVENT_TYPES)
    text = json.dumps(schema)
    assert '"finishReason"' in text
    assert '"finish_reason"' not in text


class TestOneLine:
    """Whoever splits a stream into lines, by whatever breaks, finds whole JSON."""

    BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"

    @pytest.mark.parametrize("text", [*BREAKS, BREAKS, "“é”\u2028天", "\ud83d\u2029"], ids=ascii)
    def test_every_kind_of_break(self, text: str) -> None:
        data = encode_event(TextDelta(at=1, delta=f"a{text}b"))
        assert len(data.decode().splitlines()) == 1
        event = decode_event(data)
        assert isinstance(event, TextDelta)
        assert event.delta == f"a{text}b".replace("\ud83d", "?")

    def test_within_other_events(self) -> None:
        inner = encode_event(TextDelta(at=1, delta=self.BREAKS))
        for _ in range(3):
            inner = encode_event(Nested(at=1, call="c", raw=msgspec.Raw(inner)))
        assert len(inner.decode().splitlines()) == 1
        event = decode_event(inner)
        while isinstance(event, Nested):
            event = event.event
        assert isinstance(event, TextDelta)
        assert event.delta == self.BREAKS

    def test_all_else_stays_as_it_is(self) -> None:
        text = "“naïve” — 天気 😀 \u2027\u202a\x84\x86"
        assert text.encode() in encode_event(TextDelta(at=1, delta=text))
