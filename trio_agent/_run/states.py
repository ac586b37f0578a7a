"""Where a run can be, and what is to be done next.

::

    START -> ASK -> ANSWER -> ACT -> ASK -> ... -> DONE
              ^       | |      ^
              +-------+ +-> CHECK-> ASK, DONE

`ASK`: the model is to be called. `ANSWER`: it speaks; if that breaks off, it is asked again.
`CHECK`: it gave an answer that should have a shape. `ACT`: the tools that it asked for run, or wait
for somebody. `DONE`: the terminal event was returned; from every other state, it leads here.
"""

import enum
from typing import TypeAlias

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
    """Run these calls side by side; there may be more that wait for somebody."""

    calls: tuple[ToolRequest, ...]


Action: TypeAlias = AskModel | CheckOutput | RunTools | None
"""What to do next; None if it is for the caller to wait, or if all is done."""


@attrs.frozen
class Expected:
    """What a machine must know of the shape that an answer is to have."""

    wrapped: bool = False
    """Whether the model writes it into the field `output` of an object."""
    retries: int = 0
    """As `Limits.output_retries`."""
