"""The lines of a terminal, which an agent and its sub-agents share.

- A line belongs to one speaker until it ends. What others say meanwhile waits for its end, but for
  lines of their own, which end it: so speakers take turns by lines and not by words.
- The words of a sub-agent are indented, and its name stands over them where it was not the last
  to speak.
- On a terminal, a status stands in the last line until something else is written.
"""

import shutil
import unicodedata
from typing import Final, TextIO

import attrs

_INDENT: Final = "  "
_DEEPEST: Final = 8
"""Levels that are indented: a narrow column can't be read."""
_NAME: Final = "1;2"


@attrs.define(eq=False)
class Speaker:
    """Somebody who says something: the run's agent at depth 0, its sub-agents below."""

    name: str = ""
    depth: int = 0
    in_line: bool = False
    """Whether what it said last has not ended its line."""
    waiting: list[tuple[str, str | None]] = attrs.field(factory=list)
    """What it says, and in which colour, while the line is another's."""


class Lines:
    """Writes what speakers say. Their text has to be fit for a terminal."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.terminal: bool = file.isatty()
        self._last: Speaker | None = None
        self._waiting: list[Speaker] = []
        self._has_status = False

    @property
    def _is_open(self) -> bool:
        return self._last is not None and self._last.in_line

    def flow(self, speaker: Speaker, text: str, colour: str | None = None) -> None:
        """Say a piece of text, perhaps of a line. Later, if the line is another's."""
        if not text:
            return
        if self._is_open and speaker is not self._last:
            if not speaker.waiting:
                self._waiting.append(speaker)
            speaker.waiting.append((text, colour))
            speaker.in_line = not text.endswith("\n")
            return
        self._say(speaker, text, colour)
        while self._waiting and not self._is_open:
            self._let_speak(self._waiting[0])

    def line(self, speaker: Speaker, text: str, colour: str | None = None) -> None:
        """Say a line, now."""
        self.end_line(speaker)
        self._say(speaker, text if text.endswith("\n") else f"{text}\n", colour)

    def end_line(self, speaker: Speaker) -> None:
        """End the open line, and say what the speaker has waiting."""
        self._end_open()
        if speaker.waiting:
            self._let_speak(speaker)
            self._end_open()

    def status(self, text: str) -> None:
        """Show what is so at the moment: in the last line of a terminal, nowhere else."""
        if self.terminal and not self._is_open:
            self._write(f"\r{_cut(text, shutil.get_terminal_size().columns - 1)}\x1b[K")
            self._has_status = True

    def _end_open(self) -> None:
        if self._last is not None and self._is_open:
            self._say(self._last, "\n")

    def _let_speak(self, speaker: Speaker) -> None:
        self._waiting.remove(speaker)
        waiting, speaker.waiting, speaker.in_line = speaker.waiting, [], False
        for text, colour in waiting:
            self._say(speaker, text, colour)

    def _say(self, speaker: Speaker, text: str, colour: str | None = None) -> None:
        written = ""
        if self._has_status:
            written = "\r\x1b[K"
            self._has_status = False
        indent = _INDENT * min(speaker.depth, _DEEPEST)
        if speaker.depth and speaker is not self._last:
            written += f"{indent}{self._coloured(speaker.name, _NAME)}:\n"
            speaker.in_line = False
        self._last = speaker
        *lines, rest = text.split("\n")
        for line in lines:
            written += self._piece(speaker, line, indent, colour) + "\n"
            speaker.in_line = False
        written += self._piece(speaker, rest, indent, colour)
        self._write(written)

    def _piece(self, speaker: Speaker, text: str, indent: str, colour: str | None) -> str:
        if not text:
            return ""
        begins, speaker.in_line = not speaker.in_line, True
        return (indent if begins else "") + self._coloured(text, colour)

    def _coloured(self, text: str, colour: str | None) -> str:
        return text if colour is None or not self.terminal else f"\x1b[{colour}m{text}\x1b[0m"

    def _write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()


def _cut(text: str, columns: int) -> str:
    """Return as much as fits: what is longer could not be taken back."""
    for place, char in enumerate(text):
        columns -= 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if columns < 0:
            return text[:place]
    return text
