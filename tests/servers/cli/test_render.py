"""Events in a form that a person likes to read in a terminal."""

import io

import msgspec
import pytest
from log_kit import nested

from trio_agent import (
    AnyEvent,
    ErrorDetail,
    File,
    ModelFinished,
    ModelSwitch,
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


def test_files_of_a_result() -> None:
    files = (File("image/png", data=b"abc", name="a\nb"), File("a/b", url="https://h/x"))
    result = ToolResult(at=1, tool=ToolOutcome("c", "plot", {}, "a plot", "ok", files))
    assert rendered(result) == ("<- ok: a plot\n   a b, image/png, 3 bytes\n   a/b, https://h/x\n")


def test_a_run_that_waits_and_goes_on() -> None:
    asked = ToolAsked(at=1, tool=ToolRequest("c", "rm", {}), kind="approval", deadline=None)
    answered = ToolAnswered(at=1, tool=ToolName("c", "rm"), approved=True)
    told = UserSaid(at=1, content="Soon.")
    waiting, continued = RunWaiting(at=1, calls=("c",)), RunContinued(at=1, reason="answered")
    assert rendered(*run_of("Well."), asked, waiting, continued, answered, told) == (
        "Well.\n?? rm({}) waits for somebody to approve it [c]\n"
        "[waiting: 1 of its calls want an answer]\n[goes on: answered]\n!! rm: yes\n>> Soon.\n"
    )


def test_what_is_taken_back_is_said_and_is_no_answer() -> None:
    events = run_of('"a"')
    discard = StepDiscard(at=1, step_number=1, from_offset=2, reason="cut-stream")
    summary = RunSummary("r", "", 1, "stop", Usage(), output="a")
    assert rendered(*events[:3], discard, RunFinish(at=9, run=summary)) == (
        '"a"\n[taken back: what step 1 has said; it is asked again (cut-stream)]\n'
        '"a"\n[stop: 1 steps]\n'
    )


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
        ToolResult(at=1, tool=ToolOutcome("c", "t", {}, 1, "ok", (File(NASTY, name=NASTY),))),
        RunError(at=1, error=ErrorDetail(f"a{NASTY}b", f"a{NASTY}b")),
        finish("cancelled", f"a{NASTY}b"),
        ToolProgress(at=1, tool=ToolName("c", f"a{NASTY}b"), data={"message": f"a{NASTY}b"}),
        OutputDelta(at=1, delta=f'"a{NASTY}b"'),
        OutputRetry(at=1, message=f"a{NASTY}b"),
        RunFinish(at=1, run=RunSummary("r", "", 1, "stop", Usage(), output=[f"a{NASTY}b"])),
        *nested(f"c{NASTY}", TextDelta(at=1, delta=f"a{NASTY}b")),
        *nested("c", RunStart(at=1, run_id="r", agent=f"a{NASTY}b\n")),
        *nested("c", *nested("d", ToolCall(at=1, tool=ToolRequest("c", f"a{NASTY}b", NASTY)))),
        ToolAsked(
            at=1, tool=ToolRequest("c", f"a{NASTY}b", f"a{NASTY}b"), kind="input", deadline=None
        ),
        ToolAnswered(at=1, tool=ToolName("c", f"a{NASTY}b"), approved=True, reason=NASTY),
        UserSaid(at=1, content=f"a{NASTY}b", by=NASTY),
        RunContinued(at=1, reason=NASTY),
        StepDiscard(at=1, step_number=1, from_offset=1, reason=NASTY),
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
    assert set(rendered(event, file=Terminal())) & UNPRINTABLE <= {"\x1b", "\r"}
    assert "\x1b]" not in rendered(event, file=Terminal())


def call_of(call_id: str, name: str = "ask") -> ToolCall:
    return ToolCall(at=1, tool=ToolRequest(call_id, name, {}))


def result_of(call_id: str, output: str = "x", status: str = "ok") -> ToolResult:
    return ToolResult(at=1, tool=ToolOutcome(call_id, "ask", {}, output, status))


def start(agent: str) -> RunStart:
    return RunStart(at=1, run_id="r", agent=agent)


def says(text: str) -> TextDelta:
    return TextDelta(at=1, delta=text)


def progress(data: object, call: str = "c") -> ToolProgress:
    return ToolProgress(at=1, tool=ToolName(call, "ask"), data=data)


class TestSubAgents:
    def test_indented_below_their_names(self) -> None:
        inner = nested("c/d", start("clerk"), says("Page 1\nand 2."), finish())
        middle = [start("lawyer"), says("Let me "), says("see."), call_of("c/d"), *inner]
        ended = [result_of("c/d"), says("It is."), finish()]
        events = [call_of("c"), *nested("c", *middle, *ended), result_of("c"), says("Yes.")]
        assert rendered(*events) == (
            "-> ask({})\n"
            "  lawyer:\n"
            "  Let me see.\n"
            "  -> ask({})\n"
            "    clerk:\n"
            "    Page 1\n"
            "    and 2.\n"
            "    [stop: 2 steps]\n"
            "  lawyer:\n"
            "  <- ok: x\n"
            "  It is.\n"
            "  [stop: 2 steps]\n"
            "<- ok: x\n"
            "Yes."
        )

    def test_side_by_side_they_take_turns_by_lines(self) -> None:
        events: list[AnyEvent] = [*nested("a", start("one")), *nested("b", start("two"))]
        for word in ("some ", "more ", "words"):
            events += [*nested("a", says(word)), *nested("b", says(word))]
        events += [
            *nested("a", says("\n"), says("then")),
            *nested("b", finish()),
            *nested("a", finish()),
        ]
        assert rendered(*events) == (
            "  one:\n  some more words\n"
            "  two:\n  some more words\n  [stop: 2 steps]\n"
            "  one:\n  then\n  [stop: 2 steps]\n"
        )

    def test_result_of_the_call_ends_what_has_no_end(self) -> None:
        events = [
            *nested("a", start("one"), says("half a ")),
            *nested("b", start("two"), says("never shown?")),
            result_of("b", "the server died", "unknown"),
            result_of("a", "the server died", "unknown"),
        ]
        end = "<- unknown: the server died\n"
        shown = f"  one:\n  half a \n  two:\n  never shown?\n{end}{end}"
        assert rendered(*events) == shown

    def test_next_run_may_have_the_same_ids(self) -> None:
        events = [*nested("a", start("one"), says("x")), start("r"), *nested("a", start("two"))]
        assert rendered(*events, *nested("a", says("y"))) == "  one:\n  x\n  two:\n  y"

    def test_reasoning_has_lines_of_its_own(self) -> None:
        thought = ReasoningDelta(at=1, delta="Hm.")
        assert rendered(*nested("a", start("one"), thought, says("Yes."), thought)) == (
            "  one:\n  Hm.\n  Yes.\n  Hm."
        )

    @pytest.mark.parametrize("raw", [b'{"type":"news","at":1}', b'{"type":"text-delta"}', b"{"])
    def test_what_can_not_be_read_is_left_out(self, raw: bytes) -> None:
        [event] = nested("c", says("x"))
        assert rendered(msgspec.structs.replace(event, raw=msgspec.Raw(raw))) == ""

    def test_depth_has_an_end_on_the_screen(self) -> None:
        events: list[AnyEvent] = [start("deep"), says("x")]
        for _ in range(100):
            events = nested("c", *events)
        assert rendered(*events) == f"{16 * ' '}deep:\n{16 * ' '}x"

    def test_they_count_neither_as_calls_nor_in_the_speed(self) -> None:
        renderer = Renderer(io.StringIO())
        for event in nested("a", start("one"), says("x"), call_of("a/b")):
            renderer.show(event)
        assert (renderer.tool_calls, renderer.speed()) == (0, "no token came")


class TestProgress:
    def test_the_last_one_stands_over_the_result(self) -> None:
        events = [progress({"done": n, "total": 4}) for n in range(1, 4)]
        assert rendered(call_of("c"), *events, result_of("c")) == (
            f"-> ask({{}})\n.. [{18 * '#'}{6 * ' '}] 3/4\n<- ok: x\n"
        )

    def test_on_a_terminal_a_line_is_rewritten(self) -> None:
        events = [progress({"message": word}) for word in ("one", "two")]
        shown = rendered(*events, result_of("c"), file=Terminal())
        assert shown.startswith(
            "\r.. ask one\x1b[K\r.. ask two\x1b[K\r\x1b[K\x1b[2m.. two\x1b[0m\n"
        )

    def test_it_breaks_no_line(self) -> None:
        events = [
            *nested("a", start("one"), says("half ")),
            progress(1),
            *nested("a", says("whole")),
        ]
        assert rendered(*events, file=Terminal()).endswith("  half whole")

    def test_of_a_sub_agents_call(self) -> None:
        events: list[AnyEvent] = [progress("reading", "a/b"), result_of("a/b")]
        assert rendered(*nested("a", start("one"), *events)) == (
            "  one:\n  .. reading\n  <- ok: x\n"
        )


class TestOutput:
    @staticmethod
    def pieces(*texts: str) -> list[AnyEvent]:
        return [OutputDelta(at=1, delta=text) for text in texts]

    @staticmethod
    def end(output: object) -> RunFinish:
        return RunFinish(at=1, run=RunSummary("r", "", 1, "stop", Usage(), output=output))

    def test_it_flows(self) -> None:
        events: list[AnyEvent] = [*self.pieces('{"a"', ": 1}"), self.end({"a": 1})]
        assert rendered(*events) == '{"a": 1}\n[stop: 1 steps]\n'

    def test_what_is_asked_again(self) -> None:
        again = OutputRetry(at=1, message="a: 2 at most")
        events: list[AnyEvent] = [*self.pieces("3"), again, *self.pieces("2"), self.end(2)]
        assert rendered(*events) == (
            "3\n[this is no answer, it is asked again: a: 2 at most]\n2\n[stop: 1 steps]\n"
        )

    def test_that_was_given_as_text(self) -> None:
        assert rendered(says("[1"), says("]"), self.end([1])) == "[1]\n[stop: 1 steps]\n"

    @pytest.mark.parametrize("written", [["1"], ["{"], []])
    def test_another_value_than_was_written(self, written: list[str]) -> None:
        text = "".join(written)
        shown = rendered(*self.pieces(*written), self.end(None))
        assert shown == (f"{text}\n" if text else "") + "null\n[stop: 1 steps]\n"


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
    renderer.recall(f"you: {NASTY}")
    assert file.getvalue().startswith("What")
    assert "?\na\n-- cut\nyou: " in file.getvalue()
    assert "\x1b" not in file.getvalue()


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
