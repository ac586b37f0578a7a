"""How calls, steps and runs end: the events of it, as they go into a story."""

from typing import Any, Literal, TypeVar

import msgspec

from .._content import File
from .._events import (
    AnyEvent,
    ErrorDetail,
    FinishReason,
    RunError,
    RunFinish,
    RunSummary,
    StepFinish,
    ToolAnswered,
    ToolName,
    ToolOutcome,
    ToolRequest,
    ToolResult,
)
from .._log.plain import plain_text
from .budget import Budget
from .items import Answer
from .story import Story

_E = TypeVar("_E", bound=AnyEvent)

_ABANDONED = "nobody waited for the end of this call: its outcome is unknown"


class Ends:
    """The ends in one run, or of one sub-agent.

    Args:
        run_id: names the run.
        story: what has happened so far; it grows by each event that is returned.
        budget: what is used.
    """

    def __init__(self, run_id: str, story: Story, budget: Budget) -> None:
        self._run_id = run_id
        self._story = story
        self._budget = budget
        self._abandoned: set[str] = set()

    def abandon(self, call_id: str) -> None:
        """Nobody waits for the end of this call any more: it is answered as `unknown`."""
        self._abandoned.add(call_id)

    def open_calls(self) -> dict[str, ToolRequest]:
        """Return the calls without a result, by their ids."""
        return {call.id: call for call in self._story.transcript.calls}

    def call(
        self,
        call_id: str,
        status: Literal["ok", "error", "cancelled", "unknown"],
        output: Any,
        at: int,
        *,
        files: tuple[File, ...] = (),
        reason: str | None = None,
    ) -> ToolResult:
        """End a call."""
        calls = self.open_calls()
        assert call_id in calls, "a call has one result"
        call = calls[call_id]
        outcome = ToolOutcome(call.id, call.name, call.input, output, status, files)
        return self.told(ToolResult(at=at, tool=outcome, reason=reason))

    def answer(self, answer: Answer, at: int) -> list[AnyEvent]:
        """Say that a call was answered; and end it, unless it is to be made now."""
        call = self.open_calls().get(answer.call_id)
        wanted = self._story.waiting.get(answer.call_id)
        event = ToolAnswered(
            at=at,
            tool=ToolName(answer.call_id, "" if call is None else call.name),
            approved=answer.approved,
            by=answer.by,
            reason=answer.reason,
        )
        events: list[AnyEvent] = [self.told(event)]
        if call is None or wanted is None:
            return events  # It is said all the same, for each item of an inbox is one event.
        if not answer.approved:
            why = "expired" if answer.expired else "denied"
            events.append(self.call(call.id, "error", _refusal(answer), at, reason=why))
        elif wanted != "approval":
            output = None if answer.output is msgspec.UNSET else answer.output
            events.append(self.call(call.id, "ok", output, at))
        return events

    def calls(self, why: str, at: int) -> list[AnyEvent]:
        """End all calls that are open."""
        return [
            self.call(call.id, "unknown", _ABANDONED, at)
            if call.id in self._abandoned
            else self.call(call.id, "cancelled", why, at)
            for call in self._story.transcript.calls
        ]

    def step(self, at: int) -> StepFinish:
        """End the step."""
        story = self._story
        return self.told(StepFinish(at=at, step_number=story.step, usage=story.step_usage))

    def run(
        self, finish_reason: FinishReason, reason: str | None, at: int, output: Any = msgspec.UNSET
    ) -> RunFinish:
        """End the run, which has no open calls."""
        summary = RunSummary(
            self._run_id,
            self._story.transcript.text,
            self._story.step,
            finish_reason,
            self._budget.usage,
            None if reason is None else plain_text(reason),
            self._budget.own_usage,
            output,
        )
        return self.told(RunFinish(at=at, run=summary))

    def finish(self, finish_reason: FinishReason, at: int, reason: str | None) -> list[AnyEvent]:
        """End the run in good order. Open calls are answered first."""
        assert self._story.terminal is None, "a run has one end"
        events = self.calls("cancelled before it finished", at)
        return [*events, self.run(finish_reason, reason, at)]

    def fail(self, code: str, message: str, at: int) -> list[AnyEvent]:
        """End the run with an error. Open calls are answered first."""
        assert self._story.terminal is None, "a run has one end"
        events = self.calls("cancelled before it finished", at)
        error = ErrorDetail(plain_text(code), plain_text(message))
        return [*events, self.told(RunError(at=at, error=error, usage=self._budget.usage))]

    def told(self, event: _E) -> _E:
        """Put an event into the story."""
        self._story.add(event)
        return event


def _refusal(answer: Answer) -> str:
    if answer.expired:
        return "nobody answered in time: the call was not made"
    told = "the user did not allow this call"
    return f"{told}: {answer.reason}" if answer.reason else told
