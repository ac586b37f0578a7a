"""Partial values: a fold over events of the run's own level."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from json_kit import VALUES, cut

from trio_agent._events import (
    AnyEvent,
    ErrorDetail,
    Nested,
    OutputDelta,
    OutputRetry,
    RunError,
    RunFinish,
    RunStart,
    RunSummary,
    StepDiscard,
    StepStart,
    TextDelta,
    Usage,
)
from trio_agent._output.partial import PartialOutput

NOTHING = msgspec.UNSET


def step(number: int = 1) -> StepStart:
    return StepStart(at=0, step_number=number)


def delta(text: str) -> OutputDelta:
    return OutputDelta(at=0, delta=text)


def finish(output: Any = NOTHING) -> RunFinish:
    return RunFinish(at=0, run=RunSummary("r", "", 1, "stop", Usage(), output=output))


RETRY = OutputRetry(at=0, message="no")
BACK = StepDiscard(at=0, step_number=1, from_offset=1, reason="cut")
NESTED = Nested(at=0, call="c", raw=msgspec.Raw(msgspec.json.encode(delta("[9]"))))
NESTED_STEP = Nested(at=0, call="c", raw=msgspec.Raw(msgspec.json.encode(step())))
NESTED_BACK = Nested(at=0, call="c", raw=msgspec.Raw(msgspec.json.encode(BACK)))


@pytest.mark.parametrize(
    ("events", "changes", "value", "text"),
    [
        ([], [], NOTHING, ""),
        ([RunStart(at=0, run_id="r", agent="a"), step()], [0, 0], NOTHING, ""),
        ([delta('{"a'), delta('": "b')], [1, 1], {"a": "b"}, '{"a": "b'),
        ([delta("[1"), delta("2"), delta(","), delta(" ")], [1, 0, 1, 0], [12], "[12, "),
        ([TextDelta(at=0, delta="[1]")], [0], NOTHING, ""),
        # Each step and each correction begins anew.
        ([delta("[1,"), step(2)], [1, 1], NOTHING, ""),
        ([delta("[1,"), step(2), delta("[2,")], [1, 1, 1], [2], "[2,"),
        ([delta("[1,"), RETRY, step(2), delta("[")], [1, 1, 0, 1], [], "["),
        ([delta("so"), RETRY], [0, 0], NOTHING, ""),
        # What is taken back is gone.
        ([delta("[1,"), BACK], [1, 1], NOTHING, ""),
        ([delta("so"), BACK], [0, 0], NOTHING, ""),
        ([step(), delta("[1,"), BACK, step(), delta("[2,")], [0, 1, 1, 0, 1], [2], "[2,"),
        # What sub-agents answer is no part of it.
        ([delta("["), NESTED, NESTED_STEP, delta('"a')], [1, 0, 0, 1], ["a"], '["a'),
        ([delta("["), NESTED_BACK, delta('"a')], [1, 0, 1], ["a"], '["a'),
        # The end.
        ([delta("[1]"), finish([1])], [1, 0], [1], "[1]"),
        ([delta("[1]"), finish([2])], [1, 1], [2], "[1]"),
        ([finish(None)], [1], None, ""),
        ([delta("null"), finish(None)], [1, 0], None, "null"),
        ([delta("[1,"), finish()], [1, 0], [1], "[1,"),
        ([delta("[1,"), RunError(at=0, error=ErrorDetail("a", "b"))], [1, 0], [1], "[1,"),
    ],
)
def test_fold(events: list[AnyEvent], changes: list[int], value: Any, text: str) -> None:
    partial = PartialOutput()
    assert [partial.add(event) for event in events] == [bool(change) for change in changes]
    assert (partial.value, partial.text) == (value, text)


def test_a_value_stays_what_it_was() -> None:
    """What a reader got does not change under its hands."""
    partial = PartialOutput()
    partial.add(delta('{"a": [1,'))
    before = partial.value
    assert partial.value is before
    partial.add(delta("2,"))
    assert (before, partial.value) == ({"a": [1]}, {"a": [1, 2]})


@given(VALUES, st.data())
def test_the_last_is_the_value(value: Any, data: st.DataObject) -> None:
    partial, text = PartialOutput(), json.dumps(value)
    for piece in cut(text, data):
        partial.add(delta(piece))
    assert partial.text == text
    assert json.dumps(partial.value) == text
    assert partial.add(finish(value)) is False
