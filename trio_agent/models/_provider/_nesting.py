"""How deep one is in JSON text that comes in pieces. Each character is looked at once."""

import re

_MARKS = re.compile(r'\\.?|["{}\[\]]', re.DOTALL)


class Nesting:
    """Follows the brackets of a text, but for those within strings."""

    def __init__(self) -> None:
        self._rest = ""
        self._depth = 0
        self._in_string = False

    @property
    def is_closed(self) -> bool:
        """Whether all brackets are closed. So they are before the first."""
        return self._depth <= 0 and not self._in_string

    def feed(self, text: str) -> None:
        """Take the next piece."""
        text, self._rest = self._rest + text, ""
        for match in _MARKS.finditer(text):
            mark = match[0]
            if mark[0] == "\\":
                if len(mark) == 1:
                    self._rest = mark  # what it escapes has not come yet
            elif mark == '"':
                self._in_string = not self._in_string
            elif not self._in_string:
                self._depth += 1 if mark in "{[" else -1
