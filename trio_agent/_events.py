"""The events of a run: immutable values, one class per `type` on the wire.

In Python the fields are snake_case, in JSON camelCase; `type` tells the class. Readers skip
types and ignore fields that they don't know, and take values that they don't know as they are, so
that all three can be added: two versions may serve one log.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, TypeAlias

import msgspec

from ._content import Content, File

SCHEMA_VERSION = 2
"""The `schema` of `run-start`. It grows when an old reader would misread a new event."""

FinishReason: TypeAlias = (
    Literal["stop", "length", "max-steps", "cancelled", "timeout", "budget"] | str  # noqa: PYI051
)
"""Why a run finished; a log of a newer version may have others.

Only `stop` means that the model said all that it had to say.
"""

ToolStatus: TypeAlias = Literal["ok", "error", "cancelled", "unknown"] | str  # noqa: PYI051
"""How a tool call ended; a log of a newer version may have others.

`unknown`: nobody waited for its end, its effects may have happened.
"""


Wants: TypeAlias = Literal["approval", "input"] | str  # noqa: PYI051
"""What a call waits for; a log of a newer version may have others."""


class Value(msgspec.Struct, frozen=True, rename="camel"):
    """A part of an event."""


class Usage(Value, frozen=True):
    """Tokens, as the provider counted them."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_input_tokens: int = 0
    """Those of the input that the provider had at hand from an earlier request."""
    reasoning_tokens: int = 0
    """Those of the output that are reasoning, where that is told."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.total_tokens + other.total_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


class ToolRequest(Value, frozen=True):
    """What the model wants done.

    `input` is the JSON value of the arguments, or, if the model wrote no valid JSON, their text.
    """

    id: str
    name: str
    input: Any


class ToolOutcome(Value, frozen=True, omit_defaults=True):
    """What came of it. `output` is the tool's JSON value, or a sentence if it did not succeed.

    `files` came with it: for the model to look at, and for viewers.
    """

    id: str
    name: str
    input: Any
    output: Any
    status: ToolStatus
    files: tuple[File, ...] = ()


class ToolName(Value, frozen=True):
    """Which call a fragment of arguments belongs to."""

    id: str
    name: str


class RunSummary(Value, frozen=True, omit_defaults=True):
    """How a run went.

    `text` is all deltas of all steps. `usage` counts what its sub-agents used, too, and
    `own_usage` what it used itself; a log of an earlier version has the first only. `output` is
    the JSON value of an answer with a shape (`null` is one), and `msgspec.UNSET` where no shape was
    asked for or none came. `reason` says more about the finish reason where there is more to say:
    who cancelled, which deadline passed.
    """

    id: str
    text: str
    steps: int
    finish_reason: FinishReason
    usage: Usage
    reason: str | None = None
    own_usage: Usage | None = None
    output: Any = msgspec.UNSET


class ErrorDetail(Value, frozen=True):
    """A failure: `code` is for programs, `message` for people."""

    code: str
    message: str


class Event(msgspec.Struct, frozen=True, rename="camel", tag_field="type"):
    """One thing that happened in a run. `at` is Unix time in milliseconds."""

    terminal: ClassVar[bool] = False
    """Whether this event is the last of its run."""

    prompt_commit: ClassVar[bool] = False
    """Whether stores write it at once instead of waiting a moment for company."""

    at: int


class RunStart(Event, frozen=True, tag="run-start", kw_only=True):
    """The first event, at offset 1, before the model is called."""

    prompt_commit: ClassVar[bool] = True

    run_id: str
    agent: str
    schema: int = SCHEMA_VERSION
    retractable: bool = False
    """Whether its readers can take text back, so that a step that breaks off is repeated."""
    thread: str | msgspec.UnsetType = msgspec.UNSET
    """The thread that it is a part of, if it is one."""


class UserSaid(Event, frozen=True, tag="user-message", omit_defaults=True, kw_only=True):
    """Somebody told the run something while it was under way. The model reads it next."""

    prompt_commit: ClassVar[bool] = True

    content: Content
    by: str | None = None
    """The principal who did, if that is known."""


class StepStart(Event, frozen=True, tag="step-start", kw_only=True):
    """The model is about to be called. Steps are counted from 1."""

    step_number: int


class TextDelta(Event, frozen=True, tag="text-delta", kw_only=True):
    """A piece of the answer, never empty."""

    delta: str


class ReasoningDelta(Event, frozen=True, tag="reasoning-delta", kw_only=True):
    """A piece of the model's reasoning, never empty and no part of the answer."""

    delta: str


class ToolInputDelta(Event, frozen=True, tag="tool-input-delta", kw_only=True):
    """A piece of the arguments that the model is writing, never empty."""

    tool: ToolName
    delta: str


class OutputDelta(Event, frozen=True, tag="output-delta", kw_only=True):
    """A piece of the answer with a shape: JSON text, never empty.

    Those of one step make one value. What an earlier step wrote is no part of it, nor what
    stands before an `OutputRetry`.
    """

    delta: str


class ModelSwitch(Event, frozen=True, tag="model-switch", kw_only=True):
    """Another model is asked, because the first could not answer. Nothing was said before."""

    step_number: int
    from_: str = msgspec.field(name="from")
    to: str
    error: ErrorDetail


class ModelFinished(Event, frozen=True, tag="model-finish", kw_only=True):
    """The model's answer is complete; its `tool-call` events follow in the same commit.

    `model` is the one that answered, `reason` why it ended (`stop`, `tool-calls`, `length`,
    `content-filter`), and `usage` what that cost. What the provider wants back is kept beside it
    and is no part of any wire.
    """

    prompt_commit: ClassVar[bool] = True

    step_number: int
    model: str
    reason: str
    usage: Usage


class StepDiscard(Event, frozen=True, tag="step-discard", kw_only=True):
    """What was said in this step is taken back: its answer broke off, and is asked for again.

    That is all deltas of this agent behind the offset `from_offset`, where the step began. Cursors
    in between stay valid.
    """

    prompt_commit: ClassVar[bool] = True

    step_number: int
    from_offset: int
    reason: str


class ToolCall(Event, frozen=True, tag="tool-call", omit_defaults=True, kw_only=True):
    """A complete call. It is in the log before the tool starts.

    `wants` says what it waits for: `approval`, or `input`, which is its result. Without it the
    tool starts at once.
    """

    prompt_commit: ClassVar[bool] = True

    tool: ToolRequest
    wants: Wants | None = None


class ToolAsked(Event, frozen=True, tag="tool-request", kw_only=True):
    """Somebody is asked, right behind the call: to approve it, or for its result."""

    prompt_commit: ClassVar[bool] = True

    tool: ToolRequest
    kind: Wants
    deadline: int | None
    """Unix time in milliseconds, behind which nobody is waited for."""


class ToolAnswered(Event, frozen=True, tag="tool-answer", kw_only=True):
    """Somebody has answered, or nobody has in time."""

    prompt_commit: ClassVar[bool] = True

    tool: ToolName
    approved: bool
    by: str | None = None
    """The principal who did, if that is known."""
    reason: str | None = None


class RunWaiting(Event, frozen=True, tag="waiting", kw_only=True):
    """The run is asleep until somebody answers one of these calls, or tells it something."""

    prompt_commit: ClassVar[bool] = True

    calls: tuple[str, ...]


class RunContinued(Event, frozen=True, tag="continued", kw_only=True):
    """The run goes on, in this process or in another one.

    `reason` is `answered`, `worker-lost`, or `handed-over` (by a server that was stopped).
    """

    prompt_commit: ClassVar[bool] = True

    reason: str


class ToolResult(Event, frozen=True, tag="tool-result", omit_defaults=True, kw_only=True):
    """The one result of a call. It is in the log before the model is asked again.

    `reason` is `denied` or `expired` where nobody let it run.
    """

    prompt_commit: ClassVar[bool] = True

    tool: ToolOutcome
    reason: str | None = None


class ToolProgress(Event, frozen=True, tag="tool-progress", kw_only=True):
    """How far a call is: JSON of the tool's own. The latest counts; some may be left out."""

    tool: ToolName
    data: Any


class OutputRetry(Event, frozen=True, tag="output-retry", kw_only=True):
    """The answer did not have its shape: the model is told what to correct, and asked again."""

    prompt_commit: ClassVar[bool] = True

    message: str


class Nested(Event, frozen=True, tag="nested", kw_only=True):
    """What a sub-agent does within the call whose tool it is. To any depth.

    Its `run-finish` or `error` ends the sub-agent, and not the run. The call's result closes what
    is open in it, too.
    """

    call: str
    raw: msgspec.Raw = msgspec.field(name="event")
    """The sub-agent's event as JSON. Its call ids begin with the call's and a slash."""

    @property
    def event(self) -> "AnyEvent | None":
        """The sub-agent's event, decoded when you look at it.

        None if this version doesn't know its type, or can't read it.
        """
        try:
            return _DECODER.decode(self.raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None


class StepFinish(Event, frozen=True, tag="step-finish", kw_only=True):
    """The model spoke and its tools returned. `usage` is this step's."""

    step_number: int
    usage: Usage


class RunFinish(Event, frozen=True, tag="run-finish", kw_only=True):
    """Terminal: the run finished, for the reason in `run.finish_reason`."""

    terminal: ClassVar[bool] = True
    prompt_commit: ClassVar[bool] = True

    run: RunSummary


class RunError(Event, frozen=True, tag="error", kw_only=True):
    """Terminal: the run failed. `usage` is what it cost until then."""

    terminal: ClassVar[bool] = True
    prompt_commit: ClassVar[bool] = True

    error: ErrorDetail
    usage: Usage = Usage()


AnyEvent: TypeAlias = (
    RunStart
    | UserSaid
    | StepStart
    | TextDelta
    | ReasoningDelta
    | ToolInputDelta
    | OutputDelta
    | ModelSwitch
    | ModelFinished
    | StepDiscard
    | ToolCall
    | ToolAsked
    | ToolAnswered
    | ToolProgress
    | ToolResult
    | OutputRetry
    | Nested
    | RunWaiting
    | RunContinued
    | StepFinish
    | RunFinish
    | RunError
)
"""Any event: what a subscription yields, and what `match` tells apart."""

EVENT_TYPES: Mapping[str, type[AnyEvent]] = {
    cls.__struct_config__.tag: cls for cls in AnyEvent.__args__
}
"""The classes by their `type` on the wire."""

_DECODER: Final[msgspec.json.Decoder[AnyEvent]] = msgspec.json.Decoder(AnyEvent)
