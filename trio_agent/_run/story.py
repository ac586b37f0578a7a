"""What has happened to an agent so far: a fold of its events.

- Whoever decides (`Machine`) changes nothing else. So a machine that was rebuilt from a log is the
  one that wrote it.
- Nothing is evaluated again: what was decided is in the events.
- It is about one agent. What its sub-agents have used comes in from them, or, where a log is read
  back, by `absorb`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from .._events import (
    AnyEvent,
    ModelFinished,
    Nested,
    OutputDelta,
    OutputRetry,
    ReasoningDelta,
    RunContinued,
    RunError,
    RunFinish,
    RunStart,
    StepDiscard,
    StepFinish,
    StepStart,
    TextDelta,
    ToolAnswered,
    ToolAsked,
    ToolCall,
    ToolInputDelta,
    ToolRequest,
    ToolResult,
    Usage,
    UserSaid,
)
from .._log.plain import is_json
from .._messages import AnyMessage, AssistantMessage
from .budget import Budget
from .failures import Failures
from .states import State
from .transcript import Transcript

LOST: Final = "worker-lost"
"""Why a run goes on, or was closed, whose worker died."""

HANDED_OVER: Final = "handed-over"
"""Why a run goes on whose worker was stopped in good order."""

ANSWERED: Final = "answered"
"""Why a run goes on that was asleep."""

_CONTINUED: Final = frozenset({LOST, HANDED_OVER})

_DELTAS: Final = (TextDelta, ReasoningDelta, OutputDelta, ToolInputDelta)


class Story:
    """One agent's.

    Args:
        messages: what was said before.
        budget: what it has used and may use.
        failures: how often its tools have failed.
        shaped: whether its answer is to have a shape.
    """

    def __init__(
        self, messages: Sequence[AnyMessage], budget: Budget, failures: Failures, *, shaped: bool
    ) -> None:
        self.state: State = State.START
        self.step: int = 0
        """The number of the step that is under way, or of the last one."""
        self.began: int = 0
        """The offset of that step's start."""
        self.transcript: Transcript = Transcript(messages)
        self.budget: Budget = budget
        self.step_usage: Usage = Usage()
        self.retries: int = 0
        """How often this step's answer broke off."""
        self.output_failures: int = 0
        """Answers that had not their shape."""
        self.failed_tool: str | None = None
        """What is to be said of a tool that has failed too often."""
        self.waiting: dict[str, str] = {}
        """Calls that nobody has answered yet, and what they want."""
        self.deadlines: dict[str, int] = {}
        """Until when they wait, in Unix milliseconds; without an entry: for good."""
        self.taken: int = 0
        """How much of the inbox has become events."""
        self.losses: int = 0
        """Workers that were lost, one after the other, without anything coming of it."""
        self.used_ids: set[str] = set(_call_ids(messages))
        """Of calls, also of those that were taken back."""
        self.terminal: RunFinish | RunError | None = None
        self._failures = failures
        self._shaped = shaped
        self._deltas = 0
        # Whether this step's answer is paid. Logs of schema 1 say what it cost when the step ends.
        self._paid = False
        self._nested_deltas: dict[str, int] = {}
        # Whether the outcome of a call of this step is not known: then nothing has come of it.
        self._unknown = False

    @property
    def ready(self) -> tuple[ToolRequest, ...]:
        """The calls without a result that need nobody's answer, or have it."""
        return tuple(call for call in self.transcript.calls if call.id not in self.waiting)

    def add(self, event: AnyEvent, offset: int = 0, kept: Mapping[str, Any] | None = None) -> None:
        """Fold in the next event.

        Args:
            event: the event.
            offset: its place in the log, needed of a `StepStart`.
            kept: what is kept beside a `ModelFinished` for its provider.
        """
        if isinstance(event, _DELTAS):
            self.add_delta(event)
            return
        self.transcript.add(event, kept)
        match event:
            case RunStart():
                self.state = State.ASK
            case UserSaid():
                self.taken += 1
            case StepStart(step_number=number):
                self.state, self.step, self.began = State.ANSWER, number, offset
            case StepDiscard(reason=reason):
                self.state, self.step, self._deltas = State.ASK, self.step - 1, 0
                self.retries += reason not in _CONTINUED
            case ModelFinished():
                self._finished(event)
            case ToolCall(tool=call, wants=wants):
                self._called(call, wants)
            case ToolAsked(tool=call, deadline=deadline) if deadline is not None:
                self.deadlines[call.id] = deadline
            case ToolAnswered(tool=tool):
                self.taken += 1
                self._answered(tool.id)
            case ToolResult():
                self._returned(event)
            case OutputRetry():
                self.output_failures += 1
                if self.transcript.calls:
                    self.state = State.ACT
            case StepFinish(usage=usage):
                if not self._paid:
                    self.budget.paid(usage)
                self._end_step()
            case RunContinued(reason=reason):
                self.losses += reason == LOST
            case RunFinish() | RunError():
                self.state, self.terminal = State.DONE, event

    def add_delta(self, event: AnyEvent) -> None:
        """Fold in a piece of an answer. So much is done for each token, and no more."""
        if self.budget.bounded:
            self._deltas += 1
            self.budget.spend(1)
        if type(event) is ToolInputDelta:  # at half the price of isinstance
            self.used_ids.add(event.tool.id)
        self.transcript.add(event)

    def _finished(self, event: ModelFinished) -> None:
        self.budget.paid(event.usage)
        self._paid = True
        self.step_usage = event.usage
        if self.budget.bounded and event.usage.total_tokens:
            self.budget.spend(event.usage.total_tokens - self._deltas)
        self._deltas = 0
        if self._shaped and event.reason in ("stop", "tool-calls"):
            self.state = State.CHECK

    def _called(self, call: ToolRequest, wants: str | None) -> None:
        self.used_ids.add(call.id)
        if wants is not None:
            self.waiting[call.id] = wants
        # What a model says before it calls tools is no attempt at an answer.
        if self.state is not State.CHECK or not _looks_like_json(self.transcript.output):
            self.state = State.ACT

    def _answered(self, call_id: str) -> None:
        self.waiting.pop(call_id, None)
        self.deadlines.pop(call_id, None)

    def _returned(self, event: ToolResult) -> None:
        outcome = event.tool
        self._answered(outcome.id)
        if event.reason is None:  # else nobody let it run
            self._failures.add(outcome.name, ok=outcome.status == "ok")
        if outcome.status == "unknown":
            self._unknown = True
        else:
            self.losses = 0

    def _end_step(self) -> None:
        self.state = State.ASK
        self.retries = 0
        self._paid = False
        self.failed_tool = self._failures.end_step()
        if not self._unknown:
            self.losses = 0
        self._unknown = False

    def absorb(self, call_id: str, event: AnyEvent | None) -> None:
        """Count what a sub-agent has used, where its events are read back.

        Args:
            call_id: whose tool it is.
            event: one of its events.
        """
        match event:
            case Nested(call=inner, event=event):
                self.absorb(inner, event)
            case TextDelta() | ReasoningDelta() | OutputDelta() | ToolInputDelta():
                if isinstance(event, ToolInputDelta):
                    self.used_ids.add(event.tool.id)
                self._nested_deltas[call_id] = self._nested_deltas.get(call_id, 0) + 1
                if self.budget.bounded:
                    self.budget.spend(1)
            case ToolCall(tool=call):
                self.used_ids.add(call.id)
            case StepStart() | StepDiscard():  # An attempt before may have been cut short.
                self._nested_deltas.pop(call_id, None)
            case ModelFinished(usage=usage):
                deltas = self._nested_deltas.pop(call_id, 0)
                self.budget.usage += usage
                if self.budget.bounded and usage.total_tokens:
                    self.budget.spend(usage.total_tokens - deltas)


def _call_ids(messages: Iterable[AnyMessage]) -> Iterable[str]:
    for message in messages:
        if isinstance(message, AssistantMessage):
            for call in message.tool_calls:
                yield call.id


def _looks_like_json(text: str) -> bool:
    # Some models put a fence around it, which whoever reads it takes off.
    return is_json(text) or text.lstrip().startswith("```")
