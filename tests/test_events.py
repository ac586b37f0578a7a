"""Events: which there are, which end a run, and what they are called in JSON."""

import typing
from typing import Any

import msgspec
import pytest

from trio_agent import _events
from trio_agent._events import (
    EVENT_TYPES,
    SCHEMA_VERSION,
    AnyEvent,
    ErrorDetail,
    Event,
    RunFinish,
    RunStart,
    RunSummary,
    StepFinish,
    TextDelta,
    ToolName,
    ToolOutcome,
    ToolRequest,
    Usage,
    Value,
)

FIELDS = {
    "run-start": ["at", "runId", "agent", "schema", "retractable", "thread"],
    "user-message": ["at", "content", "by"],
    "step-start": ["at", "stepNumber"],
    "text-delta": ["at", "delta"],
    "reasoning-delta": ["at", "delta"],
    "tool-input-delta": ["at", "tool", "delta"],
    "output-delta": ["at", "delta"],
    "model-switch": ["at", "stepNumber", "from", "to", "error"],
    "model-finish": ["at", "stepNumber", "model", "reason", "usage"],
    "step-discard": ["at", "stepNumber", "fromOffset", "reason"],
    "tool-call": ["at", "tool", "wants"],
    "tool-request": ["at", "tool", "kind", "deadline"],
    "tool-answer": ["at", "tool", "approved", "by", "reason"],
    "tool-progress": ["at", "tool", "data"],
    "tool-result": ["at", "tool", "reason"],
    "output-retry": ["at", "message"],
    "nested": ["at", "call", "event"],
    "waiting": ["at", "calls"],
    "continued": ["at", "reason"],
    "step-finish": ["at", "stepNumber", "usage"],
    "run-finish": ["at", "run"],
    "error": ["at", "error", "usage"],
}
TERMINAL = {"run-finish", "error"}
PROMPT = {
    *("run-start", "user-message", "model-finish", "step-discard", "tool-call", "tool-request"),
    *("tool-answer", "tool-result", "output-retry", "waiting", "continued"),
    *("run-finish", "error"),
}
USAGE = ["inputTokens", "outputTokens", "totalTokens", "cachedInputTokens", "reasoningTokens"]


def names(cls: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(cls)]


def test_every_event_has_its_type() -> None:
    defined = {
        each
        for each in vars(_events).values()
        if isinstance(each, type) and issubclass(each, Event) and each is not Event
    }
    assert set(EVENT_TYPES.values()) == set(typing.get_args(AnyEvent)) == defined
    assert set(EVENT_TYPES) == set(FIELDS)
    assert {tag: cls.__struct_config__.tag for tag, cls in EVENT_TYPES.items()} == {
        tag: tag for tag in FIELDS
    }


@pytest.mark.parametrize("tag", FIELDS)
def test_an_event(tag: str) -> None:
    cls = EVENT_TYPES[tag]
    assert names(cls) == FIELDS[tag]
    assert cls.terminal is (tag in TERMINAL)
    assert cls.prompt_commit is (tag in PROMPT)


@pytest.mark.parametrize(
    ("cls", "fields"),
    [
        (Usage, USAGE),
        (ToolName, ["id", "name"]),
        (ToolRequest, ["id", "name", "input"]),
        (ToolOutcome, ["id", "name", "input", "output", "status", "files"]),
        (
            RunSummary,
            ["id", "text", "steps", "finishReason", "usage", "reason", "ownUsage", "output"],
        ),
        (ErrorDetail, ["code", "message"]),
    ],
)
def test_a_part_of_an_event(cls: type[Value], fields: list[str]) -> None:
    assert names(cls) == fields


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (TextDelta(at=0, delta="x"), "delta"),
        (StepFinish(at=0, step_number=1, usage=Usage()), "at"),
        (Usage(), "input_tokens"),
        (ToolRequest("1", "t", {}), "input"),
        (RunSummary("r", "", 1, "stop", Usage()), "text"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_events_are_immutable(value: Any, field: str) -> None:
    with pytest.raises(AttributeError):
        setattr(value, field, getattr(value, field))


def test_the_first_event_tells_the_version_of_the_schema() -> None:
    assert RunStart(at=0, run_id="r", agent="a").schema == SCHEMA_VERSION == 2


@pytest.mark.parametrize("reason", [None, "the deadline passed"])
def test_a_summary_says_more_only_where_there_is_more(reason: str | None) -> None:
    summary = RunSummary("r", "", 1, "timeout", Usage(), reason)
    encoded = msgspec.to_builtins(RunFinish(at=0, run=summary))["run"]
    assert encoded.get("reason", "nothing") == (reason or "nothing")
    # What isn't said by default is left out, but not what is always there.
    assert list(encoded)[:5] == ["id", "text", "steps", "finishReason", "usage"]
    assert list(encoded["usage"]) == USAGE


def test_usage_is_summed_field_by_field() -> None:
    # What a provider calls the total need not be the sum.
    assert Usage(1, 2, 5, 3, 4) + Usage(10, 20, 50, 30, 40) == Usage(11, 22, 55, 33, 44)
    assert sum([Usage(1, 1, 2)] * 3, Usage()) == Usage(3, 3, 6)
    assert Usage() == Usage(0, 0, 0)
