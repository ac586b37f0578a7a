"""The transcript of a run as a fold of its events."""

from trio_agent._events import (
    AnyEvent,
    ModelFinished,
    ReasoningDelta,
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
        ReasoningDelta(at=0, delta="hm"),
        ReasoningDelta(at=0, delta="!"),
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
        AssistantMessage("ab", (first, second), "hm!"),
        ToolMessage("1", "no", "error"),
        ToolMessage("2", '{"x":1}'),
    )
    assert transcript.steps == 1


def test_what_is_kept_beside_an_answer_is_of_that_answer() -> None:
    transcript = Transcript()
    for provider, text in (({"p": 1}, "a"), (None, "b"), ({"p": 2}, "")):
        if text:
            transcript.add(TextDelta(at=0, delta=text))
        answered = ModelFinished(at=0, step_number=1, model="m", reason="stop", usage=Usage())
        transcript.add(answered, provider)
        transcript.add(StepFinish(at=0, step_number=1, usage=Usage()))
    assert transcript.messages == (
        AssistantMessage("a", provider={"p": 1}),
        AssistantMessage("b"),
        AssistantMessage("", provider={"p": 2}),
    )
