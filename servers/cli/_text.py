"""Text of strangers, fit for a terminal.

What a terminal obeys (C0, DEL and C1 controls) and what hides or reorders text (bidirectional
overrides, zero width characters, tags, line separators) is left out; in JSON it is escaped, so
that the value stays equal. Line ends, tabs, and the joiners that emoji and several scripts are
written with stay.
"""

import re
import unicodedata
from typing import Final

_KEPT: Final = frozenset("\n\t\u200c\u200d")
_UNSAFE: Final = frozenset({"Cc", "Cf", "Zl", "Zp"})
"""Controls, formats, line and paragraph separators."""

_NOT_ASCII: Final = re.compile("[\x7f-\U0010ffff]")


def printable(text: str) -> str:
    """Leave out what is not safe to show."""
    if text.isprintable():
        return text
    return "".join(char for char in text if _is_safe(char))


def printable_line(text: str) -> str:
    """Leave out what is not safe to show, and make one line without tabs of the rest."""
    return printable(" ".join(text.split("\n")).replace("\t", " "))


def printable_json(json: str) -> str:
    """Escape what is not safe to show in a line of JSON, which means the same."""
    if json.isprintable():
        return json
    return _NOT_ASCII.sub(lambda found: _escaped(found[0]), json)


def _is_safe(char: str) -> bool:
    return char in _KEPT or unicodedata.category(char) not in _UNSAFE


def _escaped(char: str) -> str:
    if _is_safe(char):
        return char
    units = char.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
