"""One answer of the model: what it is sent, and what becomes of one that breaks off."""

from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing
from instrument_kit import Listener
from log_kit import check_levels, within
from runtime_kit import logged
from team_kit import Retold
from wait_kit import asleep, look, of, outcomes, refund, tags, told

from trio_agent._agent import Agent
from trio_agent._errors import ModelError, RunFailed
from trio_agent._events import (
    AnyEvent,
    ReasoningDelta,
    RunError,
    RunStart,
    StepDiscard,
    StepStart,
    TextDelta,
    ToolCall,
    Usage,
    UserSaid,
)
from trio_agent._instrument.facts import ModelRetried
from trio_agent._limits import Limits
from trio_agent._messages import AssistantMessage, UserMessage
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.models._model import Emit, Model
from trio_agent.models._parts import ModelFinish, ModelRequest, ReasoningPart, ToolInputPart
from trio_agent.testing import ScriptedModel, call, output
from trio_agent.testing._scripted_model import Line

CUT = ModelError("cut-stream", "it broke off", retryable=True)
ODD = ModelError("odd", "it is odd")


class Retried(Listener):
    """Hears how often a model is asked again."""

    def __init__(self) -> None:
        self.all: list[ModelRetried] = []

    def heard(self, facts: Any) -> None:
        self.all.append(facts)


async def end_of(agent: Agent, **start: Any) -> tuple[list[AnyEvent], Any]:
    """The log of a run, and its result or failure."""
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi", **start)
        came: Any
        try:
            came = await run.wait()
        except RunFailed as exc:
            came = exc
        events = await logged(runtime.store, run.id)
    check_levels(events)
    return events, came


def texts(events: Sequence[AnyEvent]) -> list[str]:
    return [event.delta for event in of(TextDelta, events)]


@pytest.mark.parametrize(
    "said",
    [
        ["Sn"],
        [ReasoningPart("hm")],
        [ToolInputPart("1", "look", '{"ci')],
        ["Sn", call("1", "look"), call("2", "look")],
    ],
)
async def test_what_broke_off_is_taken_back(
    autojump_clock: trio.testing.MockClock, said: list[Line]
) -> None:
    model = ScriptedModel([*said, CUT], ["Snow."])
    events, result = await end_of(Agent(model=model, tools=[look]))
    assert tags(events) == [
        *("run-start", "step-start", "step-discard"),
        *("step-start", "model-finish", "step-finish", "run-finish"),
    ]
    [discard] = of(StepDiscard, events)
    assert (discard.step_number, discard.from_offset, discard.reason) == (1, 2, "cut-stream")
    assert isinstance(events[discard.from_offset - 1], StepStart)
    assert [step.step_number for step in of(StepStart, events)] == [1, 1]
    assert not of(ToolCall, events)
    assert (result.text, result.steps) == ("Snow.", 1)
    assert result.messages == (UserMessage("hi"), AssistantMessage("Snow."))
    assert model.requests[0] == model.requests[1]


async def test_only_its_own_step_is_taken_back(autojump_clock: trio.testing.MockClock) -> None:
    model = ScriptedModel(["I look. ", call("1", "look")], ["Sn", CUT], ["Sno", CUT], ["Snow."])
    events, result = await end_of(Agent(model=model, tools=[look]))
    assert texts(events) == ["I look. ", "Sn", "Sno", "Snow."]
    assert [step.step_number for step in of(StepStart, events)] == [1, 2, 2, 2]
    assert [back.step_number for back in of(StepDiscard, events)] == [2, 2]
    for back in of(StepDiscard, events):
        assert isinstance(events[back.from_offset - 1], StepStart)
    assert result.text == "I look. Snow."
    assert outcomes(events) == [("1", "ok", "snow in Oslo", None)]


@pytest.mark.parametrize("retries", [0, 1, 2, 5])
async def test_it_has_an_end(autojump_clock: trio.testing.MockClock, retries: int) -> None:
    model = ScriptedModel(*[[f"{n}", CUT] for n in range(9)])
    limits = Limits(step_retries=retries)
    events, failure = await end_of(Agent(model=model, limits=limits))
    assert len(model.requests) == retries + 1
    assert len(of(StepDiscard, events)) == retries
    [error] = of(RunError, events)
    assert (error.error.code, error.error.message) == ("cut-stream", "it broke off")
    # What the last attempt has said stays, as it is in the log.
    assert failure.result.text == f"{retries}"


async def test_each_step_has_its_own_attempts(autojump_clock: trio.testing.MockClock) -> None:
    steps: list[list[Line]] = []
    for number in range(3):
        steps += [["a", CUT], ["a", CUT], [call(str(number), "look")]]
    model = ScriptedModel(*steps, ["done"])
    events, result = await end_of(Agent(model=model, tools=[look]))
    assert len(of(StepDiscard, events)) == 6
    assert (result.text, result.steps) == ("done", 4)


async def test_who_can_not_take_it_back_is_told_the_truth(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = ScriptedModel(["Sn", CUT], ["never"])
    events, failure = await end_of(Agent(model=model), retractable=False)
    assert not of(StepDiscard, events)
    assert [start.retractable for start in of(RunStart, events)] == [False]
    assert failure.code == "cut-stream"
    assert failure.result.text == "Sn"


async def test_what_is_not_to_pass_is_not_asked_for_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = ScriptedModel(["Sn", ODD], ["never"])
    events, failure = await end_of(Agent(model=model))
    assert not of(StepDiscard, events)
    assert failure.code == "odd"
    assert len(model.requests) == 1


@pytest.mark.parametrize("retractable", [True, False])
async def test_of_a_silent_model_nothing_is_taken_back(
    autojump_clock: trio.testing.MockClock, *, retractable: bool
) -> None:
    """It is asked as often as its own limit says, and not once more."""
    model = ScriptedModel(*[[CUT]] * 99)
    events, failure = await end_of(Agent(model=model), retractable=retractable)
    assert len(model.requests) == 1 + Limits().model_retries
    assert not of(StepDiscard, events)
    assert len(of(StepStart, events)) == 1
    assert failure.code == "cut-stream"


async def test_behind_an_answer_that_broke_off_a_model_may_be_silent_for_a_while(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = ScriptedModel(["Sn", CUT], [CUT], [CUT], ["Snow."])
    events, result = await end_of(Agent(model=model))
    assert tags(events).count("step-discard") == 1
    assert result.text == "Snow."


async def test_it_is_asked_again_after_a_while_and_listeners_hear_of_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    listener = Retried()
    model = ScriptedModel(
        ["a", CUT], ["b", ModelError("overloaded", "wait", retryable=True, retry_after=30)], ["c"]
    )
    async with open_runtime(instruments=[listener]) as runtime:
        run = await runtime.start(Agent(model=model), "hi")
        await run.wait()
    first, second = listener.all
    assert (first.error, first.asked.step) == ("cut-stream", 1)
    assert 0.25 <= first.delay <= 0.5
    assert (second.error, second.delay) == ("overloaded", 30)
    assert trio.current_time() == pytest.approx(first.delay + 30)


async def test_while_it_pauses_the_run_can_be_cancelled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    later = ModelError("overloaded", "wait", retryable=True, retry_after=1000)
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a", later])), "hi")
        await told(run, StepDiscard)
        await run.cancel("enough")
        result = await run.wait()
        check_levels(await logged(runtime.store, run.id))
    assert (result.finish_reason, result.text, trio.current_time()) == ("cancelled", "", 0)


async def test_what_is_said_meanwhile_is_in_the_next_attempt(
    autojump_clock: trio.testing.MockClock,
) -> None:
    later = ModelError("overloaded", "wait", retryable=True, retry_after=60)
    model = ScriptedModel(["a", later], ["b"])
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model), "hi")
        await told(run, StepDiscard)
        await run.say("and this")
        result = await run.wait()
        events = await logged(runtime.store, run.id)
    assert len(of(UserSaid, events)) == 1
    assert model.requests[1].messages == (UserMessage("hi"), UserMessage("and this"))
    assert result.text == "b"


async def test_a_pause_counts_for_the_deadline_of_its_step(
    autojump_clock: trio.testing.MockClock,
) -> None:
    later = ModelError("overloaded", "wait", retryable=True, retry_after=60)
    agent = Agent(model=ScriptedModel(["a", later]), limits=Limits(step_deadline=5))
    events, result = await end_of(agent)
    assert (result.finish_reason, trio.current_time()) == ("timeout", 5)
    assert len(of(StepDiscard, events)) == 1


async def test_what_was_paid_stays_paid(autojump_clock: trio.testing.MockClock) -> None:
    """The provider told nothing: then each delta counts."""
    model = ScriptedModel(["a", "b", CUT], ["c", "d", "e"])
    _, result = await end_of(Agent(model=model, limits=Limits(max_tokens=4)))
    assert (result.finish_reason, result.text) == ("budget", "cd")


async def test_ids_of_calls_stay_used(autojump_clock: trio.testing.MockClock) -> None:
    model = ScriptedModel([call("1", "look"), CUT], [call("1", "look")], ["done"])
    events, _ = await end_of(Agent(model=model, tools=[look]))
    [made] = of(ToolCall, events)
    assert made.tool.id != "1"


async def test_reasoning_is_taken_back_with_it(autojump_clock: trio.testing.MockClock) -> None:
    model = ScriptedModel([ReasoningPart("hm"), "a", CUT], [ReasoningPart("ah"), "b"])
    events, result = await end_of(Agent(model=model))
    assert [event.delta for event in of(ReasoningDelta, events)] == ["hm", "ah"]
    assert result.messages[-1] == AssistantMessage("b", reasoning="ah")


async def test_an_answer_with_a_shape_that_broke_off(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = ScriptedModel([*output({"output": [1, 2, 3]})[:1], CUT], output({"output": [4]}))
    events, result = await end_of(Agent(model=model, output=list[int]))
    assert result.output == [4]
    assert len(of(StepDiscard, events)) == 1


class Told(Model):
    """A model of sub-agents: breaks off at first."""

    def __init__(self) -> None:
        self.asked = 0

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        self.asked += 1
        first: list[Line] = ["Sn", call("1", "look"), CUT]
        return await ScriptedModel(first if self.asked == 1 else ["Snow."]).generate(request, emit)


async def test_the_steps_of_sub_agents_too(autojump_clock: trio.testing.MockClock) -> None:
    """At their level: what is said above stays."""
    child = Agent(model=Told(), name="child", tools=[look])
    agent = Agent(
        model=Retold(["I ask. ", call("1", "child", prompt="?")], ["Done."]),
        tools=[child.as_tool()],
    )
    events, result = await end_of(agent)
    inner = within(events, "1")
    assert tags(inner) == [
        *("run-start", "step-start", "step-discard"),
        *("step-start", "model-finish", "step-finish", "run-finish"),
    ]
    assert not of(StepDiscard, events)
    assert result.text == "I ask. Done."
    assert outcomes(events) == [("1", "ok", "Snow.", None)]
    [discard] = of(StepDiscard, inner)
    # Offsets are those of the log, which is one.
    begun = within(events[: discard.from_offset], "1")
    assert [type(event) for event in begun] == [RunStart, StepStart]


async def test_a_sub_agent_is_as_retractable_as_its_run(
    autojump_clock: trio.testing.MockClock,
) -> None:
    child = Agent(model=Told(), name="child")
    agent = Agent(
        model=Retold([call("1", "child", prompt="?")], ["Done."]), tools=[child.as_tool()]
    )
    events, result = await end_of(agent, retractable=False)
    assert result.text == "Done."
    [(_, status, told_it, _)] = outcomes(events)
    assert status == "error"
    assert "cut-stream" in str(told_it)
    assert [start.retractable for start in of(RunStart, within(events, "1"))] == [False]


# What it is sent


async def test_tools_that_wait_are_tools(autojump_clock: trio.testing.MockClock) -> None:
    model = ScriptedModel([call("1", "refund", amount=5)], ["done"])
    async with open_runtime() as runtime:
        agent = Agent(model=model, tools=[look, refund], tool_choice="refund")
        run = await runtime.start(agent, "hi", client_tools=[{"name": "pick"}])
        await asleep(run)
        await run.answer("1", approved=True)
        await run.wait()
    assert [spec.name for spec in model.requests[0].tools] == ["look", "refund", "pick"]
    # It is for the first step, also where that was before the wait.
    assert [request.tool_choice for request in model.requests] == ["refund", None]


async def test_what_the_provider_wants_back_is_there_behind_the_wait(
    autojump_clock: trio.testing.MockClock,
) -> None:
    finish = ModelFinish("tool-calls", Usage(1, 2, 3), provider={"p": "signed"})
    model = ScriptedModel([call("1", "refund", amount=5), finish], ["done"])
    agent = Agent(model=model, tools=[refund])
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        await asleep(run)
        await run.answer("1", approved=True)
        result = await run.wait()
    [_, answer, _] = model.requests[1].messages
    assert isinstance(answer, AssistantMessage)
    assert answer.provider == {"p": "signed"}
    assert result.usage == Usage(1, 2, 3)
