"""What instruments are told: which step, model call or tool it is, and how it ended.

Never what was said: no prompts, answers, arguments or outputs, and of errors their codes only.
Times are in seconds of Trio's clock.
"""

import attrs

from .._events import ToolStatus, Usage
from ..tools._context import RunFacts


@attrs.frozen(kw_only=True)
class StepFacts:
    """A step is about to begin: one answer of the model, and the tools that it asks for."""

    run: RunFacts
    number: int
    """Steps of a run are counted from 1."""


@attrs.frozen(kw_only=True)
class ModelFacts:
    """A model is about to be asked."""

    run: RunFacts
    step: int
    model: str
    """Its name. A `FallbackModel` may let another one answer."""


@attrs.frozen(kw_only=True)
class ModelRetried:
    """A model failed, and is asked again after a while: what it had said was taken back."""

    asked: ModelFacts
    error: str
    """The code of its failure."""
    delay: float
    """Seconds until then."""


@attrs.frozen(kw_only=True)
class ModelSwitched:
    """A model failed before it had said anything, and another one is asked."""

    asked: ModelFacts
    from_model: str
    to_model: str
    error: str
    """The code of the first one's failure."""


@attrs.frozen(kw_only=True)
class ToolFacts:
    """A tool is about to be called."""

    run: RunFacts
    step: int
    tool: str
    """Its name, as the model wrote it."""
    call_id: str


@attrs.frozen(kw_only=True)
class RunEnd:
    """Everything of the run is gone from here."""

    seconds: float = 0.0
    outcome: str = "cancelled"
    """Its finish reason, or `error`; or, of one that goes on later, `waiting` or `handed-over`."""
    reason: str | None = None
    """More about the finish reason: who cancelled, which deadline passed."""
    error: str | None = None
    """The code of its error, if the outcome is one."""
    steps: int = 0
    usage: Usage = Usage()
    """Tokens of its own and of its sub-agents."""
    own_usage: Usage = Usage()
    """Without those of its sub-agents."""
    stored: bool = True
    """Whether the store has taken the end."""


@attrs.frozen(kw_only=True)
class StepEnd:
    """The model has answered and its tools have returned, or it broke off."""

    seconds: float = 0.0
    error: str | None = None
    """None if it came to its end, `cancelled`, the code of a `ModelError`, or else the name of an
    exception's class."""


@attrs.frozen(kw_only=True)
class ModelEnd:
    """The model has answered, or it failed for good."""

    seconds: float = 0.0
    """With the pauses before it was asked again."""
    error: str | None = None
    """None if it answered; else as in `StepEnd`."""
    model: str = ""
    """The one that answered."""
    reason: str = ""
    """Why its answer was complete: `stop`, `tool-calls`, `length`, `content-filter`."""
    usage: Usage = Usage()
    first: float | None = None
    """Seconds until its first word; None if there was none."""
    chunks: int = 0
    """Pieces in which the answer came: what was read at once is one."""


@attrs.frozen(kw_only=True)
class ToolEnd:
    """The call has its result."""

    seconds: float = 0.0
    status: ToolStatus = "cancelled"
