"""How fast a run's model spoke, by the times of its events: it does not matter when they came."""

from trio_agent import (
    AnyEvent,
    OutputDelta,
    ReasoningDelta,
    RunStart,
    StepStart,
    TextDelta,
    ToolInputDelta,
)


class Speed:
    """Counts the deltas of a run; those of its sub-agents are none of them."""

    def __init__(self) -> None:
        self._started = 0
        self._first: int | None = None
        self._step_first: int | None = None
        self._last = 0
        self._speaking = 0
        self._deltas = 0

    def add(self, event: AnyEvent) -> None:
        """Take an event."""
        match event:
            case RunStart(at=at):
                self._started = at
            case StepStart():
                self._step_first = None
            case TextDelta() | ReasoningDelta() | OutputDelta() | ToolInputDelta():
                self._count(event.at)

    def text(self) -> str:
        """Tell the time to the first token, and tokens per second while the model spoke.

        Each delta counts as one token.
        """
        if self._first is None:
            return "no token came"
        text = f"first token after {(self._first - self._started) / 1000:.2f} s"
        if self._speaking:
            text += f", {self._deltas * 1000 / self._speaking:.1f} tokens/s"
        return text

    def _count(self, at: int) -> None:
        if self._first is None:
            self._first = at
        if self._step_first is None:
            self._step_first = at
        else:
            self._speaking += at - self._last
            self._deltas += 1
        self._last = at
