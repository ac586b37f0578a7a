"""JSON as providers' servers write it."""

import json
from typing import Any

_MAX_VALUES = 1 << 18
"""Values in one text. A hostile one would take fifty times its size as Python objects."""


def parse_json(text: str) -> Any:
    """Parse JSON as Python's servers write it.

    Raises:
        ValueError: it is none, or has more values than any that is meant well.
        RecursionError: it is nested too deeply.
    """
    check_values(text)
    return json.loads(text, strict=False)


def check_values(text: str) -> None:
    """Make sure that JSON, of whoever parses it, does not become too many objects.

    Raises:
        ValueError: it has more values than any that is meant well.
    """
    if sum(map(text.count, ",[{")) > _MAX_VALUES:
        raise ValueError("it has too many values")
