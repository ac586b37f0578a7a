"""Values that don't have the type that they should, as what they mean.

Text may be a number, a list of parts or an object that holds it; a count may be text or a whole
float (`"7"`, `7.0`); a list may be its only item. What means nothing is None.
"""

import json
from typing import Any

_MAX_COUNT = 2**53


def text_or_none(value: Any) -> str | None:
    """Return the text that is meant, wherever it is in the value."""
    match value:
        case str():
            return value
        case bool():
            return None
        case int() | float():
            return json.dumps(value)
        case list():
            return "".join(text_or_none(part) or "" for part in value)
        case dict():
            for name in ("text", "content", "thinking", "reasoning", "summary", "refusal", "value"):
                if (text := text_or_none(value.get(name))) is not None:
                    return text
    return None


def word(value: Any) -> str | None:
    """Return an id or a name. None of them is cut in two, so that halves of pairs have no other."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def arguments_or_none(value: Any) -> str | None:
    """Return arguments as JSON text: some write the object itself."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def count(value: Any) -> int | None:
    """Return what a JSON number, or a text that is one, counts."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= _MAX_COUNT and value == int(value) else None


def items(value: Any) -> list[Any]:
    """Return what is in a list. It may be written as its only item, and nothing in many ways."""
    if isinstance(value, list):
        return value
    return [] if value is None or value is False or value == "" or value == {} else [value]
