"""What an agent does next: a pure function of what happened.

The machine holds the whole truth about one run, or about one sub-agent in it. Tell it what
happened and it returns the events to publish; ask it for `action` and it says what to do. It knows
no clock and does no I/O: times come in as `at` (Unix milliseconds), so that a run can be replayed
to the letter. Its states stand in `states`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeVar

import attrs
import msgspec

from .._content import File
from .._events import (
    AnyEvent,
    ErrorDetail,
    FinishReason,
    ModelFinished,
    OutputRetry,
    RunError,
    RunFinish,
    RunStart,
    RunSummary,
    StepFinish,
    StepStart,
    ToolCall,
    ToolOutcome,
    ToolResult,
    Usage,
)
from .._log.plain import plain_text, read_json
from .._messages import AnyMessage, AssistantMessage
from ..models._parts import (
    MAX_CALLS,
    EmittedPart,
    ModelFinish,
    SwitchPart,
)
from .budget import Budget
from .failures import Failures
from .kept import wanted_back
from .result import Result, result_of
from .speech import Speech
from .states import TRANSITIONS, Action, AskModel, CheckOutput, Input, RunTools, State
from .transcript import Transcript

_E = TypeVar("_E", bound=AnyEvent)


@attrs.frozen
class Expected:
    """What a machine must know of the shape that an answer is to have."""

    wrapped: bool = False
    """Whether the model writes it into the field `output` of an object."""
    retries: int = 0
    """As `Limits.output_retries`."""


class Machine:
    """One run.

    Args:
        run_id: names it.
        agent: the name of the agent.
        messages: what was said before.
        max_steps: model calls at most; the tools of the last one still run.
        max_tokens: tokens at most, over all steps, None for no budget. While an answer streams,
            each delta counts as one token; the provider's number replaces that if it tells one.
        tool_retries: as `Limits` has them.
        output: the shape that the answer is to have, as the machine must know it.
        parent: of a sub-agent: in which call of which machine it is.
    """

    def __init__(
        self,
        run_id: str,
        agent: str,
        messages: Sequence[AnyMessage],
        *,
        max_steps: int,
        max_tokens: int | None = None,
        tool_retries: int | None = None,
        output: Expected | None = None,
        parent: "tuple[Machine, str] | None" = None,
    ) -> None:
        self.state = State.START
        self.step = 0
        self.terminal: RunFinish | RunError | None = None
        self._run_id = run_id
        self._agent = agent
        self._max_steps = max_steps
        self.budget: Budget = Budget(max_tokens, None if parent is None else parent[0].budget)
        """What it has used, and may use."""
        self._failures = Failures(tool_retries)
        self._output = output
        self._output_failures = 0
        self._speech = Speech(
            _call_ids(messages),
            # So that an id names one call in the log, at whatever depth.
            prefix="" if parent is None else f"{parent[1]}/",
            wrapped=output is not None and output.wrapped,
        )
        self._transcript = Transcript(messages)
        self._deltas = 0
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
            case State.CHECK:
                return CheckOutput(self._transcript.answer, self._speech.unwrapped)
            case State.ACT:
                return RunTools(self._transcript.calls)
            case _:
                return None

    @property
    def done(self) -> bool:
        """Whether the terminal event was returned."""
        return self.state is State.DONE

    @property
    def result(self) -> Result[Any] | None:
        """What came of the run, once it finished or failed; None before."""
        if self.terminal is None:
            return None
        shaped = self._output is not None
        return result_of(self._run_id, self.terminal, self._transcript, shaped=shaped)

    def started(self, at: int) -> list[AnyEvent]:
        """The run begins."""
        self._move(Input.STARTED)
        return [RunStart(at=at, run_id=self._run_id, agent=self._agent)]

    def asked(self, at: int) -> list[AnyEvent]:
        """The model is being called."""
        self._move(Input.ASKED)
        self.step += 1
        self._speech.begin(self.step)
        return [self._told(StepStart(at=at, step_number=self.step))]

    def said(self, parts: Sequence[EmittedPart], at: int) -> list[AnyEvent]:
        """The model emitted these parts. What it says after its budget is spent is dropped."""
        events: list[AnyEvent] = []
        if self.state is not State.ANSWER:  # where the table leads back to, for each token
            if self.done:
                return events
            self._move(Input.SAID)
        speech = self._speech
        for part in parts:
            if isinstance(part, SwitchPart):
                events.append(speech.switch(part, at))
                continue
            event = speech.event_of(part, at)
            if event is not None:
                events.append(self._told(event))
                self._deltas += 1
                if self.budget.bounded:
                    self.budget.spend(1)
                    events += self._check_budget(at)
            if speech.calls > MAX_CALLS and self.terminal is None:
                message = f"the model asked for more than {MAX_CALLS} tools at once"
                events += self.fail("too-many-calls", message, at)
            if self.terminal is not None:
                break
        return events

    def answered(self, finish: ModelFinish, at: int) -> list[AnyEvent]:
        """The model's answer is complete.

        The first event is a `ModelFinished`, beside which `wanted_back` is to be kept.
        """
        self.budget.paid(finish.usage)
        self._step_usage = finish.usage
        if self.budget.bounded and finish.usage.total_tokens:
            self.budget.spend(finish.usage.total_tokens - self._deltas)
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

    def _after_answer(self, finish: ModelFinish, at: int) -> list[AnyEvent]:
        if finish.reason == "content-filter":
            return self.fail("content-filter", "the provider's filter stopped the answer", at)
        if finish.reason == "length":
            # The last call may have been cut short, so that none of them is run.
            self._speech.take_calls()
            return [self._step_finish(at), *self.finish("length", at)]
        calls = self._speech.take_calls()
        if not calls and finish.reason == "tool-calls":
            return self.fail("bad-response", "the model named no tool that it wants to call", at)
        events: list[AnyEvent] = [self._told(ToolCall(at=at, tool=call)) for call in calls]
        if self._output is not None and (not calls or self._transcript.output):
            self._move(Input.ANSWERED_WITH_OUTPUT)
            return events
        if not calls:
            self._move(Input.ANSWERED)
            return [self._step_finish(at), self._finished("stop", None, at)]
        self._move(Input.ANSWERED_WITH_CALLS)
        return events + self._check_budget(at)

    def accepted(self, output: Any, at: int) -> list[AnyEvent]:
        """The answer has its shape: it ends the run, and open calls with it.

        Args:
            output: its JSON value.
            at: the time.
        """
        events = self._answer_open_calls("not started: the answer was given beside it", at)
        self._move(Input.ACCEPTED)
        return [*events, self._step_finish(at), self._finished("stop", None, at, output)]

    def refused(self, message: str, at: int) -> list[AnyEvent]:
        """The answer does not have its shape; `message` tells the model what to correct."""
        assert self._output is not None, "only what was asked for can be missing"
        events: list[AnyEvent] = []
        # What a model says before it calls tools is no attempt at an answer.
        if not self._transcript.calls or _is_json(self._transcript.answer):
            self._output_failures += 1
            message = plain_text(message)
            if self._output_failures > self._output.retries:
                return self.fail("output-invalid", message, at)
            events.append(self._told(OutputRetry(at=at, message=message)))
        if self._transcript.calls:
            self._move(Input.REFUSED_WITH_CALLS)
            return events + self._check_budget(at)
        self._move(Input.REFUSED)
        return [*events, *self._end_step(at)]

    def abandoned(self, call_id: str) -> None:
        """Nobody waits for the end of this call any more: it is answered as `unknown`."""
        self._abandoned.add(call_id)

    def returned(
        self,
        call_id: str,
        status: Literal["ok", "error", "unknown"],
        output: Any,
        at: int,
        files: tuple[File, ...] = (),
    ) -> list[AnyEvent]:
        """A tool returned."""
        result = self._answer_call(call_id, status, output, at, files)
        self._failures.add(result.tool.name, ok=status == "ok")
        if self._transcript.calls:
            self._move(Input.RETURNED)
            return [result]
        self._move(Input.RETURNED_LAST)
        failure = self._failures.end_step()
        events: list[AnyEvent] = [result, *self._end_step(at)]
        if failure is not None and not self.done:
            events += self.fail("tool-retries", failure, at)
        return events

    def _end_step(self, at: int) -> list[AnyEvent]:
        events: list[AnyEvent] = [self._step_finish(at)]
        if self.step == self._max_steps:
            return events + self.finish("max-steps", at)
        # A sub-agent may have spent what was left.
        return events + self._check_budget(at)

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
        self.terminal = self._told(RunError(at=at, error=error, usage=self.budget.usage))
        return [*events, self.terminal]

    def _close(self, at: int) -> list[AnyEvent]:
        events = self._answer_open_calls("cancelled before it finished", at)
        self._move(Input.CLOSED)
        return events

    def _answer_open_calls(self, why: str, at: int) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        for call in self._transcript.calls:
            if call.id in self._abandoned:
                output = "nobody waited for the end of this call: its outcome is unknown"
                events.append(self._answer_call(call.id, "unknown", output, at))
            else:
                events.append(self._answer_call(call.id, "cancelled", why, at))
        return events

    def _answer_call(
        self,
        call_id: str,
        status: Literal["ok", "error", "cancelled", "unknown"],
        output: Any,
        at: int,
        files: tuple[File, ...] = (),
    ) -> ToolResult:
        calls = {call.id: call for call in self._transcript.calls}
        assert call_id in calls, "a call has one result"
        call = calls[call_id]
        outcome = ToolOutcome(call.id, call.name, call.input, output, status, files)
        return self._told(ToolResult(at=at, tool=outcome))

    def _told(self, event: _E) -> _E:
        self._transcript.add(event)
        return event

    def _check_budget(self, at: int) -> list[AnyEvent]:
        if not self.budget.bounded or (bound := self.budget.exhausted) is None:
            return []
        return self.finish("budget", at, reason=f"the budget of {bound} tokens is spent")

    def _step_finish(self, at: int) -> StepFinish:
        return self._told(StepFinish(at=at, step_number=self.step, usage=self._step_usage))

    def _finished(
        self, finish_reason: FinishReason, reason: str | None, at: int, output: Any = msgspec.UNSET
    ) -> RunFinish:
        summary = RunSummary(
            self._run_id,
            self._transcript.text,
            self.step,
            finish_reason,
            self.budget.usage,
            None if reason is None else plain_text(reason),
            self.budget.own_usage,
            output,
        )
        self.terminal = self._told(RunFinish(at=at, run=summary))
        return self.terminal

    def _move(self, event: Input) -> None:
        self.state = TRANSITIONS[self.state, event]


def _call_ids(messages: Sequence[AnyMessage]) -> Iterator[str]:
    for message in messages:
        if isinstance(message, AssistantMessage):
            for call in message.tool_calls:
                yield call.id


def _is_json(text: str) -> bool:
    try:
        read_json(text)
    except (ValueError, RecursionError):
        return False
    return True
