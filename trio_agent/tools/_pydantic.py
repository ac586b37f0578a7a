"""Pydantic models as arguments and outputs.

They are known by their methods: nothing is imported for them.
"""

from typing import Any

import msgspec


def is_model(cls: Any) -> bool:
    """Whether this is a class of pydantic (2 or newer)."""
    return isinstance(cls, type) and hasattr(cls, "model_json_schema")


def to_json(value: Any) -> Any:
    """The JSON value of a model. For msgspec, which asks about types that it doesn't know.

    Raises:
        TypeError: it is none.
    """
    if is_model(type(value)):
        return value.model_dump(mode="json")
    if isinstance(value, tuple):
        raise TypeError("a tuple can't be the key of an object")
    raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")


def from_json(cls: Any, value: Any) -> Any:
    """The model that a JSON value means.

    Raises:
        ValueError: it doesn't fit; the message says each thing to correct.
    """
    try:
        return cls.model_validate_json(msgspec.json.encode(value))
    except ValueError as error:
        errors: Any = getattr(error, "errors", None)
        if errors is None:
            raise
        found = (f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in errors())
        raise ValueError("; ".join(found)) from error
