"""The transcript of a run as a fold of its events."""

import pytest

from trio_agent._content import File, Text
from trio_agent._events import (
    AnyEvent,
    ErrorDetail,
    ModelFinished,
    OutputDelta,
    OutputRetry,
    ReasoningDelta,
    RunError,
    RunStart,
    StepDiscard,
    StepFinish,
    StepStart,
    TextDelta,
    ToolCall,
    ToolOutcome,
    ToolRequest,
    ToolResult,
    Usage,
    UserSaid,
)
from trio_agent._messages import AnyMessage, AssistantMessage, ToolMessage, UserMessage
from trio_agent._run.transcript import Transcript

STEP = StepStart(at=0, step_number=1)
END = StepFinish(at=0, step_number=1, usage=Usage())
BACK = StepDiscard(at=0, step_number=1, from_offset=1, reason="cut")
CALL = ToolRequest("1", "t", {})
RESULT = ToolResult(at=0, tool=ToolOutcome("1", "t", {}, "no", "error"), reason="denied")


def text(delta: str) -> TextDelta:
    return TextDelta(at=0, delta=delta)


def said(content: str) -> UserSaid:
    return UserSaid(at=0, content=content, by="ann")


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


@pytest.mark.parametrize(
    ("events", "messages", "whole", "steps"),
    [
        # A step that is taken back is as if it never was.
        ([STEP, text("a"), BACK], [], "", 0),
        ([STEP, text("a"), BACK, STEP, text("b"), END], [AssistantMessage("b")], "b", 1),
        (
            [STEP, ReasoningDelta(at=0, delta="hm"), BACK, STEP, text("b"), END],
            [AssistantMessage("b")],
            "b",
            1,
        ),
        (
            [STEP, OutputDelta(at=0, delta="[1"), BACK, STEP, OutputDelta(at=0, delta="2"), END],
            [AssistantMessage("2")],
            "",
            1,
        ),
        (
            [STEP, text("a"), END, STEP, text("b"), BACK, STEP, text("c"), END],
            [AssistantMessage("a"), AssistantMessage("c")],
            "ac",
            2,
        ),
        ([STEP, BACK, STEP, BACK], [], "", 0),
        # What users say stands between steps, in its order, and behind results.
        ([said("x"), said("y")], [UserMessage("x"), UserMessage("y")], "", 0),
        ([STEP, text("a"), END, said("x")], [AssistantMessage("a"), UserMessage("x")], "a", 1),
        ([STEP, text("a"), BACK, said("x")], [UserMessage("x")], "", 0),
        ([said("x"), STEP, text("a"), BACK], [UserMessage("x")], "", 0),
        ([STEP, ToolCall(at=0, tool=CALL), said("x")], [], "", 1),
        (
            [STEP, ToolCall(at=0, tool=CALL), said("x"), RESULT, said("y"), END, said("z")],
            [
                AssistantMessage("", (CALL,)),
                ToolMessage("1", "no", "error"),
                *map(UserMessage, "xyz"),
            ],
            "",
            1,
        ),
        (
            [
                STEP,
                ToolCall(at=0, tool=CALL),
                OutputRetry(at=0, message="not so"),
                said("x"),
                RESULT,
                END,
            ],
            [
                AssistantMessage("", (CALL,)),
                ToolMessage("1", "no", "error"),
                UserMessage("not so"),
                UserMessage("x"),
            ],
            "",
            1,
        ),
        (
            [UserSaid(at=0, content=(Text("a"), File("image/png", url="u")))],
            [UserMessage((Text("a"), File("image/png", url="u")))],
            "",
            0,
        ),
    ],
)
def test_what_is_taken_back_and_what_users_say(
    events: list[AnyEvent], messages: list[AnyMessage], whole: str, steps: int
) -> None:
    transcript = Transcript([UserMessage("hi")])
    for event in events:
        transcript.add(event)
    assert transcript.messages == (UserMessage("hi"), *messages)
    assert (transcript.text, transcript.steps) == (whole, steps)


ANSWER = [STEP, text("a"), END]
GIVEN: list[AnyMessage] = [UserMessage("x"), AssistantMessage("y"), UserMessage("hi")]


@pytest.mark.parametrize(
    ("events", "added"),
    [
        ([], ()),
        ([STEP], ()),
        ([STEP, text("a")], ()),  # not before the step has ended
        (ANSWER, (AssistantMessage("a"),)),
        ([STEP, text("a"), RunError(at=0, error=ErrorDetail("x", "y"))], (AssistantMessage("a"),)),
        ([STEP, RunError(at=0, error=ErrorDetail("x", "y"))], ()),
        ([STEP, ReasoningDelta(at=0, delta="hm"), END], ()),
        ([STEP, text("a"), BACK, END], ()),
        ([said("b"), END], ()),  # of what only users say, nothing is kept
        ([said("b"), *ANSWER], (UserMessage("b"), AssistantMessage("a"))),
        (
            [STEP, ToolCall(at=0, tool=CALL), RESULT, END],
            (AssistantMessage("", (CALL,)), ToolMessage("1", "no", "error")),
        ),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 2])
def test_what_a_run_adds_to_its_thread(
    events: list[AnyEvent], added: tuple[AnyMessage, ...], before: int
) -> None:
    """What it was given, too, but not what was said before; and nothing before its model speaks."""
    transcript = Transcript(GIVEN)
    transcript.before = before
    for event in events:
        transcript.add(event)
    assert transcript.added == ((*GIVEN[before:], *added) if added else ())
