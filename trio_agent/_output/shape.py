"""The shape of an answer: what is asked of a model, and what its text means.

- The root of what is asked is an object, as providers want it: what is none (a list, a union, a
  scalar) is wrapped as ``{"output": ...}``.
- A text has one meaning or none. A fence around all of it, a wrapper too many or missing, JSON in
  a JSON string and 5.0 for 5 leave it one; other text around the JSON does not.
- Fields that a class does not know are as the class wants it: msgspec, pydantic and the others
  ignore them unless told otherwise. Of a union's classes the one that knows most fields is meant.
"""

import contextlib
import re
from collections.abc import Collection, Iterator
from itertools import count
from types import UnionType
from typing import Any, Final, Generic, Union, get_args, get_origin, overload

import attrs
import msgspec
from typing_extensions import TypeVar

from .._errors import ToolError
from .._log.plain import is_deep, read_json
from ..models._parts import OutputSpec
from ..tools._convert import MAX_CORRECTION, convert, expected_fields
from ..tools._pydantic import adapted
from ..tools._schema import encode, type_schema

OutT = TypeVar("OutT")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
OutT_co = TypeVar("OutT_co", covariant=True, default=Any)

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WRAPPER: Final = "output"


@attrs.frozen
class _Option:
    """A type that msgspec can tell whether a value fits."""

    type: Any
    schema: dict[str, Any]

    def convert(self, value: Any) -> Any:
        """The value that is meant; ValueError says what to correct."""
        try:
            return convert(value, self.type)
        except ValueError as error:
            if "properties" in self.schema:
                raise ValueError(f"{error}; {expected_fields(self.schema)}") from error
            raise

    def unknown(self, value: Any) -> int:
        """How many fields of the value it does not know."""
        fields = self.schema.get("properties")
        return 0 if fields is None or not isinstance(value, dict) else len(value.keys() - fields)


@attrs.frozen(eq=False)
class Shape(Generic[OutT_co]):
    """What an answer is to be, made by `shape_of`."""

    spec: OutputSpec
    """The shape as the model sees it."""

    wrapped: bool
    """Whether the model is asked for ``{"output": ...}`` instead of the value itself."""

    _options: tuple[_Option, ...] = attrs.field(repr=False, alias="options")

    def spec_beside(self, names: Collection[str]) -> OutputSpec:
        """The shape as a model sees it that has tools with these names."""
        name, numbers = self.spec.name, count(2)
        while name in names:
            suffix = f"_{next(numbers)}"
            name = self.spec.name[: 64 - len(suffix)] + suffix
        return attrs.evolve(self.spec, name=name)

    def parse(self, text: str, *, unwrapped: bool = False) -> OutT_co:
        """The value that an answer means.

        Args:
            text: all of the answer, with or without the wrapper.
            unwrapped: whether one was taken off already: what looks like one is the value's then,
                if it can be.

        Raises:
            ToolError: it has not this shape; the message, of at most 2000 characters, tells the
                model what to correct.
        """
        try:
            value = _read(_without_fence(text))
        except ValueError as error:
            raise ToolError(
                f"the answer can't be read: {error}. Give the JSON value alone, without any text "
                "around it"
            ) from error
        errors: list[ValueError] = []
        for meaning in self._meanings(value, unwrapped):
            try:
                return self._convert(meaning)
            except ValueError as error:
                errors.append(error)
        told = f"the answer does not have its shape: {errors[0]}"[:MAX_CORRECTION]
        raise ToolError(told) from errors[0]

    def to_json(self, value: Any) -> Any:
        """The JSON value of a value of this type: str, int, float, bool, None, list, dict by str.

        Raises:
            TypeError: it has none, or is nested too deeply, as may come of a validator that returns
                something else.
        """
        try:
            output = msgspec.json.decode(encode(value))
            if is_deep(output):
                raise ValueError("it is nested too deeply")
            return output
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(
                f"an answer of type {type(value).__name__} has no JSON form: {error}"
            ) from error

    def _meanings(self, value: Any, unwrapped: bool) -> Iterator[Any]:
        """What a JSON value may mean, the likeliest first."""
        both = [value]
        if isinstance(value, dict) and value.keys() == {_WRAPPER}:
            both.insert(0 if self.wrapped and not unwrapped else 1, value[_WRAPPER])
        yield from both
        for text in both:
            if isinstance(text, str):
                with contextlib.suppress(ValueError):
                    yield from self._meanings(_read(text), unwrapped)

    def _convert(self, value: Any) -> OutT_co:
        """The value of the option that fits best; of equal ones, of the first."""
        found: list[tuple[int, OutT_co]] = []
        errors: list[ValueError] = []
        for option in self._options:
            try:
                found.append((option.unknown(value), option.convert(value)))
            except ValueError as error:
                errors.append(error)
        if found:
            return min(found, key=lambda each: each[0])[1]
        if len(errors) == 1:
            raise errors[0]
        told = (f"as {_name(o.type)}: {e}" for o, e in zip(self._options, errors, strict=True))
        raise ValueError(" | ".join(told))


@overload
def shape_of(tp: type[OutT], name: str = ...) -> Shape[OutT]: ...


@overload
def shape_of(tp: tuple[type[A], type[B]], name: str = ...) -> Shape[A | B]: ...


@overload
def shape_of(tp: tuple[type[A], type[B], type[C]], name: str = ...) -> Shape[A | B | C]: ...


@overload
def shape_of(tp: Any, name: str = ...) -> Shape[Any]: ...


def shape_of(tp: Any, name: str = "final_answer") -> Shape[Any]:
    """The shape of answers of a type.

    Args:
        tp: what has a JSON form: a dataclass, an attrs class, a msgspec struct, a pydantic model,
            a TypedDict, an enum, a list, a scalar, ...; a union of any of them (``A | B``), which
            may be given as a tuple: ``(A, B)``.
        name: what the model knows it by, as a tool's name; `Shape.spec_beside` keeps it apart from
            those of tools.

    Raises:
        TypeError: the type has no JSON form, or contains itself.
        ValueError: bad name.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a shape: give it 1 to 64 of A-Z a-z 0-9 _ -")
    try:
        options = tuple(_options(Union[tp] if isinstance(tp, tuple) else tp))  # noqa: UP007
    except NameError as error:
        raise TypeError(
            f"output: an annotation can't be resolved: {error}. Define or import it at module "
            "level, outside of `if TYPE_CHECKING:`"
        ) from error
    except (TypeError, RuntimeError) as error:  # pydantic's own are RuntimeErrors
        raise TypeError(f"output: {error}") from error
    schemas = [option.schema for option in options]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    description = str(schema.get("description", "The final answer."))
    wrapped = schema.get("type") != "object"
    if wrapped:
        schema = {
            "type": "object",
            "properties": {_WRAPPER: schema},
            "required": [_WRAPPER],
            "additionalProperties": False,
        }
    return Shape(OutputSpec(name, description, schema), wrapped, options)


def _options(tp: Any) -> Iterator[_Option]:
    """The type itself, or, if it is a union that msgspec can't tell apart, those in it."""
    tp = getattr(tp, "__value__", tp)  # of `type A = ...`
    if get_origin(tp) not in (Union, UnionType):
        tp = adapted(tp)
        yield _Option(tp, type_schema(tp))
        return
    inner: Any = Union[tuple(map(adapted, get_args(tp)))]  # noqa: UP007 - of a tuple
    try:
        yield _Option(inner, type_schema(inner))
    except TypeError:
        for each in get_args(tp):
            yield from _options(each)


def _name(tp: Any) -> str:
    return str(tp) if get_args(tp) else str(getattr(tp, "__name__", tp))


def _read(text: str) -> Any:
    try:
        value = read_json(text)
    except RecursionError:
        value = None
    else:
        if not is_deep(value):
            return value
    raise ValueError("it is nested too deeply")


def _without_fence(text: str) -> str:
    """What is in a Markdown block, if the text is one."""
    text = text.strip()
    if not (text.startswith("```") and text.endswith("```") and len(text) > 6):
        return text
    head, newline, rest = text[3:-3].partition("\n")
    return (
        rest if newline and head.strip().isalnum() else head.removeprefix("json") + newline + rest
    )
