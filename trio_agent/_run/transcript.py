"""The transcript of a run is a fold of its events."""

from collections.abc import Mapping, Sequence
from typing import Any

from .._events import (
    AnyEvent,
    ModelFinished,
    ReasoningDelta,
    RunError,
    RunFinish,
    StepFinish,
    StepStart,
    TextDelta,
    ToolCall,
    ToolOutcome,
    ToolRequest,
    ToolResult,
)
from .._messages import AnyMessage, AssistantMessage, ToolMessage
from ..tools._output import output_text


class Transcript:
    """Messages that grow by a step at a time, every tool call paired with its result.

    Args:
        messages: what was said before the run.
    """

    def __init__(self, messages: Sequence[AnyMessage] = ()) -> None:
        self.messages: tuple[AnyMessage, ...] = tuple(messages)
        """Up to the last step that has ended."""
        self.steps: int = 0
        """How often the model was asked."""
        self._said: list[str] = []
        self._step_began = 0
        self._thought: list[str] = []
        self._provider: Mapping[str, Any] = {}
        self._calls: list[ToolRequest] = []
        self._outcomes: dict[str, ToolOutcome] = {}

    @property
    def text(self) -> str:
        """All that the model has said in this run."""
        return "".join(self._said)

    @property
    def calls(self) -> tuple[ToolRequest, ...]:
        """The calls of this step that have no result yet."""
        return tuple(call for call in self._calls if call.id not in self._outcomes)

    def add(self, event: AnyEvent, provider: Mapping[str, Any] | None = None) -> None:
        """Fold in the next event of the run.

        Args:
            event: the event.
            provider: what is kept beside a `ModelFinished`, for `AssistantMessage.provider`.
        """
        match event:
            case TextDelta():
                self._said.append(event.delta)
            case ReasoningDelta():
                self._thought.append(event.delta)
            case StepStart():
                self.steps += 1
            case ModelFinished():
                self._provider = provider or {}
            case ToolCall(tool=call):
                self._calls.append(call)
            case ToolResult(tool=outcome):
                self._outcomes[outcome.id] = outcome
            case StepFinish() | RunFinish() | RunError():
                self._end_step()

    def _end_step(self) -> None:
        text = "".join(self._said[self._step_began :])
        calls, thought = tuple(self._calls), "".join(self._thought)
        if text or calls or self._provider:
            self.messages += (AssistantMessage(text, calls, thought, self._provider),)
        for call in calls:
            outcome = self._outcomes[call.id]
            content = output_text(outcome.output)
            self.messages += (ToolMessage(call.id, content, outcome.status),)
        self._step_began = len(self._said)
        self._thought.clear()
        self._provider = {}
        self._calls.clear()
        self._outcomes.clear()
