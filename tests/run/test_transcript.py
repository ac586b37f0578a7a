"""The transcript of a run as a fold of its events."""

from trio_agent._events import (
    AnyEvent,
    RunStart,
    StepFinish,
    StepStart,
    TextDelta,
    ToolCall,
    ToolOutcome,
    ToolRequest,
    ToolResult,
    Usage,
)
from trio_agent._messages import AssistantMessage, ToolMessage, UserMessage
from trio_agent._run.transcript import Transcript


def test_a_fold_of_events() -> None:
    transcript = Transcript([UserMessage("hi")])
    first, second = ToolRequest("1", "t", {}), ToolRequest("2", "t", {})
    events: list[AnyEvent] = [
        RunStart(at=0, run_id="r", agent="a"),
        StepStart(at=0, step_number=1),
        TextDelta(at=0, delta="a"),
        TextDelta(at=0, delta="b"),
        ToolCall(at=0, tool=first),
        ToolCall(at=0, tool=second),
        ToolResult(at=0, tool=ToolOutcome("2", "t", {}, {"x": 1}, "ok")),
    ]
    for event in events:
        transcript.add(event)
    assert list(transcript.calls) == [first]
    assert list(transcript.messages) == [UserMessage("hi")]
    transcript.add(ToolResult(at=0, tool=ToolOutcome("1", "t", {}, "no", "error")))
    assert not transcript.calls
    finish = StepFinish(at=0, step_number=1, usage=Usage())
    transcript.add(finish)
    transcript.add(finish)
    assert transcript.messages == (
        UserMessage("hi"),
        AssistantMessage("ab", (first, second)),
        ToolMessage("1", "no", "error"),
        ToolMessage("2", '{"x":1}'),
    )
