"""The states of a run: what can happen in which, and where that leads."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from machine_kit import acting, asked, calling, checking, continued, machine

from trio_agent._run.items import Answer, Said
from trio_agent._run.machine import Machine
from trio_agent._run.states import Expected, State
from trio_agent._run.story import ANSWERED, LOST
from trio_agent.models._parts import ModelFinish, OutputPart, TextPart, ToolInputPart


def started() -> Machine:
    made = machine(continuations=1)
    made.started(1)
    return made


def done() -> Machine:
    made = asked()
    made.answered(ModelFinish("stop"), 9)
    return made


Made = Callable[[], Machine]

IN: Final[Mapping[State, Made]] = {
    State.START: machine,
    State.ASK: started,
    State.ANSWER: lambda: asked(continuations=1),
    State.CHECK: lambda: checking("[]", continuations=1),
    State.ACT: lambda: calling({"1": None, "2": None, "3": "input"}, continuations=1),
    State.DONE: done,
}


def with_calls(made: Machine) -> object:
    made.said([ToolInputPart("9", "t", "")], 9)
    return made.answered(ModelFinish("tool-calls"), 9)


def with_a_call_that_waits(made: Machine) -> object:
    made.said([ToolInputPart("9", "t", "")], 9)
    return made.answered(ModelFinish("tool-calls"), 9, wants=lambda _: "approval")


def with_output(made: Machine) -> object:
    made.said([OutputPart("1")], 9)
    return made.answered(ModelFinish("stop"), 9)


ACTS: Final[Mapping[str, Callable[[Machine], object]]] = {
    "started": lambda made: made.started(9),
    "asked": lambda made: made.asked(9),
    "said": lambda made: made.said([TextPart("x")], 9),
    "broke off": lambda made: made.broke_off("cut", 9),
    "answered": lambda made: made.answered(ModelFinish("stop"), 9),
    "answered, and more is there": lambda made: made.answered(ModelFinish("stop"), 9, more=True),
    "answered with calls": with_calls,
    "answered with calls that wait": with_a_call_that_waits,
    "answered with output": with_output,
    "accepted": lambda made: made.accepted(1, 9),
    "refused": lambda made: made.refused("no", 9),
    "returned": lambda made: made.returned("1", "ok", 1, 9),
    "took a message": lambda made: made.took(Said("x"), 9),
    "took an answer": lambda made: made.took(Answer("3", True, 1), 9),
    "waits": lambda made: made.waits(9),
    "continued after a loss": lambda made: continued(made, LOST, 9),
    "continued after an answer": lambda made: continued(made, ANSWERED, 9),
    "finish": lambda made: made.finish("cancelled", 9),
    "fail": lambda made: made.fail("c", "m", 9),
}
CLOSED: Final = {"finish": State.DONE, "fail": State.DONE}

ALLOWED: Final[Mapping[State, Mapping[str, State]]] = {
    State.START: {"started": State.ASK, **CLOSED},
    State.ASK: {
        "asked": State.ANSWER,
        "took a message": State.ASK,
        "took an answer": State.ASK,
        "continued after a loss": State.ASK,
        "continued after an answer": State.ASK,
        **CLOSED,
    },
    State.ANSWER: {
        "said": State.ANSWER,
        "broke off": State.ASK,
        "answered": State.DONE,
        "answered, and more is there": State.ASK,
        "answered with calls": State.ACT,
        "answered with calls that wait": State.ACT,
        "answered with output": State.DONE,  # Nobody has asked for one: see below.
        "continued after a loss": State.ASK,
        "continued after an answer": State.ASK,
        **CLOSED,
    },
    State.CHECK: {
        "accepted": State.DONE,
        "refused": State.ASK,
        "continued after a loss": State.CHECK,
        "continued after an answer": State.CHECK,
        **CLOSED,
    },
    State.ACT: {
        "returned": State.ACT,
        "took a message": State.ACT,
        "took an answer": State.ACT,
        "continued after a loss": State.ACT,  # One call waits on.
        "continued after an answer": State.ACT,
        **CLOSED,
    },
    State.DONE: {"said": State.DONE},  # A model may speak on for a moment: it is dropped.
}

# Where it depends on more than the state.
MORE: Final[list[tuple[State, Made, str, State]]] = [
    (State.ANSWER, lambda: asked(output=Expected()), "answered with output", State.CHECK),
    (State.ANSWER, lambda: asked(output=Expected()), "answered", State.CHECK),
    (State.ANSWER, lambda: asked(output=Expected()), "answered with calls", State.ACT),
    (State.ANSWER, lambda: asked(max_steps=1), "answered, and more is there", State.DONE),
    (State.ANSWER, asked, "continued after a loss", State.DONE),
    (State.CHECK, lambda: checking("[]", "1"), "refused", State.ACT),
    (State.CHECK, lambda: checking("[]", retries=0), "refused", State.DONE),
    (State.CHECK, lambda: checking("[]", max_steps=1), "refused", State.DONE),
    (State.ACT, lambda: acting("1"), "returned", State.ASK),
    (State.ACT, lambda: acting("1", max_steps=1), "returned", State.DONE),
    (State.ACT, lambda: acting("1", continuations=1), "continued after a loss", State.ASK),
    (State.ACT, lambda: calling({"3": "input"}), "took an answer", State.ASK),
    (State.ACT, lambda: calling({"3": "input"}, max_steps=1), "took an answer", State.DONE),
    (State.ACT, lambda: calling({"3": "approval"}), "took an answer", State.ACT),
    (State.ACT, lambda: calling({"3": "input"}), "waits", State.ACT),
]


def test_every_state_is_in_the_table() -> None:
    assert set(IN) == set(ALLOWED) == set(State)
    assert {act for acts in ALLOWED.values() for act in acts} | {act for *_, act, _ in MORE} == set(
        ACTS
    )


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("state", State)
def test_what_can_happen(state: State, act: str) -> None:
    made = IN[state]()
    assert made.state is state
    if act in ALLOWED[state]:
        events: Any = ACTS[act](made)
        assert made.state is ALLOWED[state][act]
        assert bool(events) is (state is not State.DONE)
    else:
        with pytest.raises(AssertionError):
            ACTS[act](made)


@pytest.mark.parametrize(("state", "make", "act", "after"), MORE)
def test_where_it_depends(state: State, make: Made, act: str, after: State) -> None:
    made = make()
    assert made.state is state
    ACTS[act](made)
    assert made.state is after


def reached(start: State, *, without: frozenset[str] = frozenset()) -> set[State]:
    """The states that can come behind one."""
    table = [(a, act, b) for a, acts in ALLOWED.items() for act, b in acts.items()]
    table += [(state, act, after) for state, _, act, after in MORE]
    found = {start}
    while more := {b for a, act, b in table if a in found and act not in without} - found:
        found |= more
    return found


def test_every_run_can_come_to_every_state() -> None:
    assert reached(State.START) == set(State)


@pytest.mark.parametrize("state", State)
def test_every_state_leads_to_the_end(state: State) -> None:
    """And it needs nobody who closes the run, or goes on with it: its model may end it."""
    others = frozenset({*CLOSED, "continued after a loss", "continued after an answer"})
    assert State.DONE in reached(state, without=others)


def test_nothing_leads_out_of_the_end_or_back_to_the_start() -> None:
    assert set(ALLOWED[State.DONE].values()) == {State.DONE}
    assert State.START not in {b for acts in ALLOWED.values() for b in acts.values()}
