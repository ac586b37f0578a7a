"""The wrapper around an answer, taken off while it is streamed.

- Of ``{"output": VALUE}`` only VALUE is given on, at once, however the text is cut.
- Text that does not begin as the wrapper does is given on as it is: not all models wrap.
- Other fields behind the value are left out. Text behind the wrapper is given on with its last
  brace, so that nobody takes the whole for an answer.
- Each character is looked at once. What may be the wrapper's beginning is held back, nothing else.
"""

import re
from collections.abc import Callable
from typing import Final

_BEGIN: Final = '{"output":'
_BETWEEN_TOKENS: Final = frozenset({0, 1, len(_BEGIN) - 1})
_SPACE: Final = " \t\n\r"
_WRAPPED: Final = re.compile(r'[ \t\n\r]*\{[ \t\n\r]*"output"[ \t\n\r]*:')
_MARKS: Final = re.compile(r'\\.?|["{}\[\],]', re.DOTALL)


def was_unwrapped(text: str) -> bool:
    """Whether a wrapper was taken off this text: it begins with one still, that is its own."""
    return _WRAPPED.match(text) is not None


class Unwrapper:
    """Takes the wrapper off one text."""

    def __init__(self) -> None:
        self._held: list[str] = []
        self._begun = 0
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._past_value = False
        self._state: Callable[[str], str] = self._before

    def feed(self, delta: str) -> str:
        """Take the next piece of the text, and return what of it can be given on."""
        return self._state(delta) if delta else ""

    def flush(self) -> str:
        """Nothing more comes: return what was held back. It is no whole JSON."""
        held = "".join(self._held)
        self._held.clear()
        return held

    def _before(self, delta: str) -> str:
        for place, char in enumerate(delta):
            if char == _BEGIN[self._begun]:
                self._begun += 1
                if self._begun == len(_BEGIN):
                    self._held.clear()
                    self._state = self._within
                    return self.feed(delta[place + 1 :])
            elif char not in _SPACE or self._begun not in _BETWEEN_TOKENS:
                self._state = self._outside
                return self.flush() + delta
        self._held.append(delta)
        return ""

    def _within(self, delta: str) -> str:
        end = 0 if self._past_value else len(delta)
        begin, self._escaped = int(self._escaped), False
        for match in _MARKS.finditer(delta, begin):
            mark = match[0]
            if mark[0] == "\\":
                self._escaped = len(mark) == 1  # what it escapes has not come yet
            elif mark == '"':
                self._in_string = not self._in_string
            elif self._in_string:
                continue
            elif mark in "{[":
                self._depth += 1
            elif mark in "}]":
                self._depth -= 1
            if mark == "," and not self._depth and not self._in_string and not self._past_value:
                self._past_value, end = True, match.start()
            if self._depth < 0:
                self._state = self._behind
                return delta[: min(end, match.start())] + self.feed(delta[match.end() :])
        return delta[:end]

    def _behind(self, delta: str) -> str:
        rest = delta.lstrip(_SPACE)
        if not rest:
            return ""
        self._state = self._outside
        return "}" + rest

    def _outside(self, delta: str) -> str:
        return delta
