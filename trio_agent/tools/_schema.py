"""From parameters and a docstring to the arguments that a model may send."""

import contextlib
import functools
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from . import _pydantic

_GOOGLE_SECTION = re.compile(
    r"^(?:Args|Arguments|Parameters):[ \t]*((?:\n(?:[ \t].*)?)*)", re.MULTILINE
)
_GOOGLE_ENTRY = re.compile(r"(\w+)[ \t]*(?:\(.*?\))?[ \t]*:")

_NUMPY_SECTION = re.compile(
    r"^Parameters\n-{3,}\n(.*?)(?=^\w[\w ]*\n-{3,}$|\Z)", re.MULTILINE | re.DOTALL
)
_NUMPY_ENTRY = re.compile(r"(\w+(?:,[ ]*\w+)*)[ \t]*(?::.*)?\n")

_SPHINX_ENTRY = re.compile(r":param[ \t]+(?:[^:\n]*[ \t])?(\w+):")

_END_OF_SUMMARY = re.compile(r"^\s*$|^:\w|^\w+:$|^\w+\n-{3,}$", re.MULTILINE)

# Where JSON Schema keeps further schemas, as far as msgspec and pydantic write them.
_NESTED_SCHEMAS = frozenset(
    {"additionalProperties", "allOf", "anyOf", "items", "oneOf", "prefixItems"}
)
_NAMED_SCHEMAS = frozenset({"patternProperties", "properties"})


def arguments_type(parameters: Sequence[inspect.Parameter]) -> type[msgspec.Struct]:
    """The struct that validates a call's arguments; only fields that were sent mean anything.

    With ``**kwargs`` among the parameters, further fields are no error.
    """
    named = [parameter for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        (parameter.name, parameter.annotation)
        if parameter.default is parameter.empty
        # Any value will do: what was not sent is not passed, so the function's own default holds.
        else (parameter.name, parameter.annotation, msgspec.field(default_factory=object))
        for parameter in named
    ]
    closed = len(named) == len(parameters)
    return msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=closed)


def arguments_schema(
    parameters: Sequence[inspect.Parameter], descriptions: Mapping[str, str]
) -> dict[str, Any]:
    """The JSON Schema of a call's arguments: one object, without references.

    `Annotated[..., msgspec.Meta(description=...)]` comes before `descriptions`.

    Raises:
        TypeError: the type of a parameter has no JSON form, or contains itself.
    """
    properties: dict[str, Any] = {}
    for parameter in parameters:
        schema, components = _describe(parameter)
        if description := descriptions.get(parameter.name):
            schema.setdefault("description", description)
        try:
            schema = _inline(schema, components, ())
        except TypeError as error:
            raise TypeError(f"parameter {parameter.name!r}: {error}") from error
        if parameter.default is not parameter.empty:
            with contextlib.suppress(TypeError):  # a default without a JSON form: a sentinel
                default = msgspec.json.decode(encode(parameter.default))
                if isinstance(parameter.default, set | frozenset):
                    default.sort(key=msgspec.json.encode)  # the same in all processes
                if default is not None:  # None says "not given", and often is not of the type
                    schema["default"] = default
        properties[parameter.name] = schema
    return {
        "type": "object",
        "properties": properties,
        "required": [p.name for p in parameters if p.default is p.empty],
        "additionalProperties": False,
    }


def own_schema(schema: Any, parameters: Sequence[inspect.Parameter]) -> dict[str, Any]:
    """A copy of the JSON Schema that somebody has written for these parameters.

    Raises:
        TypeError: it is no JSON object, or the type of a parameter has no JSON form.
        ValueError: it is not the schema of an object, which arguments are.
    """
    for parameter in parameters:
        _describe(parameter)
    if not isinstance(schema, Mapping):
        raise TypeError(f"a schema is a dict, not {schema!r}")
    copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(dict(schema)))
    if copy.get("type") != "object":
        raise ValueError('the schema of arguments has "type": "object"')
    return copy


def encode(value: object) -> bytes:
    """Encode what Python has for JSON, pydantic's models included."""
    return msgspec.json.encode(value, enc_hook=_pydantic.to_json)


def type_schema(annotation: Any) -> dict[str, Any]:
    """The JSON Schema of a type, without references.

    Raises:
        TypeError: it has no JSON form, or contains itself.
    """
    schema: dict[str, Any] = _inline(*_components(annotation), ())
    return schema


def _describe(parameter: inspect.Parameter) -> tuple[dict[str, Any], Mapping[str, Any]]:
    try:
        return _components(parameter.annotation, " or bind the argument with functools.partial")
    except TypeError as error:
        raise TypeError(f"parameter {parameter.name!r}: {error}") from error


def _components(annotation: Any, advice: str = "") -> tuple[dict[str, Any], Mapping[str, Any]]:
    (schema,), components = msgspec.json.schema_components(
        [annotation],
        schema_hook=functools.partial(_schema_of_foreign, advice),
        ref_template="{name}",
    )
    return schema, components


def _schema_of_foreign(advice: str, cls: Any) -> dict[str, Any]:
    if _pydantic.is_model(cls):
        schema: dict[str, Any] = cls.model_json_schema()
        return schema
    raise TypeError(
        f"{cls.__name__} has no JSON form: take what a model can write (str, list, dict, a "
        f"dataclass, an attrs class, ...){advice}"
    )


def _inline(schema: Any, components: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    """Copy `schema` with each reference replaced by what it refers to."""
    if isinstance(schema, list):
        return [_inline(item, components, inside) for item in schema]
    if not isinstance(schema, dict):  # True or False
        return schema
    if definitions := schema.get("$defs"):
        components = {f"#/$defs/{name}": item for name, item in definitions.items()}
        schema = {key: value for key, value in schema.items() if key != "$defs"}
    if name := schema.get("$ref"):
        if name in inside:
            raise TypeError(
                f"{name.rpartition('/')[2]} contains itself: use dict or Any for the inner one"
            )
        target = _inline(components[name], components, (*inside, name))
        return target | {key: value for key, value in schema.items() if key != "$ref"}
    copy: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _NAMED_SCHEMAS:
            copy[key] = {name: _inline(item, components, inside) for name, item in value.items()}
        elif key in _NESTED_SCHEMAS:
            copy[key] = _inline(value, components, inside)
        elif key != "discriminator":  # no JSON Schema but OpenAPI, and full of references
            copy[key] = value
    return copy


def summary(doc: str) -> str:
    """The first paragraph of a docstring, on one line."""
    end = _END_OF_SUMMARY.search(doc)
    return _one_line(doc[: end.start()] if end else doc)


def parameter_docs(doc: str) -> dict[str, str]:
    """What a docstring says about parameters, in Google's, NumPy's or Sphinx's style."""
    docs = dict(_entries(doc, _SPHINX_ENTRY))
    for section, entry in ((_GOOGLE_SECTION, _GOOGLE_ENTRY), (_NUMPY_SECTION, _NUMPY_ENTRY)):
        if match := section.search(doc):
            docs.update(_entries(match[1], entry))
    return docs


def _entries(block: str, entry: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """An unindented line begins an entry, indented lines continue it."""
    for text in re.split(r"\n+(?=\S)", textwrap.dedent(block)):
        if match := entry.match(text.lstrip("\n")):
            for name in match[1].split(","):
                yield name.strip(), _one_line(text.lstrip("\n")[match.end() :])


def _one_line(text: str) -> str:
    return " ".join(text.split())
