"""How far a call is, as a line: a bar where a tool tells so much of how much, else its words."""

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ._bar import bar
from ._text import printable_line

_LONGEST: Final = 200
"""Characters of what a tool says."""


def progress_line(data: Any) -> str:
    """Say it in one line that is fit for a terminal.

    A share is `done` or `progress`, of `total` or `of`; without the latter it is one of 1.
    """
    if not isinstance(data, Mapping):
        return _short(data)
    done = _number(data, "done", "progress")
    total = _number(data, "total", "of")
    message = data.get("message")
    words = f" {_short(message)}" if isinstance(message, str) and message else ""
    if done is not None and total:
        return f"[{bar(done / total)}] {done:g}/{total:g}{words}"
    if done is not None and done <= 1 and not data.keys() & {"total", "of"}:
        return f"[{bar(done)}] {done:.0%}{words}"
    return words[1:] or _short(data)


def _number(data: Mapping[str, Any], *names: str) -> float | None:
    """Return the first that is there and a number which a share can be made of."""
    for name in names:
        value = data.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = float(value) if abs(value) < 1e15 else math.inf
            return number if 0 <= number < math.inf else None
    return None


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    line = printable_line(text[: 2 * _LONGEST])
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
