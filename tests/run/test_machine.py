"""What an agent does next, as a pure function of what happened."""

import re
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given, strategies as st
from machine_kit import HI, Logged, acting, asked, calling, checking, continued, machine
from msgspec import UNSET

from trio_agent._events import (
    AnyEvent,
    ErrorDetail,
    ModelFinished,
    ModelSwitch,
    OutputDelta,
    OutputRetry,
    ReasoningDelta,
    RunContinued,
    RunError,
    RunFinish,
    RunStart,
    RunWaiting,
    StepDiscard,
    StepFinish,
    StepStart,
    TextDelta,
    ToolAsked,
    ToolCall,
    ToolInputDelta,
    ToolName,
    ToolRequest,
    ToolResult,
    Usage,
)
from trio_agent._log.codec import decode_event, encode_event
from trio_agent._messages import (
    AnyMessage,
    AssistantMessage,
    SystemMessage,
    ToolMessage,
    UserMessage,
    unpaired_calls,
)
from trio_agent._run.items import Answer, Item, Said
from trio_agent._run.kept import wanted_back
from trio_agent._run.machine import Machine
from trio_agent._run.result import Result
from trio_agent._run.states import AskModel, CheckOutput, Expected, RunTools, State
from trio_agent._run.story import ANSWERED, HANDED_OVER, LOST
from trio_agent.models._parts import (
    EmittedPart,
    ModelFinish,
    OutputPart,
    ReasoningPart,
    SwitchPart,
    TextPart,
    ToolInputPart,
)


def test_a_plain_answer() -> None:
    made = machine()
    assert (made.action, made.done, made.result) == (None, False, None)
    assert made.started(1) == [RunStart(at=1, run_id="r", agent="a")]
    assert made.action == AskModel((HI,))
    assert made.asked(2) == [StepStart(at=2, step_number=1)]
    assert made.action is None
    parts: list[EmittedPart] = [ReasoningPart("hm"), TextPart("Hel"), TextPart("")]
    assert made.said([*parts, ReasoningPart("")], 3) == [
        ReasoningDelta(at=3, delta="hm"),
        TextDelta(at=3, delta="Hel"),
    ]
    assert made.said([TextPart("lo")], 4) == [TextDelta(at=4, delta="lo")]
    usage = Usage(1, 2, 3)
    answered, step, finish = made.answered(ModelFinish("stop", usage, "m"), 5)
    assert answered == ModelFinished(at=5, step_number=1, model="m", reason="stop", usage=usage)
    assert step == StepFinish(at=5, step_number=1, usage=usage)
    assert isinstance(finish, RunFinish)
    assert finish.terminal
    assert (made.action, made.done, made.terminal) == (None, True, finish)
    messages = (HI, AssistantMessage("Hello", reasoning="hm"))
    assert made.result == Result("r", "Hello", 1, "stop", usage, messages, output="Hello")


@pytest.mark.parametrize(("thread", "told"), [(None, UNSET), ("t", "t"), ("", "")])
def test_a_run_begins_in_a_thread_or_in_none(thread: str | None, told: object) -> None:
    made = machine()
    [start] = made.started(1, thread)
    assert start == RunStart(at=1, run_id="r", agent="a", thread=told)  # type: ignore[arg-type]
    assert (b'"thread":' in encode_event(start)) is (thread is not None)
    assert decode_event(encode_event(start)) == start


def test_tools_and_a_second_step() -> None:
    made = asked()
    name = ToolName("1", "add")
    assert made.said([TextPart("Let me see."), ToolInputPart("1", "add", "")], 3) == [
        TextDelta(at=3, delta="Let me see.")
    ]
    assert made.said([ToolInputPart("2", "now", ""), ToolInputPart("1", "add", '{"a"')], 3) == [
        ToolInputDelta(at=3, tool=name, delta='{"a"')
    ]
    # The name stands in the first part; interleaved fragments find their call by its id.
    assert made.said([ToolInputPart("1", "", ":1}")], 4) == [
        ToolInputDelta(at=4, tool=name, delta=":1}")
    ]
    calls = ToolRequest("1", "add", {"a": 1}), ToolRequest("2", "now", {})
    usage = Usage(1, 1, 2)
    assert made.answered(ModelFinish("tool-calls", usage), 5) == [
        ModelFinished(at=5, step_number=1, model="", reason="tool-calls", usage=usage),
        *(ToolCall(at=5, tool=call) for call in calls),
    ]
    assert made.action == RunTools(calls)
    [result] = made.returned("2", "ok", {"t": [1]}, 6)
    assert isinstance(result, ToolResult)
    assert (result.tool.id, result.tool.status, result.tool.output) == ("2", "ok", {"t": [1]})
    assert made.action == RunTools(calls[:1])
    result, step = made.returned("1", "error", "no", 7)
    assert isinstance(result, ToolResult)
    assert (result.tool.input, result.tool.status) == ({"a": 1}, "error")
    assert step == StepFinish(at=7, step_number=1, usage=Usage(1, 1, 2))
    transcript: tuple[AnyMessage, ...] = (
        HI,
        AssistantMessage("Let me see.", calls),
        ToolMessage("1", "no", "error"),
        ToolMessage("2", '{"t":[1]}'),
    )
    assert made.action == AskModel(transcript)  # type: ignore[comparison-overlap]
    assert made.asked(8) == [StepStart(at=8, step_number=2)]
    made.said([TextPart("Done.")], 9)
    made.answered(ModelFinish("stop", Usage(2, 2, 4)), 10)
    assert made.result == Result(
        "r",
        "Let me see.Done.",
        2,
        "stop",
        Usage(3, 3, 6),
        (*transcript, AssistantMessage("Done.")),
        output="Let me see.Done.",
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        (" \n", {}),
        ("null", {}),
        ("[]", {}),
        ('""', {}),
        ('"null"', {}),
        ('"{\\"a\\":1}"', {"a": 1}),
        ('"what?"', '"what?"'),
        ("0", 0),
        ("[1]", [1]),
        ('{"a":', '{"a":'),
        ("what?", "what?"),
        ("1e999", "1e999"),
        ("[" * 200 + "]" * 200, "[" * 200 + "]" * 200),
        ("[" * 100_000, "[" * 100_000),
        ('{"a":"\\ud800"}', {"a": "\ufffd"}),
        ('{"a":"b\nc"}', {"a": "b\nc"}),
        ('"{\\"a\\":\\"b\nc\\"}"', {"a": "b\nc"}),
        ('"{\\"a\\":\\"b\\nc\\"}"', {"a": "b\nc"}),
        ('{"a":"\n","b":NaN}', '{"a":"\n","b":NaN}'),
    ],
)
def test_arguments_of_all_kinds(text: str, value: object) -> None:
    made = asked()
    made.said([ToolInputPart("1", "t", text)], 3)
    _, call = made.answered(ModelFinish("tool-calls"), 4)
    assert isinstance(call, ToolCall)
    assert call.tool.input == value
    assert decode_event(encode_event(call)) is not None


def test_half_a_surrogate_pair_is_replaced_wherever_text_goes() -> None:
    made = asked()
    parts = [
        TextPart("a\ud83d"),
        ReasoningPart("b\udc00"),
        TextPart("é\U0001f600"),
        ToolInputPart("1", "t", '{"c":"\ud800"}'),
    ]
    events = made.said(parts, 3)
    assert [getattr(event, "delta", "") for event in events] == [
        "a?",
        "b?",
        "é\U0001f600",
        '{"c":"?"}',
    ]
    _, call = made.answered(ModelFinish("tool-calls"), 4)
    assert isinstance(call, ToolCall)
    assert call.tool.input == {"c": "?"}
    made.returned("1", "ok", None, 5)
    last = made.messages[-2]
    assert isinstance(last, AssistantMessage)
    assert last.content == "a?é\U0001f600"


def test_so_many_calls_in_one_answer() -> None:
    made = asked()
    made.said([ToolInputPart(str(n), "t", "") for n in range(128)], 3)
    assert not made.done
    assert len(made.answered(ModelFinish("tool-calls"), 4)) == 1 + 128


def test_too_many_calls_in_one_answer() -> None:
    made = asked()
    more = [ToolInputPart(str(n), "t", "x") for n in range(200)]
    events = made.said([*more, TextPart("dropped")], 3)
    assert len(events) == 129 + 1
    assert isinstance(events[-1], RunError)
    assert events[-1].error.code == "too-many-calls"
    assert (made.done, made.action) == (True, None)


def test_too_many_calls_when_the_budget_is_spent_too() -> None:
    made = asked(max_tokens=129)
    events = made.said([ToolInputPart(str(n), "t", "x") for n in range(200)], 3)
    assert [event.terminal for event in events] == [False] * 129 + [True]
    assert isinstance(events[-1], RunFinish)
    assert events[-1].run.finish_reason == "budget"


def test_calls_that_were_not_named() -> None:
    made = asked()
    made.said([TextPart("a")], 3)
    _, error = made.answered(ModelFinish("tool-calls"), 4)
    assert isinstance(error, RunError)
    assert error.error.code == "bad-response"


def test_ids_are_unique_in_a_run() -> None:
    made = acting("call", "call-1")
    made.returned("call", "ok", 1, 5)
    made.returned("call-1", "ok", 1, 5)
    made.asked(6)
    fragments = [ToolInputPart("call", "t", "{"), ToolInputPart("call", "t", "}")]
    deltas = made.said([*fragments, ToolInputPart("call-1", "t", "")], 7)
    assert [delta.tool.id for delta in deltas if isinstance(delta, ToolInputDelta)] == [
        "call-2"
    ] * 2
    calls = made.answered(ModelFinish("tool-calls"), 8)
    assert [call.tool.id for call in calls if isinstance(call, ToolCall)] == ["call-2", "call-1-2"]
    made.returned("call-2", "ok", 1, 9)
    made.returned("call-1-2", "ok", 1, 9)
    assert unpaired_calls(made.messages) is None


def test_an_id_finds_a_free_number() -> None:
    made = acting("x", "x-2", "x-3")
    for call_id in ("x", "x-2", "x-3"):
        made.returned(call_id, "ok", 1, 5)
    made.asked(6)
    made.said([ToolInputPart("x", "t", "")], 7)
    _, call = made.answered(ModelFinish("tool-calls"), 8)
    assert isinstance(call, ToolCall)
    assert call.tool.id == "x-4"


def test_a_call_has_one_result() -> None:
    made = acting("1", "2")
    made.returned("1", "ok", 1, 5)
    with pytest.raises(AssertionError, match="one result"):
        made.returned("1", "ok", 2, 6)


def test_length() -> None:
    made = asked()
    made.said([TextPart("It is"), ToolInputPart("1", "t", '{"n":1')], 3)
    _, step, finish = made.answered(ModelFinish("length", Usage(0, 0, 5)), 4)
    assert step == StepFinish(at=4, step_number=1, usage=Usage(0, 0, 5))
    assert isinstance(finish, RunFinish)
    assert (finish.run.finish_reason, finish.run.text) == ("length", "It is")
    assert made.messages == (HI, AssistantMessage("It is"))


def test_content_filter() -> None:
    made = asked()
    made.said([TextPart("Well")], 3)
    _, error = made.answered(ModelFinish("content-filter", Usage(0, 0, 5)), 4)
    assert isinstance(error, RunError)
    assert error.error.code == "content-filter"
    assert made.budget.usage == error.usage == Usage(0, 0, 5)
    assert made.result is not None
    assert (made.result.finish_reason, made.result.text) == ("error", "Well")
    assert made.result.messages == (HI, AssistantMessage("Well"))


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("stop", True), ("tool-calls", True), ("length", False), ("content-filter", False)],
)
def test_what_the_provider_wants_back_goes_with_a_whole_answer(reason: Any, kept: bool) -> None:
    made = asked()
    made.said([ReasoningPart("hm"), TextPart("a"), ToolInputPart("1", "t", "{}")], 3)
    finish = ModelFinish(reason, provider={"p": {"signature": "s"}})
    made.answered(finish, 4)
    if made.state is State.ACT:
        made.returned("1", "ok", 1, 5)
    [said] = [message for message in made.messages if isinstance(message, AssistantMessage)]
    assert said.provider == wanted_back(finish) == ({"p": {"signature": "s"}} if kept else {})
    assert said.reasoning == "hm"


def test_a_silent_answer_that_the_provider_wants_back_is_a_message() -> None:
    made = asked()
    made.said([ReasoningPart("hm")], 3)
    made.answered(ModelFinish("stop", provider={"p": 1}), 4)
    said = AssistantMessage("", reasoning="hm", provider={"p": 1})
    assert made.messages == (HI, said)


def test_each_answer_has_its_own_reasoning() -> None:
    made = asked()
    made.said([ReasoningPart("hm"), ToolInputPart("1", "t", "{}")], 3)
    made.answered(ModelFinish("tool-calls", provider={"p": 1}), 4)
    made.returned("1", "ok", 1, 5)
    made.asked(6)
    made.said([TextPart("b")], 7)
    made.answered(ModelFinish("stop"), 8)
    assert made.messages[-1] == AssistantMessage("b")


def test_another_model_is_no_part_of_the_answer() -> None:
    made = asked(max_tokens=2)
    switch = SwitchPart("a", "b", "overloaded", "try later")
    event = ModelSwitch(
        at=3, step_number=1, from_="a", to="b", error=ErrorDetail("overloaded", "try later")
    )
    assert made.said([switch, TextPart("x")], 3) == [event, TextDelta(at=3, delta="x")]
    assert not made.done
    made.said([TextPart("y")], 4)
    assert made.done


def test_ids_of_calls_that_were_said_before_count() -> None:
    before = AssistantMessage("", (ToolRequest("1", "t", {}),))
    made = Machine("r", "a", [HI, before, ToolMessage("1", "ok"), HI], max_steps=2)
    made.started(1)
    made.asked(2)
    made.said([ToolInputPart("1", "t", "{}")], 3)
    _, call = made.answered(ModelFinish("tool-calls"), 4)
    assert isinstance(call, ToolCall)
    assert call.tool.id == "1-1"


def test_max_steps_lets_the_last_tools_run() -> None:
    made = acting("1", max_steps=1)
    result, step, finish = made.returned("1", "ok", 1, 5)
    assert isinstance(result, ToolResult)
    assert isinstance(step, StepFinish)
    assert isinstance(finish, RunFinish)
    assert (finish.run.finish_reason, finish.run.steps) == ("max-steps", 1)
    assert made.messages[-1] == ToolMessage("1", "1")


def test_a_budget_ends_in_the_middle_of_an_answer() -> None:
    made = asked(max_tokens=3)
    parts: list[EmittedPart] = [TextPart("a"), ReasoningPart("b"), TextPart(""), TextPart("c")]
    events = made.said([*parts, TextPart("d")], 3)
    assert [type(event) for event in events] == [TextDelta, ReasoningDelta, TextDelta, RunFinish]
    assert made.result is not None
    assert (made.result.finish_reason, made.result.text) == ("budget", "ac")
    assert made.result.reason == "the budget of 3 tokens is spent"
    assert made.result.messages[-1] == AssistantMessage("ac", reasoning="b")
    assert made.said([TextPart("e")], 4) == []


def test_the_providers_count_replaces_ours() -> None:
    made = asked(max_tokens=10)
    made.said([TextPart("x")] * 8 + [ToolInputPart("1", "t", "")], 3)
    made.answered(ModelFinish("tool-calls", Usage(0, 0, 2)), 4)
    made.returned("1", "ok", 1, 5)
    made.asked(6)
    assert len(made.said([TextPart("x")] * 7, 7)) == 7
    assert not made.done
    made.said([TextPart("x")], 8)
    assert made.done


def test_ours_counts_if_the_provider_tells_none() -> None:
    made = asked(max_tokens=3)
    made.said([TextPart("x"), ToolInputPart("1", "t", "{}")], 3)
    made.answered(ModelFinish("tool-calls"), 4)
    made.returned("1", "ok", 1, 5)
    made.asked(6)
    made.said([TextPart("x")], 7)
    assert made.done


def test_a_budget_that_is_spent_with_the_answer_runs_no_tool() -> None:
    made = asked(max_tokens=10)
    made.said([ToolInputPart("1", "t", "{}")], 3)
    _, call, result, finish = made.answered(ModelFinish("tool-calls", Usage(0, 0, 10)), 4)
    assert isinstance(call, ToolCall)
    assert isinstance(result, ToolResult)
    assert result.tool.status == "cancelled"
    assert isinstance(finish, RunFinish)
    assert finish.run.finish_reason == "budget"
    assert unpaired_calls(made.messages) is None


def test_an_answer_that_is_complete_is_within_its_budget() -> None:
    made = asked(max_tokens=10)
    made.said([TextPart("x")], 3)
    made.answered(ModelFinish("stop", Usage(0, 0, 99)), 4)
    assert made.result is not None
    assert made.result.finish_reason == "stop"


@pytest.mark.parametrize("failing", [False, True])
def test_closing_answers_every_call(failing: bool) -> None:
    made = acting("1", "2", "3", "4")
    made.returned("2", "ok", 2, 5)
    made.abandoned("3")
    made.abandoned("2")
    events = made.fail("c", "m", 6) if failing else made.finish("cancelled", 6, reason="why")
    results = [event.tool for event in events if isinstance(event, ToolResult)]
    assert [(tool.id, tool.status) for tool in results] == [
        ("1", "cancelled"),
        ("3", "unknown"),
        ("4", "cancelled"),
    ]
    assert events[-1] is made.terminal
    assert isinstance(events[-1], RunError if failing else RunFinish)
    assert unpaired_calls(made.messages) is None
    assert [message.status for message in made.messages if isinstance(message, ToolMessage)] == [
        "cancelled",
        "ok",
        "unknown",
        "cancelled",
    ]
    assert made.result is not None
    assert made.result.messages == made.messages
    assert made.result.usage == Usage(1, 2, 3)
    reasons = (made.result.finish_reason, made.result.reason)
    assert reasons == (("error", "m") if failing else ("cancelled", "why"))


def test_closing_keeps_what_was_said() -> None:
    made = asked()
    made.said([TextPart("Half"), ToolInputPart("1", "t", "{")], 3)
    [finish] = made.finish("timeout", 4)
    assert finish is made.terminal
    assert made.messages == (HI, AssistantMessage("Half"))
    made = machine()
    made.finish("cancelled", 9)
    assert made.messages == (HI,)
    made = machine()
    made.started(1)
    made.finish("cancelled", 9)
    assert made.messages == (HI,)


def test_an_empty_answer_is_no_message() -> None:
    made = asked()
    made.answered(ModelFinish("stop"), 3)
    assert made.messages == (HI,)


parts = st.one_of(
    st.builds(TextPart, st.text(max_size=3)),
    st.builds(ReasoningPart, st.text(max_size=3)),
    st.just(SwitchPart("a", "b", "c", "m")),
    st.builds(
        ToolInputPart,
        st.sampled_from(["1", "2", "1-2", ""]),
        st.sampled_from(["t", ""]),
        st.sampled_from(["", "{", "}", '{"a":1}', "[", "x"]),
    ),
)
finishes = st.builds(
    ModelFinish,
    st.sampled_from(["stop", "length", "tool-calls", "content-filter"]),
    st.builds(Usage, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
)
statuses: st.SearchStrategy[Literal["ok", "error", "unknown"]] = st.sampled_from(
    ["ok", "error", "unknown"]
)


def check(made: Machine, events: list[AnyEvent]) -> None:
    assert [event.terminal for event in events] == [False] * (len(events) - 1) + [True]
    assert isinstance(events[0], RunStart) or len(events) == 1
    called = [event.tool.id for event in events if isinstance(event, ToolCall)]
    returned = [event.tool.id for event in events if isinstance(event, ToolResult)]
    assert len(set(called)) == len(called)
    assert sorted(called) == sorted(returned)
    assert unpaired_calls(made.messages) is None
    text = "".join(event.delta for event in events if isinstance(event, TextDelta))
    if isinstance(made.terminal, RunFinish):
        assert made.terminal.run.text == text
    for event in events:
        assert not isinstance(event, TextDelta | ReasoningDelta | ToolInputDelta) or event.delta
        assert decode_event(encode_event(event)) == event
    steps = [event for event in events if isinstance(event, StepStart | StepFinish)]
    assert [step.step_number for step in steps] == sorted(step.step_number for step in steps)
    spoken = [m for m in made.messages if isinstance(m, AssistantMessage)]
    assert re.sub(r"\s", "", "".join(m.content for m in spoken)) == re.sub(r"\s", "", text)


@given(st.data())
def test_any_run_ends_well(data: st.DataObject) -> None:
    """Whatever happens, and wherever it is closed: one terminal event, last; every call paired."""
    made = Machine(
        "r",
        "a",
        [SystemMessage("s"), HI],
        max_steps=data.draw(st.integers(1, 4)),
        max_tokens=data.draw(st.none() | st.integers(1, 20)),
    )
    events: list[AnyEvent] = []
    cut = data.draw(st.integers(0, 25))
    for _ in range(cut):
        match made.state:
            case State.START:
                events += made.started(0)
            case State.ASK:
                assert isinstance(made.action, AskModel)
                assert unpaired_calls(made.action.messages) is None
                events += made.asked(0)
            case State.ANSWER:
                if data.draw(st.booleans()):
                    events += made.said(data.draw(st.lists(parts, max_size=4)), 0)
                else:
                    events += made.answered(data.draw(finishes), 0)
            case State.ACT:
                assert isinstance(made.action, RunTools)
                call = data.draw(st.sampled_from(made.action.calls))
                if data.draw(st.booleans()):
                    made.abandoned(call.id)
                events += made.returned(call.id, data.draw(statuses), call.input, 0)
            case State.DONE:
                break
    if not made.done:
        if data.draw(st.booleans()):
            events += made.finish("cancelled", 0)
        else:
            events += made.fail("c", "m", 0)
    assert made.terminal is events[-1]
    check(made, events)


def test_an_answer_with_its_shape_ends_the_run() -> None:
    made = asked(output=Expected())
    assert made.said([OutputPart('{"a"'), OutputPart(""), OutputPart(":1}")], 3) == [
        OutputDelta(at=3, delta='{"a"'),
        OutputDelta(at=3, delta=":1}"),
    ]
    [finished] = made.answered(ModelFinish("stop", Usage(1, 2, 3)), 4)
    assert isinstance(finished, ModelFinished)
    assert made.action == CheckOutput('{"a":1}')
    step, end = made.accepted({"a": 1}, 5)
    assert isinstance(step, StepFinish)
    assert isinstance(end, RunFinish)
    assert end.run.finish_reason == "stop"
    assert end.run.output == {"a": 1}
    assert end.run.text == ""
    assert end.run.usage == end.run.own_usage == Usage(1, 2, 3)
    assert made.messages == (HI, AssistantMessage('{"a":1}'))


def test_null_is_an_answer() -> None:
    made = checking("null")
    *_, end = made.accepted(None, 5)
    assert b'"output":null' in encode_event(end)


def test_a_wrapped_answer_is_shown_as_it_is() -> None:
    made = asked(output=Expected(wrapped=True))
    said = made.said([OutputPart('{"outp'), OutputPart('ut":[1'), OutputPart(",2]}")], 3)
    assert said == [OutputDelta(at=3, delta="[1"), OutputDelta(at=3, delta=",2]")]
    made.answered(ModelFinish("stop"), 4)
    assert made.action == CheckOutput("[1,2]")


@pytest.mark.parametrize(
    ("wrapped", "text", "action"),
    [
        (True, '{"output":{"output":1}}', CheckOutput('{"output":1}', unwrapped=True)),
        (True, '{"output":[{"output":1}]}', CheckOutput('[{"output":1}]')),
        (False, '{"output":1}', CheckOutput('{"output":1}')),
    ],
)
def test_a_second_wrapper_is_the_values_own(wrapped: bool, text: str, action: CheckOutput) -> None:
    made = asked(output=Expected(wrapped=wrapped))
    made.said([OutputPart(text)], 3)
    made.answered(ModelFinish("stop"), 4)
    assert made.action == action


def test_calls_beside_an_answer_are_not_started() -> None:
    made = checking("1", "x", "y")
    *results, step, end = made.accepted(1, 5)
    assert [result.tool.status for result in results if isinstance(result, ToolResult)] == [
        "cancelled",
        "cancelled",
    ]
    assert isinstance(step, StepFinish)
    assert isinstance(end, RunFinish)
    assert unpaired_calls(made.messages) is None


def test_an_answer_without_its_shape_is_asked_for_again() -> None:
    made = checking("1")
    retry, step = made.refused("not a list \ud800", 5)
    assert retry == OutputRetry(at=5, message="not a list ?")
    assert isinstance(step, StepFinish)
    said = (HI, AssistantMessage("1"), UserMessage("not a list ?"))
    assert made.action == AskModel(said)
    made.asked(6)
    made.said([TextPart("So: "), OutputPart("[2]")], 6)
    made.answered(ModelFinish("stop"), 7)
    assert made.action == CheckOutput("[2]")
    made.accepted([2], 8)
    assert made.messages == (*said, AssistantMessage("So: \n[2]"))


def test_what_is_said_in_plain_words_is_looked_at_too() -> None:
    made = asked(output=Expected())
    made.said([TextPart("[1]")], 3)
    made.answered(ModelFinish("stop"), 4)
    assert made.action == CheckOutput("[1]")


def test_corrections_are_bounded() -> None:
    made = checking("1", retries=0)
    [error] = made.refused("not a list", 5)
    assert isinstance(error, RunError)
    assert error.error == ErrorDetail("output-invalid", "not a list")


@pytest.mark.parametrize("text", ["Let me see.", "[1"])
def test_what_is_said_before_tools_is_no_attempt(text: str) -> None:
    made = checking(text, "x", retries=0)
    calls = (ToolRequest("x", "t", {}),)
    assert made.action == RunTools(calls)
    made.returned("x", "ok", 7, 6)
    assert made.action == AskModel((HI, AssistantMessage(text, calls), ToolMessage("x", "7")))
    assert made.story.output_failures == 0


def test_an_answer_beside_tools_is_an_attempt() -> None:
    made = checking("[1]", "x")
    assert made.action == CheckOutput("[1]")
    assert made.refused("no", 5) == [OutputRetry(at=5, message="no")]
    calls = (ToolRequest("x", "t", {}),)
    assert made.action == RunTools(calls)
    made.returned("x", "ok", 7, 6)
    said = (HI, AssistantMessage("[1]", calls), ToolMessage("x", "7"), UserMessage("no"))
    assert made.action == AskModel(said)


def test_the_last_step_gives_no_second_chance() -> None:
    made = checking("1", max_steps=1)
    *_, end = made.refused("no", 5)
    assert isinstance(end, RunFinish)
    assert end.run.finish_reason == "max-steps"


@pytest.mark.parametrize("retries", [None, 0, 2])
def test_a_tool_that_fails_again_and_again_ends_the_run(retries: int | None) -> None:
    made = machine(max_steps=5, tool_retries=retries)
    made.started(1)
    steps = 0
    while not made.done:
        made.asked(2)
        made.said([ToolInputPart("x", "t", "{}"), ToolInputPart("y", "t", "{}")], 3)
        made.answered(ModelFinish("tool-calls"), 4)
        for call in made.story.transcript.calls:
            made.returned(call.id, "error", "no", 5)
        steps += 1
    if retries is None:
        assert isinstance(made.terminal, RunFinish)
    else:
        message = f"the tool 't' failed {retries + 1} times in a row"
        assert isinstance(made.terminal, RunError)
        assert made.terminal.error == ErrorDetail("tool-retries", message)
        assert steps == retries + 1


def test_a_sub_agent_spends_what_those_above_it_may() -> None:
    parent = acting("1", max_tokens=10)
    child = Machine("r", "b", [HI], max_steps=5, parent=(parent, "1"))
    child.started(5)
    child.asked(5)
    child.said([ToolInputPart("1", "t", "{}")], 6)
    *_, call = child.answered(ModelFinish("tool-calls", Usage(1, 2, 3)), 7)
    assert isinstance(call, ToolCall)
    assert call.tool.id == "1/1"
    child.returned("1/1", "ok", 1, 8)
    child.asked(9)
    said = child.said([TextPart(word) for word in "abcdef"], 10)
    assert [type(event) for event in said] == [TextDelta] * 4 + [RunFinish]
    assert child.terminal is said[-1]
    assert child.terminal.run.finish_reason == "budget"
    assert child.terminal.run.usage == Usage(1, 2, 3)
    *_, end = parent.returned("1", "error", "no", 11)
    assert isinstance(end, RunFinish)
    assert end.run.finish_reason == "budget"
    assert end.run.usage == Usage(2, 4, 6)
    assert end.run.own_usage == Usage(1, 2, 3)


class TestWaiting:
    """Calls that wait for somebody."""

    WANTS: ClassVar = {"1": None, "2": "approval", "3": None}

    def test_who_is_to_answer_is_asked_at_once(self) -> None:
        """And in the answer's own append: whoever reads it later evaluates nothing again."""
        made = asked()
        made.said([ToolInputPart(call_id, "t", "{}") for call_id in self.WANTS], 3)
        finish = ModelFinish("tool-calls", Usage(1, 2, 3))
        events = made.answered(finish, 4, wants=lambda call: self.WANTS[call.id], deadline=99)
        one, two, three = (ToolRequest(call_id, "t", {}) for call_id in self.WANTS)
        assert events == [
            ModelFinished(at=4, step_number=1, model="", reason="tool-calls", usage=Usage(1, 2, 3)),
            ToolCall(at=4, tool=one),
            ToolCall(at=4, tool=two, wants="approval"),
            ToolAsked(at=4, tool=two, kind="approval", deadline=99),
            ToolCall(at=4, tool=three),
        ]
        # The others need not wait.
        assert made.action == RunTools((one, three))
        assert (made.story.waiting, made.story.deadlines) == ({"2": "approval"}, {"2": 99})

    def test_the_step_ends_when_all_have_ended(self) -> None:
        made = calling(self.WANTS)
        assert len(made.returned("1", "ok", 1, 5)) == 1
        assert len(made.returned("3", "ok", 3, 6)) == 1
        assert made.action == RunTools(())
        assert made.waits(7) == [RunWaiting(at=7, calls=("2",))]
        assert made.state is State.ACT
        made.took(Answer("2", True), 8)
        assert made.action == RunTools((ToolRequest("2", "t", {"n": 1}),))
        result, step = made.returned("2", "ok", 2, 9)
        assert (type(result), type(step)) == (ToolResult, StepFinish)
        assert [m.content for m in made.messages[2:]] == ["1", "2", "3"]

    def test_nothing_sleeps_that_has_something_to_do(self) -> None:
        with pytest.raises(AssertionError, match="wait for nobody"):
            calling(self.WANTS).waits(5)

    def test_there_is_no_deadline_where_none_is_told(self) -> None:
        assert calling(self.WANTS).story.deadlines == {}

    def test_a_budget_that_is_spent_waits_for_nobody(self) -> None:
        made = calling({"1": "approval"}, max_tokens=3)
        assert made.result is not None
        assert made.result.finish_reason == "budget"
        assert [m.status for m in made.messages if isinstance(m, ToolMessage)] == ["cancelled"]

    @pytest.mark.parametrize("failing", [False, True])
    def test_closing_answers_calls_that_wait(self, failing: bool) -> None:
        """They never ran: their outcome is known."""
        made = calling(self.WANTS, deadline=99)
        made.abandoned("1")
        events = made.fail("c", "m", 5) if failing else made.finish("cancelled", 5)
        results = [event.tool for event in events if isinstance(event, ToolResult)]
        assert [(tool.id, tool.status) for tool in results] == [
            ("1", "unknown"),
            ("2", "cancelled"),
            ("3", "cancelled"),
        ]
        assert (made.story.waiting, made.story.deadlines) == ({}, {})
        assert unpaired_calls(made.messages) is None

    def test_an_answer_with_its_shape_waits_for_nobody(self) -> None:
        made = asked(output=Expected())
        made.said([OutputPart("1"), ToolInputPart("x", "t", "")], 3)
        made.answered(ModelFinish("stop"), 4, wants=lambda _: "approval")
        result, *_ = made.accepted(1, 5)
        assert isinstance(result, ToolResult)
        assert result.tool.status == "cancelled"
        assert made.story.waiting == {}

    def test_it_goes_on_to_wait_beside_an_answer_without_its_shape(self) -> None:
        made = asked(output=Expected(retries=1))
        made.said([OutputPart("1"), ToolInputPart("x", "t", "")], 3)
        made.answered(ModelFinish("stop"), 4, wants=lambda _: "approval")
        made.refused("no", 5)
        assert made.action == RunTools(())
        made.took(Answer("x", False), 6)
        assert made.messages[-1] == UserMessage("no")


class TestMore:
    """Somebody has told the run something, which the model is to hear."""

    def answered(self, reason: Any = "stop", **settings: Any) -> Machine:
        made = asked(**settings)
        made.said([TextPart("a")], 3)
        made.answered(ModelFinish(reason, Usage(1, 2, 3)), 4, more=True)
        return made

    def test_one_more_step(self) -> None:
        made = self.answered()
        made.took(Said("and now?"), 5)
        assert made.action == AskModel((HI, AssistantMessage("a"), UserMessage("and now?")))
        made.asked(6)
        made.answered(ModelFinish("stop"), 7)
        assert made.result is not None
        assert (made.result.steps, made.result.finish_reason) == (2, "stop")

    @pytest.mark.parametrize(
        ("reason", "settings", "ends"),
        [
            ("stop", {"max_steps": 2}, None),
            ("stop", {"max_steps": 1}, "stop"),
            ("stop", {"max_tokens": 3}, "budget"),
            ("length", {}, "length"),
            ("content-filter", {}, "error"),
        ],
    )
    def test_unless_it_ends_anyway(
        self, reason: str, settings: dict[str, int], ends: str | None
    ) -> None:
        result = self.answered(reason, **settings).result
        assert (None if result is None else result.finish_reason) == ends


@pytest.mark.parametrize("made", [asked(), checking("1", "x")])
@pytest.mark.parametrize("item", [Said("x"), Answer("x", True)])
def test_nothing_is_taken_up_within_an_answer(made: Machine, item: Item) -> None:
    """It would vanish with a step that is taken back."""
    with pytest.raises(AssertionError, match="not where this can happen"):
        made.took(item, 5)


def test_what_is_returned_at_once_has_all_that_a_continuation_needs() -> None:
    """So that a run may die between an answer and its tools, with what its provider wants back."""
    run = Logged(machine)
    run.append(run.live.started(1))
    run.append(run.live.asked(2, 2))
    run.append(run.live.said([ReasoningPart("hm"), ToolInputPart("1", "t", '{"a":1}')], 3))
    finish = ModelFinish("tool-calls", Usage(1, 2, 3), "m", {"p": {"signature": "s"}})
    run.append(run.live.answered(finish, 4, wants=lambda _: "approval", deadline=9), finish)
    made = run.rebuilt()
    assert (made.story.waiting, made.story.deadlines) == ({"1": "approval"}, {"1": 9})
    assert made.budget.usage == Usage(1, 2, 3)
    made.took(Answer("1", False), 5)
    call = ToolRequest("1", "t", {"a": 1})
    said = AssistantMessage("", (call,), "hm", {"p": {"signature": "s"}})
    assert made.messages[:2] == (HI, said)
    assert made.asked(6) == [StepStart(at=6, step_number=2)]


class TestContinued:
    """Another worker takes over."""

    def test_an_answer_is_taken_back(self) -> None:
        made = asked(continuations=1)
        made.said([TextPart("a")], 3)
        assert continued(made, LOST, 4) == [
            RunContinued(at=4, reason=LOST),
            StepDiscard(at=4, step_number=1, from_offset=2, reason=LOST),
        ]
        assert made.action == AskModel((HI,))

    def test_a_complete_answer_is_kept(self) -> None:
        made = checking("1", "x", continuations=1)
        assert continued(made, LOST, 5) == [RunContinued(at=5, reason=LOST)]
        assert made.action == CheckOutput("1")

    def test_between_steps_nothing_was_lost(self) -> None:
        made = machine(continuations=1)
        made.started(1)
        assert continued(made, LOST, 2) == [RunContinued(at=2, reason=LOST)]
        assert made.action == AskModel((HI,))

    @pytest.mark.parametrize("reason", [LOST, HANDED_OVER, ANSWERED])
    def test_what_may_have_run_is_not_run_again(self, reason: str) -> None:
        """That is what waited for nobody, and what was approved; not what nobody has answered."""
        wants = {"1": None, "2": "approval", "3": "approval", "4": "input", "5": None}
        made = calling(wants, continuations=1)
        made.took(Answer("2", True), 5)
        made.returned("5", "ok", 5, 5)
        first, *results = continued(made, reason, 6)
        assert first == RunContinued(at=6, reason=reason)
        assert [(e.tool.id, e.tool.status) for e in results if isinstance(e, ToolResult)] == [
            ("1", "unknown"),
            ("2", "unknown"),
        ]
        assert len(results) == 2
        assert made.story.waiting == {"3": "approval", "4": "input"}
        assert made.action == RunTools(())

    def test_the_model_is_told_what_is_not_known(self) -> None:
        made = acting("1", continuations=1)
        _, result, step = continued(made, LOST, 5)
        assert isinstance(result, ToolResult)
        assert isinstance(step, StepFinish)
        said = "the worker was lost during this call: its outcome is unknown"
        assert made.messages[-1] == ToolMessage("1", said, "unknown")
        assert isinstance(made.action, AskModel)

    def test_what_may_be_run_again_is(self) -> None:
        made = asked(continuations=1)
        made.said([ToolInputPart("1", "safe", ""), ToolInputPart("2", "t", "")], 3)
        made.answered(ModelFinish("tool-calls"), 4)
        _, result = continued(made, LOST, 5, rerun={"safe"})
        assert isinstance(result, ToolResult)
        assert (result.tool.id, result.tool.status) == ("2", "unknown")
        assert made.action == RunTools((ToolRequest("1", "safe", {}),))

    @pytest.mark.parametrize("continuations", [0, 2])
    def test_workers_may_be_lost_so_often(self, continuations: int) -> None:
        made = asked(continuations=continuations)
        for _ in range(continuations):
            continued(made, LOST, 3)
            assert not made.done
            made.asked(4)
        first, back, error = continued(made, LOST, 5)
        assert isinstance(first, RunContinued)
        assert isinstance(back, StepDiscard)
        assert isinstance(error, RunError)
        times = f"its worker was lost {continuations + 1} times in a row"
        assert error.error == ErrorDetail(LOST, times)

    def test_too_often_leaves_no_call_open(self) -> None:
        made = calling({"1": None, "2": "approval"})
        _, *results, error = continued(made, LOST, 5, rerun={"t"})
        assert [(e.tool.id, e.tool.status) for e in results if isinstance(e, ToolResult)] == [
            ("1", "unknown"),
            ("2", "cancelled"),
        ]
        assert isinstance(error, RunError)

    def test_calls_beside_an_answer_had_not_begun(self) -> None:
        _, result, error = continued(checking("1", "x"), LOST, 5)
        assert isinstance(result, ToolResult)
        assert result.tool.status == "cancelled"
        assert isinstance(error, RunError)

    def test_the_last_step_ends_the_run(self) -> None:
        made = acting("1", max_steps=1, continuations=1)
        continued(made, LOST, 5)
        assert made.result is not None
        assert made.result.finish_reason == "max-steps"

    @pytest.mark.parametrize("reason", [HANDED_OVER, ANSWERED])
    def test_others_are_no_losses(self, reason: str) -> None:
        made = asked()
        for _ in range(5):
            continued(made, reason, 3)
            made.asked(4)
        assert not made.done
