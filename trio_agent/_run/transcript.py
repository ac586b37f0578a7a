"""The transcript of a run is a fold of its events."""

from collections.abc import Mapping, Sequence
from typing import Any

from .._events import (
    AnyEvent,
    ModelFinished,
    OutputDelta,
    OutputRetry,
    ReasoningDelta,
    RunError,
    RunFinish,
    StepDiscard,
    StepFinish,
    StepStart,
    TextDelta,
    ToolCall,
    ToolOutcome,
    ToolRequest,
    ToolResult,
    UserSaid,
)
from .._messages import AnyMessage, AssistantMessage, ToolMessage, UserMessage
from ..tools._output import output_text


class Transcript:
    """Messages that grow by a step at a time, every tool call paired with its result.

    Args:
        messages: what was said before the run.
    """

    def __init__(self, messages: Sequence[AnyMessage] = ()) -> None:
        self.messages: tuple[AnyMessage, ...] = tuple(messages)
        """Up to the last step that has ended."""
        self.before: int = 0
        """How many of them were said in the run's thread before it."""
        self.steps: int = 0
        """How often the model was asked."""
        self._given = len(self.messages)
        self._said: list[str] = []
        self._in_step = False
        self._step_began = 0
        self._thought: list[str] = []
        self._output: list[str] = []
        # What is told to the model behind the step: corrections, and what the user said meanwhile.
        self._told: list[UserMessage] = []
        self._provider: Mapping[str, Any] = {}
        self._calls: list[ToolRequest] = []
        self._outcomes: dict[str, ToolOutcome] = {}

    @property
    def text(self) -> str:
        """All that the model has said in this run."""
        return "".join(self._said)

    @property
    def output(self) -> str:
        """The JSON text of this step's answer, if it was to have a shape."""
        return "".join(self._output)

    @property
    def answer(self) -> str:
        """What this step's answer is to be read from: its JSON text, or what the model said."""
        return self.output or "".join(self._said[self._step_began :])

    @property
    def added(self) -> tuple[AnyMessage, ...]:
        """What the run adds to its thread: nothing if the model has said nothing."""
        if any(isinstance(each, AssistantMessage) for each in self.messages[self._given :]):
            return self.messages[self.before :]
        return ()

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
            case OutputDelta():
                self._output.append(event.delta)
            case OutputRetry():
                self._told.append(UserMessage(event.message))
            case UserSaid():
                self._told.append(UserMessage(event.content))
                if not self._in_step:
                    self._take_told()
            case ReasoningDelta():
                self._thought.append(event.delta)
            case StepStart():
                self.steps += 1
                self._in_step = True
            case StepDiscard():
                self.steps -= 1
                del self._said[self._step_began :]
                self._begin_anew()
            case ModelFinished():
                self._provider = provider or {}
            case ToolCall(tool=call):
                self._calls.append(call)
            case ToolResult(tool=outcome):
                self._outcomes[outcome.id] = outcome
            case StepFinish() | RunFinish() | RunError():
                self._end_step()

    def _end_step(self) -> None:
        said = "".join(self._said[self._step_began :])
        text = f"{said}\n{self.output}" if said and self.output else said or self.output
        calls, thought = tuple(self._calls), "".join(self._thought)
        if text or calls or self._provider:
            self.messages += (AssistantMessage(text, calls, thought, self._provider),)
        for call in calls:
            outcome = self._outcomes[call.id]
            content = output_text(outcome.output)
            self.messages += (ToolMessage(call.id, content, outcome.status, outcome.files),)
        self._take_told()
        self._begin_anew()

    def _take_told(self) -> None:
        self.messages += tuple(self._told)
        self._told.clear()

    def _begin_anew(self) -> None:
        self._in_step = False
        self._step_began = len(self._said)
        self._thought.clear()
        self._output.clear()
        self._provider = {}
        self._calls.clear()
        self._outcomes.clear()
