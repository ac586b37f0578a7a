"""From a function's signature and docstring to the arguments that a model may send."""

import contextlib
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_type_hints

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


def without_partial(function: Any) -> Any:
    """The callable whose arguments a `functools.partial` has bound, or the callable itself."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def underlying(function: Any) -> Any:
    """The function or method behind partials and wrappers, which has annotations and docs."""
    function = inspect.unwrap(without_partial(function))
    return function if inspect.isroutine(function) else function.__call__


def parameters_of(
    function: Callable[..., Any], *, described: bool = False
) -> tuple[inspect.Parameter, ...]:
    """What a caller passes by name, with annotations resolved; `Any` where there is none.

    Arguments that a `functools.partial` has bound are left out. ``**kwargs`` are among them only
    if somebody has `described` them.

    Raises:
        TypeError: a parameter can't be passed by name, or an annotation can't be resolved.
    """
    try:
        hints = get_type_hints(underlying(function), include_extras=True)
    except NameError as error:
        raise TypeError(
            f"an annotation can't be resolved: {error}. Define or import it at module level, "
            "outside of `if TYPE_CHECKING:`"
        ) from error
    bound = function.keywords if isinstance(function, functools.partial) else {}
    parameters = tuple(
        parameter.replace(annotation=hints.get(name, Any))
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in bound
    )
    for position, parameter in enumerate(parameters):
        name = parameter.name
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise TypeError(
                f"{name!r} is positional-only, but a model names its arguments: drop the /"
            )
        if parameter.kind is parameter.VAR_POSITIONAL or (
            parameter.kind is parameter.VAR_KEYWORD and not described
        ):
            stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            raise TypeError(
                f"{stars}{name} has no schema: declare each parameter, or one of type list or dict"
            )
        if position == 0 and name in ("self", "cls") and name not in hints:
            raise TypeError(
                f"{name!r} can't come from a model: make the bound method a tool, "
                "tool(instance.method), instead of decorating it in the class"
            )
    return parameters


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
