"""Events in a form that a person likes to read in a terminal.

Control characters of a model, a tool or an agent's name are never written.
"""

from typing import Any, Final, TextIO

import msgspec

from trio_agent import (
    AnyEvent,
    ModelSwitch,
    Nested,
    OutputDelta,
    OutputRetry,
    ReasoningDelta,
    RunContinued,
    RunError,
    RunFinish,
    RunStart,
    RunWaiting,
    StepDiscard,
    StepStart,
    TextDelta,
    ToolAnswered,
    ToolAsked,
    ToolCall,
    ToolProgress,
    ToolResult,
    UserSaid,
)

from ._asked import answered_line, asked_line, said_lines
from ._files import file_line
from ._lines import Lines, Speaker
from ._progress import progress_line
from ._speed import Speed
from ._text import printable, printable_line

_BOLD, _DIM, _CYAN, _GREEN, _RED, _YELLOW = "1", "2", "36", "32", "31", "33"
_STATUS: Final = {"ok": _GREEN, "error": _RED, "cancelled": _YELLOW, "unknown": _YELLOW}
_LONGEST_NAME: Final = 80


class Renderer:
    """Writes text, reasoning and output as they flow, and everything else on lines of its own.

    What a sub-agent does stands indented below the call that it is in. How far a call is shows
    while nothing else is written, on a terminal; what it said last stands over its result.
    Colours appear on a terminal only.
    """

    def __init__(self, file: TextIO) -> None:
        self._lines = Lines(file)
        self._root = Speaker()
        self._agents: dict[tuple[str, ...], Speaker] = {}
        """Sub-agents, by the ids of the calls that lead to them."""
        self._thinking: set[Speaker] = set()
        self._progress: dict[str, str] = {}
        """What each open call said last of how far it is."""
        self._written: dict[type[AnyEvent], list[str]] = {TextDelta: [], OutputDelta: []}
        """What the run's step has shown: its answer may be either."""
        self._speed = Speed()
        self.tool_calls = 0

    def heading(self, text: str) -> None:
        """Show what the user says."""
        self._line(self._root, text, _BOLD)

    def recall(self, text: str) -> None:
        """Show what was said before."""
        self._line(self._root, text, _DIM)

    def note(self, text: str) -> None:
        """Say something about what is going on."""
        self._line(self._root, f"-- {text}", _YELLOW)

    def show(self, event: AnyEvent) -> None:
        """Show an event, at whatever level it is. One that can't be read is left out."""
        self._speed.add(event)
        self.tool_calls += isinstance(event, ToolCall)
        self._check_output(event)
        path: tuple[str, ...] = ()
        while isinstance(event, Nested):
            path += (event.call,)
            inner = event.event
            if inner is None:
                return
            event = inner
        self._show(path, self._speaker(path, event), event)

    def speed(self) -> str:
        """Tell the time to the first token, and tokens per second while the model spoke."""
        return self._speed.text()

    def _check_output(self, event: AnyEvent) -> None:
        """Show the output at the end if it is another value than what was shown."""
        match event:
            case TextDelta(delta=delta) | OutputDelta(delta=delta):
                self._written[type(event)].append(delta)
            case RunStart() | StepStart() | StepDiscard() | OutputRetry():
                for pieces in self._written.values():
                    pieces.clear()
            case RunFinish(run=run) if run.output is not msgspec.UNSET:
                if run.output not in map(_meaning, self._written.values()):
                    self._line(self._root, msgspec.json.encode(run.output).decode(), _BOLD)

    def _speaker(self, path: tuple[str, ...], event: AnyEvent) -> Speaker:
        if not path:
            return self._root
        speaker = self._agents.get(path)
        if speaker is None:
            name = event.agent if isinstance(event, RunStart) else path[-1]
            name = printable_line(name[:_LONGEST_NAME])
            speaker = self._agents[path] = Speaker(name, len(path))
        return speaker

    def _show(self, path: tuple[str, ...], speaker: Speaker, event: AnyEvent) -> None:
        match event:
            case RunStart() if not path:
                self._close(())  # of a run that was left before its end
                self._progress.clear()
                self._lines.end_line(speaker)
            case TextDelta(delta=delta) | OutputDelta(delta=delta):
                self._flow(speaker, printable(delta), thinking=False)
            case ReasoningDelta(delta=delta):
                self._flow(speaker, printable(delta), thinking=True)
            case ToolCall(tool=tool):
                self._line(speaker, f"-> {tool.name}({_compact(tool.input)})", _CYAN)
            case ToolProgress(tool=tool, data=data):
                self._progress[tool.id] = line = progress_line(data)
                self._lines.status(f".. {printable_line(tool.name)} {line}")
            case ToolResult(tool=tool):
                self._close((*path, tool.id))
                if line := self._progress.pop(tool.id, ""):
                    self._line(speaker, f".. {line}", _DIM)
                colour = _STATUS.get(tool.status, _DIM)
                self._line(speaker, f"<- {tool.status}: {_compact(tool.output)}", colour)
                for file in tool.files:
                    self._line(speaker, f"   {file_line(file)}", colour)
            case OutputRetry(message=message):
                self._line(speaker, f"[this is no answer, it is asked again: {message}]", _DIM)
            case ModelSwitch(from_=before, to=to, error=error):
                self._line(speaker, f"[{before} -> {to}: {error.code}: {error.message}]", _DIM)
            case StepStart():
                self._lines.end_line(speaker)
            case StepDiscard(step_number=step, reason=reason):
                # What was printed can't be unprinted.
                text = f"taken back: what step {step} has said; it is asked again ({reason})"
                self._line(speaker, f"[{text}]", _YELLOW)
            case ToolAsked():
                self._line(speaker, asked_line(event), _YELLOW)
            case ToolAnswered():
                self._line(speaker, answered_line(event), _YELLOW)
            case UserSaid():
                for line in said_lines(event):
                    self._line(speaker, line, _BOLD)
            case RunWaiting(calls=calls):
                self._line(speaker, f"[waiting: {len(calls)} of its calls want an answer]", _DIM)
            case RunContinued(reason=reason):
                self._line(speaker, f"[goes on: {reason}]", _DIM)
            case RunFinish(run=run):
                reason = f" ({run.reason})" if run.reason else ""
                self._line(speaker, f"[{run.finish_reason}{reason}: {run.steps} steps]", _DIM)
            case RunError(error=error):
                self._line(speaker, f"[{error.code}: {error.message}]", _RED)

    def _close(self, path: tuple[str, ...]) -> None:
        """Let the sub-agents in a call that has ended say what they have not yet, and forget."""
        for ended in [at for at in self._agents if at[: len(path)] == path]:
            speaker = self._agents.pop(ended)
            self._thinking.discard(speaker)
            if speaker.waiting:
                self._lines.end_line(speaker)

    def _flow(self, speaker: Speaker, text: str, *, thinking: bool) -> None:
        if thinking != (speaker in self._thinking):
            self._thinking ^= {speaker}
            if speaker.in_line:
                self._lines.flow(speaker, "\n")
        self._lines.flow(speaker, text, _DIM if thinking else None)

    def _line(self, speaker: Speaker, text: str, colour: str) -> None:
        self._lines.line(speaker, printable(text), colour)


def _meaning(pieces: list[str]) -> Any:
    try:
        return msgspec.json.decode("".join(pieces))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return msgspec.UNSET


def _compact(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
