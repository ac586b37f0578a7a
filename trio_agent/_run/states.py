"""Where a run can be, what can happen to it there, and what is to be done next.

::

    START -> ASK -> ANSWER -> ACT -> ASK -> ... -> DONE
                      |        ^
                      +-> CHECK-> ASK, DONE

`ASK`: the model is to be called. `ANSWER`: it speaks. `CHECK`: it gave an answer that should have
a shape. `ACT`: the tools that it asked for run. `DONE`: the terminal event was returned; from
every other state, `CLOSED` leads here.
"""

import enum
from collections.abc import Mapping
from typing import Final, TypeAlias

import attrs

from .._events import ToolRequest
from .._messages import AnyMessage


class State(enum.Enum):
    """Where a run is."""

    START = "start"
    ASK = "ask"
    ANSWER = "answer"
    CHECK = "check"
    ACT = "act"
    DONE = "done"


class Input(enum.Enum):
    """What can happen to a run."""

    STARTED = "started"
    ASKED = "asked"
    SAID = "said"
    ANSWERED = "answered"
    ANSWERED_WITH_CALLS = "answered with calls"
    ANSWERED_WITH_OUTPUT = "answered with output"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    REFUSED_WITH_CALLS = "refused with calls"
    RETURNED = "returned"
    RETURNED_LAST = "returned last"
    CLOSED = "closed"


TRANSITIONS: Final[Mapping[tuple[State, Input], State]] = {
    (State.START, Input.STARTED): State.ASK,
    (State.ASK, Input.ASKED): State.ANSWER,
    (State.ANSWER, Input.SAID): State.ANSWER,
    (State.ANSWER, Input.ANSWERED): State.DONE,
    (State.ANSWER, Input.ANSWERED_WITH_CALLS): State.ACT,
    (State.ANSWER, Input.ANSWERED_WITH_OUTPUT): State.CHECK,
    (State.CHECK, Input.ACCEPTED): State.DONE,
    (State.CHECK, Input.REFUSED): State.ASK,
    (State.CHECK, Input.REFUSED_WITH_CALLS): State.ACT,
    (State.ACT, Input.RETURNED): State.ACT,
    (State.ACT, Input.RETURNED_LAST): State.ASK,
    (State.START, Input.CLOSED): State.DONE,
    (State.ASK, Input.CLOSED): State.DONE,
    (State.ANSWER, Input.CLOSED): State.DONE,
    (State.CHECK, Input.CLOSED): State.DONE,
    (State.ACT, Input.CLOSED): State.DONE,
}
"""Everything that may happen. What is not in the table is a bug in the caller."""


@attrs.frozen
class AskModel:
    """Call the model with these messages."""

    messages: tuple[AnyMessage, ...]


@attrs.frozen
class CheckOutput:
    """See whether this text has the shape that was asked for."""

    text: str
    unwrapped: bool = False
    """Whether the wrapper was taken off it, so that what looks like one belongs to the value."""


@attrs.frozen
class RunTools:
    """Run these calls side by side."""

    calls: tuple[ToolRequest, ...]


Action: TypeAlias = AskModel | CheckOutput | RunTools | None
"""What to do next; None if it is for the caller to wait, or if all is done."""
