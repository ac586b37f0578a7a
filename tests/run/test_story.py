"""What has happened to an agent, told again from its log: the machine is the one that wrote it."""

from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from machine_kit import HI, Logged, acting, asked, calling, continued, known, machine

from trio_agent._events import (
    AnyEvent,
    ModelFinished,
    Nested,
    OutputDelta,
    ReasoningDelta,
    RunFinish,
    StepDiscard,
    StepFinish,
    StepStart,
    TextDelta,
    ToolCall,
    ToolInputDelta,
    ToolName,
    ToolRequest,
    Usage,
)
from trio_agent._log.codec import encode_event
from trio_agent._messages import AssistantMessage, ToolMessage, UserMessage, unpaired_calls
from trio_agent._run.budget import Budget
from trio_agent._run.failures import Failures
from trio_agent._run.items import Answer, Item, Said, decode_item, encode_item
from trio_agent._run.machine import Machine
from trio_agent._run.states import CheckOutput, Expected, State
from trio_agent._run.story import ANSWERED, HANDED_OVER, LOST, Story
from trio_agent.models._parts import (
    ModelFinish,
    OutputPart,
    ReasoningPart,
    SwitchPart,
    TextPart,
    ToolInputPart,
)

TEXTS = st.text(max_size=3) | st.sampled_from(["\ud800", "a\udc00b", "\u2028"])
IDS = st.sampled_from(["1", "2", "1-2", "", "c/1", "\ud800"])
PARTS = st.one_of(
    st.builds(TextPart, TEXTS),
    st.builds(ReasoningPart, TEXTS),
    st.builds(OutputPart, st.sampled_from(['{"output":', "[1", ",2]", "}", "1", "x", ""])),
    st.just(SwitchPart("a", "b", "c", "m")),
    st.builds(
        ToolInputPart,
        IDS,
        st.sampled_from(["t", "u", ""]),
        st.sampled_from(["", "{", "}", '{"a":1}', "[", "x"]),
    ),
)
FINISHES = st.builds(
    ModelFinish,
    st.sampled_from(["stop", "tool-calls", "tool-calls", "tool-calls", "length", "content-filter"]),
    st.builds(Usage, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
    st.sampled_from(["m", "\ud800"]),
    st.sampled_from([{}, {"p": {"signature": "s"}}]),
)
REASONS = st.sampled_from([LOST, LOST, HANDED_OVER, ANSWERED])
WANTS = st.sampled_from([None, None, "approval", "input", "of-tomorrow"])
BOUNDS = st.none() | st.integers(1, 40)


def through_the_inbox(item: Item) -> Item:
    return decode_item(encode_item(item))


def items(ids: list[str]) -> st.SearchStrategy[Item]:
    """Answers to calls that wait, and to others; messages."""
    answers = st.builds(
        Answer,
        st.sampled_from([*ids, "1", "nobody's"]),
        st.booleans(),
        st.sampled_from([msgspec.UNSET, None, {"a": [1.5]}]),
        st.none() | st.just("ann"),
        st.none() | TEXTS,
        st.booleans(),
    )
    return (answers | st.builds(Said, TEXTS, st.none() | st.just("ann"))).map(through_the_inbox)


def settings_of(data: st.DataObject) -> dict[str, Any]:
    return {
        "max_steps": data.draw(st.integers(1, 5)),
        "max_tokens": data.draw(BOUNDS),
        "tool_retries": data.draw(st.none() | st.integers(0, 2)),
        "continuations": data.draw(st.integers(0, 2)),
        "output": data.draw(
            st.none() | st.builds(Expected, wrapped=st.booleans(), retries=st.integers(0, 2))
        ),
    }


def speak(run: Logged, data: st.DataObject) -> None:
    made = run.live
    match data.draw(st.sampled_from(["say", "say", "finish", "finish", "break"])):
        case "say":
            run.append(made.said(data.draw(st.lists(PARTS, max_size=5)), 0))
        case "finish":
            finish = data.draw(FINISHES)
            wants = {call.id: data.draw(WANTS) for call in made._speech._open.values()}
            events = made.answered(
                finish,
                0,
                wants=lambda call: wants[call.id],
                deadline=data.draw(st.sampled_from([None, 99])),
                more=data.draw(st.booleans()),
            )
            run.append(events, finish)
        case "break":
            run.append(made.broke_off(data.draw(TEXTS), 0))


def check(run: Logged, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        run.append(run.live.accepted(data.draw(st.sampled_from([None, 1, [1]])), 0))
    else:
        run.append(run.live.refused(data.draw(TEXTS), 0))


def act(run: Logged, data: st.DataObject) -> None:
    made = run.live
    if not made.story.ready:
        run.append(made.waits(0))
    elif data.draw(st.booleans()):
        call = data.draw(st.sampled_from(made.story.ready))
        status = data.draw(st.sampled_from(["ok", "error", "unknown"]))
        run.append(made.returned(call.id, status, call.input, 0))
    elif data.draw(st.booleans()):
        made.abandoned(data.draw(st.sampled_from(made.story.ready)).id)


def go_on(run: Logged, data: st.DataObject) -> None:
    """One of all acts that are possible now."""
    made = run.live
    chance = data.draw(st.integers(0, 19))
    if chance == 0:
        run.append(made.finish("cancelled", 0, reason=data.draw(st.none() | TEXTS)))
    elif chance == 1:
        run.append(made.fail(data.draw(TEXTS), data.draw(TEXTS), 0))
    elif made.state is State.START:
        run.append(made.started(0))
    elif chance < 5:
        run.live = run.rebuilt()
        rerun = data.draw(st.sets(st.sampled_from(["t", "u"])))
        run.append(continued(run.live, data.draw(REASONS), 0, rerun=rerun))
    elif chance < 10 and made.state in {State.ASK, State.ACT}:
        item = data.draw(items(list(made.story.waiting)))
        events = made.took(item, 0)
        assert events[0].__class__.__name__ in {"ToolAnswered", "UserSaid"}
        run.append(events)
    elif made.state is State.ASK:
        run.append(made.asked(0, run.next_offset))
    elif made.state is State.ANSWER:
        speak(run, data)
    elif made.state is State.CHECK:
        check(run, data)
    else:
        act(run, data)


@settings(max_examples=300)
@given(st.data())
def test_a_machine_that_was_rebuilt_is_the_one_that_wrote_the_log(data: st.DataObject) -> None:
    """The prefix law: behind every act, whatever has happened."""
    run = Logged(partial(Machine, "r", "a", [HI], **settings_of(data)))
    for _ in range(data.draw(st.integers(0, 40))):
        if run.live.done:
            break
        go_on(run, data)
        assert known(run.rebuilt()) == known(run.live)
        assert unpaired_calls(run.live.messages) is None
        assert run.live.story.waiting.keys() <= {c.id for c in run.live.story.transcript.calls}


def nest(events: list[AnyEvent], *calls: str) -> list[AnyEvent]:
    """As the log of a run has them, innermost call last."""
    for call in reversed(calls):
        events = [Nested(at=0, call=call, raw=msgspec.Raw(encode_event(e))) for e in events]
    return events


class Below(Logged):
    """A sub-agent: its events are in the log around it."""

    def __init__(self, run: Logged, parent: Machine, calls: tuple[str, ...], more: Any) -> None:
        super().__init__(lambda: Machine("r", "b", [HI], parent=(parent, calls[-1]), **more))
        self._run = run
        self._calls = calls

    def append(self, events: Any, finish: ModelFinish | None = None) -> None:
        del finish  # What is private is kept by nobody.
        super().append(events)
        self._run.append(nest(events, *self._calls))


def work_below(run: Logged, data: st.DataObject, calls: tuple[str, ...], above: Machine) -> None:
    """A sub-agent in this call does something; it may be cut short, or have one of its own."""
    child = Below(run, above, calls, settings_of(data))
    for _ in range(data.draw(st.integers(0, 12))):
        made = child.live
        match made.state:
            case State.START:
                child.append(made.started(0))
            case State.ASK:
                child.append(made.asked(0))
            case State.ANSWER:
                if data.draw(st.booleans()):
                    child.append(made.said(data.draw(st.lists(PARTS, max_size=5)), 0))
                elif data.draw(st.integers(0, 4)) == 0:
                    child.append(made.broke_off("cut", 0))
                else:
                    child.append(made.answered(data.draw(FINISHES), 0))
            case State.CHECK:
                check(child, data)
            case State.ACT:
                call = data.draw(st.sampled_from(made.story.ready))
                if len(calls) < 2:
                    work_below(run, data, (*calls, call.id), made)
                child.append(made.returned(call.id, "ok", call.input, 0))
            case State.DONE:
                break
        assert known(run.rebuilt()) == known(run.live)


@given(st.data())
def test_so_is_one_with_sub_agents(data: st.DataObject) -> None:
    """What they have used counts, and what they were called by stays used, at whatever depth."""
    make = partial(Machine, "r", "a", [HI], max_steps=9, max_tokens=data.draw(BOUNDS))
    run = Logged(partial(make, continuations=9))
    run.append(run.live.started(0))
    for _ in range(data.draw(st.integers(1, 3))):
        if run.live.state is not State.ASK:
            break
        run.append(run.live.asked(0, run.next_offset))
        run.append(run.live.said([ToolInputPart("c", "t", ""), ToolInputPart("d", "t", "")], 0))
        finish = ModelFinish("tool-calls", Usage(1, 1, data.draw(st.integers(0, 3))))
        run.append(run.live.answered(finish, 0), finish)
        while run.live.state is State.ACT:
            call = data.draw(st.sampled_from(run.live.story.ready))
            work_below(run, data, (call.id,), run.live)
            if data.draw(st.booleans()):  # The worker dies, whatever the sub-agent was about.
                run.live = run.rebuilt()
                run.append(continued(run.live, LOST, 0, rerun={"t"}))
            else:
                run.append(run.live.returned(call.id, "ok", 1, 0))
            assert known(run.rebuilt()) == known(run.live)


def delta(kind: str) -> AnyEvent:
    match kind:
        case "text":
            return TextDelta(at=0, delta="x")
        case "reasoning":
            return ReasoningDelta(at=0, delta="x")
        case "output":
            return OutputDelta(at=0, delta="x")
        case _:
            return ToolInputDelta(at=0, tool=ToolName("c/1", "t"), delta="x")


def paid(total: int) -> AnyEvent:
    usage = Usage(1, 1, total)
    return ModelFinished(at=0, step_number=1, model="m", reason="stop", usage=usage)


STEP = StepStart(at=0, step_number=1)
BACK = StepDiscard(at=0, step_number=1, from_offset=1, reason="cut")


@pytest.mark.parametrize(
    ("events", "spent", "usage"),
    [
        ([delta("text"), delta("reasoning"), delta("output"), delta("input")], 4, 0),
        ([STEP, delta("text"), delta("text"), paid(9)], 9, 9),
        ([STEP, delta("text"), delta("text"), paid(0)], 2, 0),
        # What was taken back was paid, and is no part of the next answer.
        ([STEP, delta("text"), BACK, STEP, delta("text"), paid(9)], 10, 9),
        # So is what an attempt has said that was cut short.
        ([STEP, delta("text"), STEP, delta("text"), paid(9)], 10, 9),
        ([STEP, delta("text"), paid(5), STEP, delta("text"), paid(6)], 11, 11),
        ([ToolCall(at=0, tool=ToolRequest("c/1", "t", {}))], 0, 0),
        ([StepFinish(at=0, step_number=1, usage=Usage(9, 9, 9))], 0, 0),
    ],
)
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("bound", [None, 99])
def test_what_sub_agents_use(
    events: list[AnyEvent], spent: int, usage: int, depth: int, bound: int | None
) -> None:
    budget = Budget(bound)
    story = Story([], budget, Failures(None), shaped=False)
    for event in nest(events, *["c", "c/1"][:depth]):
        assert isinstance(event, Nested)
        story.absorb(event.call, event.event)
    assert budget.spent == (0 if bound is None else spent)
    assert budget.usage.total_tokens == usage
    assert budget.own_usage == Usage()
    named = any(isinstance(event, ToolCall | ToolInputDelta) for event in events)
    assert story.used_ids == ({"c/1"} if named else set())


def test_an_event_of_tomorrow_within_a_call_counts_nothing() -> None:
    story = Story([], Budget(9), Failures(None), shaped=False)
    story.absorb("c", Nested(at=0, call="c/1", raw=msgspec.Raw(b'{"type":"new","at":0}')).event)
    story.absorb("c", None)
    assert (story.budget.spent, story.used_ids) == (0, set())


def test_sub_agents_side_by_side_are_told_apart() -> None:
    """What one has said so far is no part of the answer of the other."""
    story = Story([], Budget(99), Failures(None), shaped=False)
    for call, event in [("c", STEP), ("d", STEP), ("c", delta("text")), ("d", delta("text"))]:
        story.absorb(call, event)
    story.absorb("c", paid(5))
    assert story.budget.spent == 6
    story.absorb("d", paid(7))
    assert story.budget.spent == 12


class TestTakenBack:
    """A `step-discard`."""

    PARTS = (
        TextPart("lost"),
        ReasoningPart("hm"),
        ToolInputPart("x", "t", "{"),
        ToolInputPart("y", "t", ""),
    )

    def test_what_was_said_is_gone(self) -> None:
        made = asked(max_tokens=9)
        made.said(self.PARTS, 3)
        [event] = made.broke_off("cut\ud800", 4)
        assert event == StepDiscard(at=4, step_number=1, from_offset=2, reason="cut?")
        assert (made.state, made.step, made.story.retries) == (State.ASK, 0, 1)
        assert made.messages == (HI,)
        assert made.story.transcript.text == ""
        assert made.asked(5, 7) == [StepStart(at=5, step_number=1)]
        made.said([TextPart("kept")], 6)
        made.answered(ModelFinish("stop", Usage(1, 1, 2)), 7)
        assert made.messages == (HI, AssistantMessage("kept"))
        assert isinstance(made.terminal, RunFinish)
        assert (made.terminal.run.text, made.terminal.run.steps) == ("kept", 1)

    def test_what_was_spent_stays_spent(self) -> None:
        made = asked(max_tokens=5)
        made.said(self.PARTS, 3)
        made.broke_off("cut", 4)
        assert made.budget.spent == 3
        made.asked(5)
        made.said([TextPart("a")], 6)
        assert not made.done
        made.answered(ModelFinish("tool-calls", Usage(0, 0, 1)), 7)
        assert made.budget.spent == 4
        made = asked(max_tokens=5)
        for _ in range(2):
            made.said(self.PARTS, 3)
            if not made.done:
                made.broke_off("cut", 4)
                made.asked(5)
        assert made.result is not None
        assert made.result.finish_reason == "budget"

    def test_ids_stay_used(self) -> None:
        made = asked()
        made.said(self.PARTS, 3)
        made.broke_off("cut", 4)
        assert made.story.used_ids == {"x"}  # Of `y` nobody has heard.
        made.asked(5)
        made.said(self.PARTS, 6)
        calls = made.answered(ModelFinish("tool-calls"), 7)
        assert [e.tool.id for e in calls if isinstance(e, ToolCall)] == ["x-1", "y"]

    def test_an_answer_with_a_shape_begins_anew(self) -> None:
        made = asked(output=Expected(wrapped=True))
        made.said([OutputPart('{"output":[1,')], 3)
        made.broke_off("cut", 4)
        assert made.story.transcript.output == ""
        made.asked(5)
        made.said([OutputPart('{"output":[2]}')], 6)
        made.answered(ModelFinish("stop"), 7)
        assert made.action == CheckOutput("[2]")

    def test_what_earlier_steps_said_is_kept(self) -> None:
        made = acting("1")
        made.returned("1", "ok", 1, 5)
        before = made.messages
        made.asked(6, 9)
        made.said([TextPart("lost")], 7)
        [event] = made.broke_off("cut", 8)
        assert event == StepDiscard(at=8, step_number=2, from_offset=9, reason="cut")
        assert (made.step, made.messages) == (1, before)

    @pytest.mark.parametrize(
        ("reason", "retries"), [("overloaded", 1), (LOST, 0), (HANDED_OVER, 0), ("", 1)]
    )
    def test_how_often_it_broke_off(self, reason: str, retries: int) -> None:
        """A worker that was lost is no fault of the model's."""
        made = asked()
        made.broke_off(reason, 3)
        assert made.story.retries == retries
        made.asked(4)
        made.said([TextPart("a")], 5)
        made.answered(ModelFinish("stop"), 6, more=True)
        assert made.story.retries == 0


class TestLosses:
    """Workers that were lost one after the other, without anything coming of it."""

    @pytest.mark.parametrize(
        ("reasons", "losses"),
        [
            ([LOST], 1),
            ([LOST, LOST], 2),
            ([HANDED_OVER], 0),
            ([ANSWERED], 0),
            ([LOST, HANDED_OVER, ANSWERED, LOST], 2),
        ],
    )
    def test_only_losses_count(self, reasons: list[str], losses: int) -> None:
        made = asked(continuations=9)
        for reason in reasons:
            continued(made, reason, 3)
            made.asked(4)
        assert made.story.losses == losses

    @pytest.mark.parametrize(("status", "losses"), [("ok", 0), ("error", 0), ("unknown", 1)])
    def test_a_result_is_something(self, status: Any, losses: int) -> None:
        made = acting("1", "2", continuations=9)
        continued(made, LOST, 5, rerun={"t"})
        made.returned("1", status, 1, 6)
        assert made.story.losses == losses

    def test_a_step_that_ended_is_something(self) -> None:
        made = asked(continuations=9)
        continued(made, LOST, 3)
        made.asked(4)
        made.answered(ModelFinish("stop"), 5, more=True)
        assert made.story.losses == 0

    def test_a_step_that_ended_by_the_loss_is_nothing(self) -> None:
        """Else a call that kills its worker would do so for good."""
        made = machine(continuations=2)
        made.started(1)
        for losses in (1, 2):
            made.asked(2)
            made.said([ToolInputPart("1", "t", "{}")], 3)
            made.answered(ModelFinish("tool-calls"), 4)
            continued(made, LOST, 5)
            assert (made.state, made.story.losses) == (State.ASK, losses)

    def test_an_outcome_that_is_unknown_is_one_of_its_step(self) -> None:
        made = acting("1", continuations=9)
        continued(made, LOST, 5)
        made.asked(6)
        made.said([TextPart("a")], 7)
        made.answered(ModelFinish("stop"), 8, more=True)
        assert made.story.losses == 0


class TestTold:
    """What users tell a run that is under way."""

    def test_between_steps_it_is_the_next_message(self) -> None:
        made = machine()
        made.started(1)
        made.took(Said("one"), 2)
        made.took(Said("two"), 3)
        assert made.messages == (HI, UserMessage("one"), UserMessage("two"))
        made.asked(4)
        made.broke_off("cut", 5)
        assert made.messages == (HI, UserMessage("one"), UserMessage("two"))

    def test_beside_calls_it_stands_behind_their_results(self) -> None:
        made = acting("1", "2")
        made.returned("1", "ok", 1, 5)
        made.took(Said("wait"), 6)
        assert made.messages == (HI,)
        made.returned("2", "ok", 2, 7)
        _, _, one, two, last = made.messages
        assert (one, two) == (ToolMessage("1", "1"), ToolMessage("2", "2"))
        assert last == UserMessage("wait")

    def test_a_run_that_ends_has_it_too(self) -> None:
        made = acting("1")
        made.took(Said("wait"), 5)
        made.finish("cancelled", 6)
        assert made.messages[-1] == UserMessage("wait")

    def test_each_item_counts_once(self) -> None:
        made = calling({"1": "approval", "2": "input"})
        for item in (
            Said("a"),
            Answer("1", True),
            Answer("1", False),
            Answer("9", True),
            Answer("2", False),
        ):
            made.took(item, 5)
        assert made.story.taken == 5


def test_the_ids_of_what_was_said_before_are_used() -> None:
    before = AssistantMessage("", (ToolRequest("1", "t", {}), ToolRequest("2", "t", {})))
    said = [HI, before, ToolMessage("1", "a"), ToolMessage("2", "b")]
    assert Story(said, Budget(), Failures(None), shaped=False).used_ids == {"1", "2"}
