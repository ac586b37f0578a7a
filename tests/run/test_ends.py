"""How calls, steps and runs end: what each end says, and that it is in the story."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from machine_kit import HI

from trio_agent._content import File
from trio_agent._events import (
    AnyEvent,
    ErrorDetail,
    ModelFinished,
    RunError,
    RunFinish,
    RunStart,
    RunSummary,
    StepFinish,
    StepStart,
    TextDelta,
    ToolAnswered,
    ToolAsked,
    ToolCall,
    ToolName,
    ToolOutcome,
    ToolRequest,
    ToolResult,
    Usage,
)
from trio_agent._run.budget import Budget
from trio_agent._run.ends import Ends
from trio_agent._run.failures import Failures
from trio_agent._run.items import Answer
from trio_agent._run.states import State
from trio_agent._run.story import Story

PICTURE = File("image/png", url="https://example.org/a.png")
FREE, APPROVAL, INPUT, ODD = (
    ToolRequest(call_id, "t", {"n": 1}) for call_id in ("free", "approval", "input", "odd")
)
BEFORE: tuple[AnyEvent, ...] = (
    RunStart(at=1, run_id="r", agent="a"),
    StepStart(at=2, step_number=1),
    TextDelta(at=3, delta="So."),
    ModelFinished(at=4, step_number=1, model="m", reason="tool-calls", usage=Usage(1, 2, 3)),
    ToolCall(at=4, tool=FREE),
    ToolCall(at=4, tool=APPROVAL, wants="approval"),
    ToolAsked(at=4, tool=APPROVAL, kind="approval", deadline=99),
    ToolCall(at=4, tool=INPUT, wants="input"),
    ToolAsked(at=4, tool=INPUT, kind="input", deadline=None),
    ToolCall(at=4, tool=ODD, wants="of-tomorrow"),
    ToolAsked(at=4, tool=ODD, kind="of-tomorrow", deadline=None),
)


def told(events: Sequence[AnyEvent] = BEFORE) -> tuple[Ends, Story]:
    budget = Budget()
    story = Story([HI], budget, Failures(0), shaped=False)
    for event in events:
        story.add(event)
    return Ends("r", story, budget), story


def outcome(call: ToolRequest, output: Any, status: str, files: Any = ()) -> ToolOutcome:
    return ToolOutcome(call.id, call.name, call.input, output, status, files)


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        # What is approved is to be made now.
        (Answer("approval", True), None),
        (Answer("approval", True, {"x": 1}), None),
        # What wants a result has it.
        (Answer("input", True, {"x": 1}), ({"x": 1}, "ok", None)),
        (Answer("input", True, None), (None, "ok", None)),
        (Answer("input", True), (None, "ok", None)),
        (Answer("odd", True, 1), (1, "ok", None)),
        # What is denied never runs.
        (
            Answer("approval", False),
            ("the user did not allow this call", "error", "denied"),
        ),
        (
            Answer("approval", False, reason="too dear"),
            ("the user did not allow this call: too dear", "error", "denied"),
        ),
        (
            Answer("input", False, {"x": 1}, reason=""),
            ("the user did not allow this call", "error", "denied"),
        ),
        (
            Answer("approval", False, expired=True),
            ("nobody answered in time: the call was not made", "error", "expired"),
        ),
        (
            Answer("input", False, expired=True),
            ("nobody answered in time: the call was not made", "error", "expired"),
        ),
    ],
)
def test_an_answer(answer: Answer, ended: tuple[Any, str, str | None] | None) -> None:
    ends, story = told()
    first, *more = ends.answer(answer, 7)
    assert first == ToolAnswered(
        at=7, tool=ToolName(answer.call_id, "t"), approved=answer.approved, reason=answer.reason
    )
    assert answer.call_id not in story.waiting
    assert answer.call_id not in story.deadlines
    call = ToolRequest(answer.call_id, "t", {"n": 1})
    if ended is None:
        assert more == []
        assert story.ready == (FREE, call)
    else:
        output, status, reason = ended
        assert more == [ToolResult(at=7, tool=outcome(call, output, status), reason=reason)]
        assert story.ready == (FREE,)
        assert len(story.transcript.calls) == 3


def test_who_has_answered_is_told() -> None:
    [event] = told()[0].answer(Answer("approval", True, by="ann", reason="go"), 7)
    assert (event.by, event.reason) == ("ann", "go")  # type: ignore[union-attr]


@pytest.mark.parametrize("approved", [True, False])
@pytest.mark.parametrize(
    ("call_id", "name"), [("nobody's", ""), ("free", "t"), ("ended", ""), ("answered", "")]
)
def test_an_answer_that_nobody_waits_for_is_one_event(
    call_id: str, name: str, approved: bool
) -> None:
    """Each item of an inbox is: so the log says how many were taken."""
    ends, story = told()
    if call_id == "ended":
        call_id = "input"
        ends.answer(Answer("input", True, 1), 6)
    elif call_id == "answered":
        call_id, name = "approval", "t"
        ends.answer(Answer("approval", True), 6)
    before, ready = story.taken, story.ready
    events = ends.answer(Answer(call_id, approved, 2), 7)
    assert events == [ToolAnswered(at=7, tool=ToolName(call_id, name), approved=approved)]
    assert (story.taken, story.ready) == (before + 1, ready)


@pytest.mark.parametrize(("answer", "fails"), [(False, False), (True, True)])
def test_what_nobody_let_run_is_no_failure_of_the_tool(answer: bool, fails: bool) -> None:
    """These tools may not fail a single time."""
    ends, story = told([*BEFORE[:4], *BEFORE[5:7]])
    ends.answer(Answer("approval", answer), 7)
    if answer:
        ends.call("approval", "error", "no", 8)
    ends.step(9)
    assert (story.failed_tool is not None) is fails


def test_a_call() -> None:
    ends, _ = told()
    result = ends.call("free", "ok", 7, 5, files=(PICTURE,))
    assert result == ToolResult(at=5, tool=outcome(FREE, 7, "ok", (PICTURE,)))
    assert list(ends.open_calls()) == ["approval", "input", "odd"]
    with pytest.raises(AssertionError, match="one result"):
        ends.call("free", "ok", 7, 6)


def test_all_calls() -> None:
    ends, story = told()
    ends.abandon("free")
    ends.abandon("nobody's")
    lost = "nobody waited for the end of this call: its outcome is unknown"
    assert ends.calls("because", 5) == [
        ToolResult(at=5, tool=outcome(FREE, lost, "unknown")),
        *(
            ToolResult(at=5, tool=outcome(call, "because", "cancelled"))
            for call in (APPROVAL, INPUT, ODD)
        ),
    ]
    assert (story.transcript.calls, story.waiting, story.deadlines) == ((), {}, {})
    assert ends.calls("because", 6) == []


def test_a_step() -> None:
    ends, story = told(BEFORE[:4])
    assert ends.step(5) == StepFinish(at=5, step_number=1, usage=Usage(1, 2, 3))
    assert story.state is State.ASK


@pytest.mark.parametrize(
    ("reason", "output"), [(None, msgspec.UNSET), ("why\ud800", None), ("", [1])]
)
def test_a_run(reason: str | None, output: Any) -> None:
    ends, story = told(BEFORE[:4])
    finish = ends.run("stop", reason, 5, output)
    used = Usage(1, 2, 3)
    told_reason = None if reason is None else reason.replace("\ud800", "?")
    summary = RunSummary("r", "So.", 1, "stop", used, told_reason, used, output)
    assert finish == RunFinish(at=5, run=summary)
    assert story.terminal is finish
    assert story.state is State.DONE


def test_closing_answers_what_is_open_first() -> None:
    ends, story = told()
    *results, finish = ends.finish("timeout", 5, "late")
    assert [type(result) for result in results] == [ToolResult] * 4
    assert isinstance(finish, RunFinish)
    assert (finish.run.finish_reason, finish.run.reason) == ("timeout", "late")
    ends, story = told()
    *results, error = ends.fail("c\ud800", "m\ud800", 5)
    assert len(results) == 4
    assert error == RunError(at=5, error=ErrorDetail("c?", "m?"), usage=Usage(1, 2, 3))
    assert story.terminal is error


def test_a_run_has_one_end() -> None:
    ends, _ = told()
    ends.finish("cancelled", 5, None)
    with pytest.raises(AssertionError, match="one end"):
        ends.finish("cancelled", 6, None)
    with pytest.raises(AssertionError, match="one end"):
        ends.fail("c", "m", 6)
