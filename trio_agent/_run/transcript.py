"""The transcript of a run is a fold of its events."""

from collections.abc import Sequence

from .._events import (
    AnyEvent,
    RunError,
    RunFinish,
    StepFinish,
    TextDelta,
    ToolCall,
    ToolOutcome,
    ToolRequest,
    ToolResult,
)
from .._messages import AnyMessage, AssistantMessage, ToolMessage
from ..tools._tool import output_text


class Transcript:
    """Messages that grow by a step at a time, every tool call paired with its result.

    Args:
        messages: what was said before the run.
    """

    def __init__(self, messages: Sequence[AnyMessage] = ()) -> None:
        self.messages: tuple[AnyMessage, ...] = tuple(messages)
        """Up to the last step that has ended."""
        self._said: list[str] = []
        self._step_began = 0
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

    def add(self, event: AnyEvent) -> None:
        """Fold in the next event of the run."""
        match event:
            case TextDelta():
                self._said.append(event.delta)
            case ToolCall(tool=call):
                self._calls.append(call)
            case ToolResult(tool=outcome):
                self._outcomes[outcome.id] = outcome
            case StepFinish() | RunFinish() | RunError():
                self._end_step()

    def _end_step(self) -> None:
        text = "".join(self._said[self._step_began :])
        if text or self._calls:
            self.messages += (AssistantMessage(text, tuple(self._calls)),)
        for call in self._calls:
            outcome = self._outcomes[call.id]
            content = output_text(outcome.output)
            self.messages += (ToolMessage(call.id, content, outcome.status),)
        self._step_began = len(self._said)
        self._calls.clear()
        self._outcomes.clear()
