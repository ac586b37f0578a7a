"""What OpenAI refuses of a schema that is strict, in its words. Pure.

Source: the OpenAI API reference, "Structured Outputs", and the API's own errors.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

_UNKNOWN: Final = ("allOf", "default", "minLength", "maxLength", "not", "oneOf", "uniqueItems")


def schema_faults(schema: Any, context: tuple[str, ...] = ()) -> Iterator[str]:
    """Say what is wrong: every object names all that it may have, and some words aren't known."""
    if not isinstance(schema, Mapping):
        return
    for name in _UNKNOWN:
        if name in schema:
            yield f"{context}, '{name}' is not permitted."
    properties = schema.get("properties")
    if schema.get("type") == "object" or properties is not None:
        if schema.get("additionalProperties") is not False:
            yield f"{context}, 'additionalProperties' is required to be supplied and to be false."
        properties = properties or {}
        for name in properties.keys() - set(schema.get("required", ())):
            yield (
                f"{context}, 'required' is required to be supplied and to be an array including"
                f" every key in properties. Missing '{name}'."
            )
        for name, inner in properties.items():
            yield from schema_faults(inner, (*context, "properties", name))
    yield from schema_faults(schema.get("items"), (*context, "items"))
    for number, inner in enumerate(schema.get("anyOf", ())):
        yield from schema_faults(inner, (*context, "anyOf", str(number)))
    for name, inner in schema.get("$defs", {}).items():
        yield from schema_faults(inner, (*context, "$defs", name))
