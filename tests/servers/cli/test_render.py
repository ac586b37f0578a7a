"""Events in a form that a person likes to read in a terminal."""

import io

import pytest

from trio_agent import (
    AnyEvent,
    ErrorDetail,
    ModelFinished,
    ModelSwitch,
    ReasoningDelta,
    RunError,
    RunFinish,
    RunStart,
    RunSummary,
    StepFinish,
    StepStart,
    TextDelta,
    ToolCall,
    ToolInputDelta,
    ToolName,
    ToolOutcome,
    ToolRequest,
    ToolResult,
    Usage,
)
from trio_agent.servers.cli._render import Renderer

NASTY = "\x1b]0;owned\x07\x9b31m\r\x08\x00\u202e\u200b"
"""Escape sequences in both forms, and what hides or reorders text."""


UNPRINTABLE = {char for char in NASTY if not char.isprintable()}


FINISHED = ModelFinished(at=1, step_number=1, model="m", reason="stop", usage=Usage())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run_of(*answers: str) -> list[AnyEvent]:
    events: list[AnyEvent] = [RunStart(at=1000, run_id="r", agent="a")]
    for step, answer in enumerate(answers, 1):
        events.append(StepStart(at=1000 * step, step_number=step))
        events += [
            TextDelta(at=1000 * step + 500 + 10 * number, delta=word)
            for number, word in enumerate(answer.split("|"))
        ]
        events.append(StepFinish(at=1000 * step + 999, step_number=step, usage=Usage()))
    return events


def rendered(*events: AnyEvent, file: io.StringIO | None = None) -> str:
    file = file or io.StringIO()
    renderer = Renderer(file)
    for event in events:
        renderer.show(event)
    return file.getvalue()


def finish(reason: str = "stop", why: str | None = None) -> RunFinish:
    summary = RunSummary("r", "", 2, reason, Usage(), why)  # type: ignore[arg-type]
    return RunFinish(at=9, run=summary)


def test_text_flows_and_the_rest_has_lines() -> None:
    call = ToolCall(at=1, tool=ToolRequest("c", "add", {"a": 1}))
    result = ToolResult(at=1, tool=ToolOutcome("c", "add", {"a": 1}, 2, "ok"))
    assert rendered(*run_of("I |add."), call, result, *run_of("It is |2."), finish()) == (
        'I add.\n-> add({"a":1})\n<- ok: 2\nIt is 2.\n[stop: 2 steps]\n'
    )


def test_reasoning_and_the_answer_have_lines_of_their_own() -> None:
    thoughts = [ReasoningDelta(at=1, delta="2 and "), ReasoningDelta(at=1, delta="2?")]
    again = ReasoningDelta(at=1, delta="Yes.")
    assert rendered(*thoughts, *run_of("It is |4."), again) == "2 and 2?\nIt is 4.\nYes."
    # An answer needs no line before it where nothing was thought.
    assert rendered(TextDelta(at=1, delta="4"), TextDelta(at=1, delta="2")) == "42"


def test_code_keeps_its_shape() -> None:
    assert rendered(TextDelta(at=1, delta="if x:\r\n\ty\r\n")) == "if x:\n\ty\n"


def test_signs_that_are_joined_stay_joined() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467 10\u00a0%"
    assert rendered(TextDelta(at=1, delta=family)) == family


def test_text_that_ends_its_line_itself() -> None:
    assert rendered(*run_of("a\n"), finish()) == "a\n[stop: 2 steps]\n"


@pytest.mark.parametrize(
    "event",
    [
        TextDelta(at=1, delta=f"a{NASTY}b"),
        ReasoningDelta(at=1, delta=f"a{NASTY}b"),
        ToolInputDelta(at=1, tool=ToolName("c", f"a{NASTY}b"), delta=f"a{NASTY}b"),
        ToolCall(at=1, tool=ToolRequest("c", f"a{NASTY}b", f"a{NASTY}b")),
        ToolCall(at=1, tool=ToolRequest("c", "a", {"a": f"a{NASTY}b"})),
        ToolResult(at=1, tool=ToolOutcome("c", "t", {}, f"a{NASTY}b", "error")),
        RunError(at=1, error=ErrorDetail(f"a{NASTY}b", f"a{NASTY}b")),
        finish("cancelled", f"a{NASTY}b"),
        ModelSwitch(
            at=1,
            step_number=1,
            from_=f"a{NASTY}b",
            to=f"a{NASTY}b",
            error=ErrorDetail(f"a{NASTY}b", f"a{NASTY}b"),
        ),
    ],
)
def test_no_control_characters(event: AnyEvent) -> None:
    assert rendered(event).replace("\n", "").isprintable()
    assert set(rendered(event, file=Terminal())) & UNPRINTABLE <= {"\x1b"}
    assert "\x1b]" not in rendered(event, file=Terminal())


def test_colours_on_a_terminal_only() -> None:
    events = [
        *run_of("a"),
        RunError(at=1, error=ErrorDetail("code", "why")),
        finish("timeout", "y"),
    ]
    assert "\x1b" not in rendered(*events)
    coloured = rendered(*events, file=Terminal())
    assert "\x1b[31m[code: why]\x1b[0m\n" in coloured
    assert "\x1b[2m[timeout (y): 2 steps]\x1b[0m\n" in coloured


def test_another_model_is_told_in_a_line_and_the_end_of_its_answer_is_not() -> None:
    switch = ModelSwitch(
        at=1, step_number=1, from_="one", to="two", error=ErrorDetail("rate-limit", "no")
    )
    events = [switch, TextDelta(at=1, delta="a"), FINISHED, TextDelta(at=1, delta="b")]
    assert rendered(*events) == "[one -> two: rate-limit: no]\nab"
    assert rendered(switch, file=Terminal()).startswith("\x1b[2m[one -> two")


def test_heading_and_notes() -> None:
    file = io.StringIO()
    renderer = Renderer(file)
    renderer.heading(f"What{NASTY}?")
    renderer.show(TextDelta(at=1, delta="a"))
    renderer.note("cut")
    assert file.getvalue().startswith("What")
    assert file.getvalue().endswith("?\na\n-- cut\n")


def test_speed() -> None:
    renderer = Renderer(io.StringIO())
    assert renderer.speed() == "no token came"
    events = run_of("a|b|c", "d|e")
    for event in events[:3]:
        renderer.show(event)
    assert renderer.speed() == "first token after 0.50 s"
    for event in events[3:]:
        renderer.show(event)
    # Three deltas behind the first of their step, 10 ms each; not the time between the steps.
    assert renderer.speed() == "first token after 0.50 s, 100.0 tokens/s"
    assert renderer.tool_calls == 0
