"""What an agent does next: a pure function of what happened.

The machine holds the whole truth about one run. Tell it what happened and it returns the events
to publish; ask it for `action` and it says what to do. It knows no clock and does no I/O: times
come in as `at` (Unix milliseconds), so that a run can be replayed to the letter.

::

    START -> ASK -> ANSWER -> ACT -> ASK -> ... -> DONE

`ASK`: the model is to be called. `ANSWER`: it speaks. `ACT`: the tools that it asked for run.
`DONE`: the terminal event was returned; from every other state, `finish` and `fail` lead here.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, TypeVar

import attrs

from .._events import (
    AnyEvent,
    ErrorDetail,
    FinishReason,
    ModelFinished,
    ModelSwitch,
    ReasoningDelta,
    RunError,
    RunFinish,
    RunStart,
    RunSummary,
    StepFinish,
    StepStart,
    TextDelta,
    ToolCall,
    ToolInputDelta,
    ToolName,
    ToolOutcome,
    ToolRequest,
    ToolResult,
    Usage,
)
from .._log.plain import plain_text
from .._messages import AnyMessage, AssistantMessage
from ..models._parts import (
    MAX_CALLS,
    EmittedPart,
    ModelFinish,
    ModelPart,
    ReasoningPart,
    SwitchPart,
    TextPart,
    ToolInputPart,
)
from .kept import wanted_back
from .open_call import OpenCall
from .result import Result, result_of
from .transcript import Transcript

_E = TypeVar("_E", bound=AnyEvent)


class State(enum.Enum):
    """Where a run is."""

    START = "start"
    ASK = "ask"
    ANSWER = "answer"
    ACT = "act"
    DONE = "done"


class Input(enum.Enum):
    """What can happen to a run."""

    STARTED = "started"
    ASKED = "asked"
    SAID = "said"
    ANSWERED = "answered"
    ANSWERED_WITH_CALLS = "answered with calls"
    RETURNED = "returned"
    RETURNED_LAST = "returned last"
    CLOSED = "closed"


TRANSITIONS: Final[Mapping[tuple[State, Input], State]] = {
    (State.START, Input.STARTED): State.ASK,
    (State.ASK, Input.ASKED): State.ANSWER,
    (State.ANSWER, Input.SAID): State.ANSWER,
    (State.ANSWER, Input.ANSWERED): State.DONE,
    (State.ANSWER, Input.ANSWERED_WITH_CALLS): State.ACT,
    (State.ACT, Input.RETURNED): State.ACT,
    (State.ACT, Input.RETURNED_LAST): State.ASK,
    (State.START, Input.CLOSED): State.DONE,
    (State.ASK, Input.CLOSED): State.DONE,
    (State.ANSWER, Input.CLOSED): State.DONE,
    (State.ACT, Input.CLOSED): State.DONE,
}
"""Everything that may happen. What is not in the table is a bug in the caller."""


@attrs.frozen
class AskModel:
    """Call the model with these messages."""

    messages: tuple[AnyMessage, ...]


@attrs.frozen
class RunTools:
    """Run these calls side by side."""

    calls: tuple[ToolRequest, ...]


Action: TypeAlias = AskModel | RunTools | None
"""What to do next; None if it is for the caller to wait, or if all is done."""


class Machine:
    """One run.

    Args:
        max_steps: model calls at most; the tools of the last one still run.
        max_tokens: tokens at most, over all steps, None for no budget. While an answer streams,
            each delta counts as one token; the provider's number replaces that if it tells one.
    """

    def __init__(
        self,
        run_id: str,
        agent: str,
        messages: Sequence[AnyMessage],
        *,
        max_steps: int,
        max_tokens: int | None = None,
    ) -> None:
        self.state = State.START
        self.step = 0
        self.usage = Usage()
        self.terminal: RunFinish | RunError | None = None
        self._run_id = run_id
        self._agent = agent
        self._max_steps = max_steps
        self._max_tokens = max_tokens
        self._transcript = Transcript(messages)
        self._spent = 0
        self._deltas = 0
        self._open: dict[str, OpenCall] = {}
        # What was said before counts, too: providers refuse a transcript that has an id twice.
        self._call_ids: set[str] = {
            call.id
            for message in messages
            if isinstance(message, AssistantMessage)
            for call in message.tool_calls
        }
        self._abandoned: set[str] = set()
        self._step_usage = Usage()

    @property
    def messages(self) -> tuple[AnyMessage, ...]:
        """The transcript, up to the last step that has ended."""
        return self._transcript.messages

    @property
    def action(self) -> Action:
        """What to do next. Asking changes nothing."""
        match self.state:
            case State.ASK:
                return AskModel(self.messages)
            case State.ACT:
                return RunTools(self._transcript.calls)
            case _:
                return None

    @property
    def done(self) -> bool:
        """Whether the terminal event was returned."""
        return self.state is State.DONE

    @property
    def result(self) -> Result | None:
        """What came of the run, once it finished or failed; None before."""
        if self.terminal is None:
            return None
        return result_of(self._run_id, self.terminal, self._transcript)

    def started(self, at: int) -> list[AnyEvent]:
        """The run begins."""
        self._move(Input.STARTED)
        return [RunStart(at=at, run_id=self._run_id, agent=self._agent)]

    def asked(self, at: int) -> list[AnyEvent]:
        """The model is being called."""
        self._move(Input.ASKED)
        self.step += 1
        return [self._told(StepStart(at=at, step_number=self.step))]

    def said(self, parts: Sequence[EmittedPart], at: int) -> list[AnyEvent]:
        """The model emitted these parts. What it says after its budget is spent is dropped."""
        events: list[AnyEvent] = []
        if self.state is not State.ANSWER:  # where the table leads back to, for each token
            if self.done:
                return events
            self._move(Input.SAID)
        for part in parts:
            if isinstance(part, SwitchPart):
                events.append(self._switched(part, at))
                continue
            event = self._event_of(part, at)
            if event is not None:
                events.append(event)
                self._deltas += 1
                if self._max_tokens is not None:
                    events += self._check_budget(at)
            if len(self._open) > MAX_CALLS and not self.done:
                message = f"the model asked for more than {MAX_CALLS} tools at once"
                events += self.fail("too-many-calls", message, at)
            if self.done:
                break
        return events

    def _event_of(self, part: ModelPart, at: int) -> AnyEvent | None:
        delta = part.delta
        if not delta.isascii():  # else it is plain, and this is done for each token
            delta = plain_text(delta)
        match part:
            case TextPart():
                if not delta:
                    return None
                return self._told(TextDelta(at=at, delta=delta))
            case ReasoningPart():
                return self._told(ReasoningDelta(at=at, delta=delta)) if delta else None
            case ToolInputPart(id, name):
                call = self._open.get(id)
                if call is None:
                    call = self._open[id] = OpenCall(self._unique(plain_text(id)), plain_text(name))
                if not delta:
                    return None
                call.fragments.append(delta)
                return ToolInputDelta(at=at, tool=ToolName(call.id, call.name), delta=delta)

    def _switched(self, part: SwitchPart, at: int) -> ModelSwitch:
        from_, to = plain_text(part.from_model), plain_text(part.to_model)
        code, message = plain_text(part.code), plain_text(part.message)
        error = ErrorDetail(code, message)
        return ModelSwitch(at=at, step_number=self.step, from_=from_, to=to, error=error)

    def _unique(self, call_id: str) -> str:
        # Some providers count calls anew in each answer; in a run an id names one call.
        unique, number = call_id, self.step
        while unique in self._call_ids:
            unique = f"{call_id}-{number}"
            number += 1
        self._call_ids.add(unique)
        return unique

    def answered(self, finish: ModelFinish, at: int) -> list[AnyEvent]:
        """The model's answer is complete.

        The first event is a `ModelFinished`, beside which `wanted_back` is to be kept.
        """
        self.paid(finish.usage)
        self._step_usage = finish.usage
        self._spent += finish.usage.total_tokens or self._deltas
        self._deltas = 0
        event = ModelFinished(
            at=at,
            step_number=self.step,
            model=plain_text(finish.model),
            reason=finish.reason,
            usage=finish.usage,
        )
        self._transcript.add(event, wanted_back(finish))
        return [event, *self._after_answer(finish, at)]

    def paid(self, usage: Usage) -> None:
        """An answer cost this, whatever becomes of it."""
        self.usage += usage

    def _after_answer(self, finish: ModelFinish, at: int) -> list[AnyEvent]:
        if finish.reason == "content-filter":
            return self.fail("content-filter", "the provider's filter stopped the answer", at)
        if finish.reason == "length":
            # The last call may have been cut short, so that none of them is run.
            self._open.clear()
            return [self._step_finish(at), *self.finish("length", at)]
        if not self._open and finish.reason == "tool-calls":
            return self.fail("bad-response", "the model named no tool that it wants to call", at)
        if not self._open:
            self._move(Input.ANSWERED)
            return [self._step_finish(at), self._finished("stop", None, at)]
        calls = [call.as_request() for call in self._open.values()]
        self._open.clear()
        self._move(Input.ANSWERED_WITH_CALLS)
        events: list[AnyEvent] = [self._told(ToolCall(at=at, tool=call)) for call in calls]
        return events + self._check_budget(at)

    def abandoned(self, call_id: str) -> None:
        """Nobody waits for the end of this call any more: it is answered as `unknown`."""
        self._abandoned.add(call_id)

    def returned(
        self, call_id: str, status: Literal["ok", "error", "unknown"], output: Any, at: int
    ) -> list[AnyEvent]:
        """A tool returned."""
        result = self._answer_call(call_id, status, output, at)
        if self._transcript.calls:
            self._move(Input.RETURNED)
            return [result]
        self._move(Input.RETURNED_LAST)
        events: list[AnyEvent] = [result, self._step_finish(at)]
        if self.step == self._max_steps:
            events += self.finish("max-steps", at)
        return events

    def finish(
        self, finish_reason: FinishReason, at: int, *, reason: str | None = None
    ) -> list[AnyEvent]:
        """End the run in good order. Open calls are answered first."""
        events = self._close(at)
        return [*events, self._finished(finish_reason, reason, at)]

    def fail(self, code: str, message: str, at: int) -> list[AnyEvent]:
        """End the run with an error. Open calls are answered first."""
        events = self._close(at)
        code, message = plain_text(code), plain_text(message)
        error = ErrorDetail(code, message)
        self.terminal = self._told(RunError(at=at, error=error, usage=self.usage))
        return [*events, self.terminal]

    def _close(self, at: int) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        for call in self._transcript.calls:
            if call.id in self._abandoned:
                output = "nobody waited for the end of this call: its outcome is unknown"
                events.append(self._answer_call(call.id, "unknown", output, at))
            else:
                output = "cancelled before it finished"
                events.append(self._answer_call(call.id, "cancelled", output, at))
        self._move(Input.CLOSED)
        return events

    def _answer_call(
        self,
        call_id: str,
        status: Literal["ok", "error", "cancelled", "unknown"],
        output: Any,
        at: int,
    ) -> ToolResult:
        calls = {call.id: call for call in self._transcript.calls}
        assert call_id in calls, "a call has one result"
        call = calls[call_id]
        outcome = ToolOutcome(call.id, call.name, call.input, output, status)
        return self._told(ToolResult(at=at, tool=outcome))

    def _told(self, event: _E) -> _E:
        self._transcript.add(event)
        return event

    def _check_budget(self, at: int) -> list[AnyEvent]:
        if self._max_tokens is None or self._spent + self._deltas < self._max_tokens:
            return []
        reason = f"the budget of {self._max_tokens} tokens is spent"
        return self.finish("budget", at, reason=reason)

    def _step_finish(self, at: int) -> StepFinish:
        return self._told(StepFinish(at=at, step_number=self.step, usage=self._step_usage))

    def _finished(self, finish_reason: FinishReason, reason: str | None, at: int) -> RunFinish:
        text = self._transcript.text
        reason = None if reason is None else plain_text(reason)
        summary = RunSummary(self._run_id, text, self.step, finish_reason, self.usage, reason)
        self.terminal = self._told(RunFinish(at=at, run=summary))
        return self.terminal

    def _move(self, event: Input) -> None:
        self.state = TRANSITIONS[self.state, event]
