"""Events in a form that a person likes to read in a terminal."""

from typing import Final, TextIO

import msgspec

from trio_agent import (
    AnyEvent,
    ModelSwitch,
    ReasoningDelta,
    RunError,
    RunFinish,
    RunStart,
    StepStart,
    TextDelta,
    ToolCall,
    ToolInputDelta,
    ToolResult,
)

from ._text import printable

_BOLD, _DIM, _CYAN, _GREEN, _RED, _YELLOW = "1", "2", "36", "32", "31", "33"
_STATUS: Final = {"ok": _GREEN, "error": _RED, "cancelled": _YELLOW, "unknown": _YELLOW}


class Renderer:
    """Writes text and reasoning as they flow, and everything else on lines of its own.

    Colours appear on a terminal only. Control characters of a model or a tool are never written.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._colours = file.isatty()
        self._in_line = False
        self._thinking = False
        self._started = 0
        self._first: int | None = None
        self._step_first: int | None = None
        self._last = 0
        self._speaking = 0
        self._deltas = 0
        self.tool_calls = 0

    def heading(self, text: str) -> None:
        """Show what the user says."""
        self._line(text, _BOLD)

    def note(self, text: str) -> None:
        """Say something about what is going on."""
        self._line(f"-- {text}", _YELLOW)

    def show(self, event: AnyEvent) -> None:
        """Show an event."""
        match event:
            case RunStart(at=at):
                self._started = at
            case TextDelta(at=at, delta=delta):
                self._count(at)
                self._flow(printable(delta), thinking=False)
            case ReasoningDelta(at=at, delta=delta):
                self._count(at)
                self._flow(printable(delta), thinking=True)
            case ToolInputDelta(at=at):
                self._count(at)
            case ToolCall(tool=tool):
                self.tool_calls += 1
                self._line(f"-> {tool.name}({_compact(tool.input)})", _CYAN)
            case ToolResult(tool=tool):
                colour = _STATUS.get(tool.status, _DIM)
                self._line(f"<- {tool.status}: {_compact(tool.output)}", colour)
            case ModelSwitch(from_=before, to=to, error=error):
                self._line(f"[{before} -> {to}: {error.code}: {error.message}]", _DIM)
            case StepStart():
                self._end_line()
                self._step_first = None
            case RunFinish(run=run):
                reason = f" ({run.reason})" if run.reason else ""
                self._line(f"[{run.finish_reason}{reason}: {run.steps} steps]", _DIM)
            case RunError(error=error):
                self._line(f"[{error.code}: {printable(error.message)}]", _RED)

    def speed(self) -> str:
        """Tell the time to the first token, and tokens per second while the model spoke.

        Each delta counts as one token. Times are those of the events, so that it does not
        matter when they were received.
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

    def _flow(self, text: str, *, thinking: bool) -> None:
        if thinking != self._thinking:
            self._end_line()
            self._thinking = thinking
        self._write(text, _DIM if thinking else None)

    def _line(self, text: str, colour: str) -> None:
        self._end_line()
        self._write(printable(text), colour)
        self._end_line()

    def _end_line(self) -> None:
        if self._in_line:
            self._write("\n")

    def _write(self, text: str, colour: str | None = None) -> None:
        if text:
            self._in_line = not text.endswith("\n")
        if self._colours and colour is not None:
            text = f"\x1b[{colour}m{text}\x1b[0m"
        self._file.write(text)
        self._file.flush()


def _compact(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
