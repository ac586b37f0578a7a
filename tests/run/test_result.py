"""What came of a run: the same, whoever tells it."""

import pytest

from trio_agent._errors import RunIncomplete
from trio_agent._events import (
    ErrorDetail,
    RunError,
    RunFinish,
    RunSummary,
    StepFinish,
    StepStart,
    TextDelta,
    Usage,
)
from trio_agent._messages import AssistantMessage, UserMessage
from trio_agent._run.result import Result, result_of
from trio_agent._run.transcript import Transcript

HI = UserMessage("hi")


def transcript() -> Transcript:
    folded = Transcript([HI])
    for event in (
        StepStart(at=0, step_number=1),
        TextDelta(at=0, delta="a"),
        StepFinish(at=0, step_number=1, usage=Usage(1, 1, 2)),
        StepStart(at=0, step_number=2),
        TextDelta(at=0, delta="b"),
    ):
        folded.add(event)
    return folded


def test_of_a_run_that_finished() -> None:
    summary = RunSummary("r", "ab", 2, "timeout", Usage(1, 1, 2), "too slow")
    end = RunFinish(at=0, run=summary)
    folded = transcript()
    folded.add(end)
    said = (HI, AssistantMessage("a"), AssistantMessage("b"))
    assert result_of("r", end, folded) == Result(
        "r", "ab", 2, "timeout", Usage(1, 1, 2), said, "too slow", "ab"
    )


@pytest.mark.parametrize("value", [None, {"a": [1]}, ""])
def test_of_an_answer_with_a_shape(value: object) -> None:
    summary = RunSummary("r", "ab", 2, "stop", Usage(), output=value)
    assert result_of("r", RunFinish(at=0, run=summary), transcript()).output == value


def test_of_a_run_that_failed() -> None:
    end = RunError(at=0, error=ErrorDetail("c", "it broke"), usage=Usage(1, 1, 2))
    folded = transcript()
    folded.add(end)
    said = (HI, AssistantMessage("a"), AssistantMessage("b"))
    assert result_of("r", end, folded) == Result(
        "r", "ab", 2, "error", Usage(1, 1, 2), said, "it broke", "ab"
    )


def test_a_text_is_no_answer_where_a_shape_was_asked_for() -> None:
    failed = RunError(at=0, error=ErrorDetail("c", "it broke"))
    finished = RunFinish(at=0, run=RunSummary("r", "ab", 2, "timeout", Usage()))
    for end, reason in ((failed, "error"), (finished, "timeout")):
        result = result_of("r", end, transcript(), shaped=True)
        assert result.text == "ab"
        with pytest.raises(RunIncomplete, match=reason):
            _ = result.output
