"""The states of a run. What the machine does in them: see test_machine."""

import pytest

from trio_agent._run.states import TRANSITIONS, Input, State


def reached(start: State, *, without: frozenset[Input] = frozenset()) -> set[State]:
    """The states that can come behind one."""
    found = {start}
    while (
        more := {
            after
            for (before, what), after in TRANSITIONS.items()
            if before in found and what not in without
        }
        - found
    ):
        found |= more
    return found


def test_every_run_can_come_to_every_state() -> None:
    assert reached(State.START) == set(State)


@pytest.mark.parametrize("state", State)
def test_every_state_leads_to_the_end(state: State) -> None:
    """And it needs nobody who closes the run: its model may end it."""
    assert State.DONE in reached(state, without=frozenset({Input.CLOSED}))


def test_nothing_leads_out_of_the_end_or_back_to_the_start() -> None:
    assert not [what for state, what in TRANSITIONS if state is State.DONE]
    assert State.START not in TRANSITIONS.values()


def test_no_input_is_for_show() -> None:
    assert {what for _, what in TRANSITIONS} == set(Input)
