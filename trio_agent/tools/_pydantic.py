"""Pydantic models as arguments and outputs.

- They are known by their methods: nothing is imported for them, unless there is one already.
- JSON has the names that the schema has, which are the aliases, in both directions.
- What only pydantic can tell apart (unions with a model in them, its dataclasses) is left to it,
  where it stands in an annotation. Within the fields of a class, that class's own rules hold.
"""

from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

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
        return value.model_dump(mode="json", by_alias=True)
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


def adapted(annotation: Any) -> Any:
    """The annotation with each type that only pydantic can tell apart as one class, a model."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        options = [each for each in args if each is not type(None)]
        if len(options) > 1 and any(map(_is_pydantics, options)):
            return _model_of(annotation)
    elif _is_dataclass(annotation):
        return _model_of(annotation)
    if not args or origin is Literal:
        return annotation
    changed = tuple(map(adapted, args))
    if all(new is old for new, old in zip(changed, args, strict=True)):
        return annotation
    if origin is UnionType:
        return Union[changed]  # noqa: UP007 - of a tuple
    if origin is Annotated:
        return Annotated[(changed[0], *annotation.__metadata__)]
    return (Union if origin is Union else origin)[changed]


def _is_pydantics(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return is_model(annotation) or _is_dataclass(annotation)


def _is_dataclass(cls: Any) -> bool:
    """Whether this is a dataclass of pydantic, whose validators msgspec would not run."""
    return isinstance(cls, type) and hasattr(cls, "__pydantic_validator__") and not is_model(cls)


class _Any(type):
    """Of a class that stands for a type which is none, so that any value is of it."""

    def __instancecheck__(cls, _: object) -> bool:
        return True


def _model_of(annotation: Any) -> Any:
    from pydantic import TypeAdapter

    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    name = getattr(annotation, "__name__", str(annotation))
    return _Any(
        name,
        (),
        {"model_json_schema": adapter.json_schema, "model_validate_json": adapter.validate_json},
    )
