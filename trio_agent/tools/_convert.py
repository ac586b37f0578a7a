"""What a model wrote as JSON, as the values that its types mean.

JSON has one kind of number, and models write 5.0 where 5 is meant: to JSON Schema that is an
integer, too. Nothing else is guessed.
"""

import contextlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from . import _pydantic

MAX_CORRECTION: Final = 2000
"""Characters of what a model is told to correct: the names in it come from the model."""

# Above it, not every integer is a float, so that a float may stand for several.
_MAX_WHOLE: Final = 2**53


def convert(value: Any, to: Any) -> Any:
    """The value of a type that a JSON value means.

    Raises:
        ValueError: it doesn't fit; the message says what to correct.
        RecursionError: it is nested too deeply.
    """
    try:
        return _convert_strictly(value, to)
    except msgspec.ValidationError:
        with contextlib.suppress(msgspec.ValidationError):
            return _convert_strictly(_with_whole_numbers(value), to)
        raise


def expected_fields(schema: Mapping[str, Any]) -> str:
    """What a correction says of the fields that an object has by its schema."""
    required = schema.get("required", ())
    fields = schema.get("properties", {})
    names = [name if name in required else f"{name} (optional)" for name in fields]
    return f"expected fields: {', '.join(names) or 'none'}"


def _convert_strictly(value: Any, to: Any) -> Any:
    return msgspec.convert(value, to, str_keys=True, dec_hook=_pydantic.from_json)


def _with_whole_numbers(value: Any) -> Any:
    match value:
        case float() if value.is_integer() and abs(value) <= _MAX_WHOLE:
            return int(value)
        case list():
            return [_with_whole_numbers(item) for item in value]
        case dict():
            return {name: _with_whole_numbers(item) for name, item in value.items()}
    return value
