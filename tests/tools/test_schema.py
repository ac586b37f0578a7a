import dataclasses
import datetime
import enum
import inspect
import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import attrs
import msgspec
import pytest

from trio_agent.tools._schema import (
    arguments_schema,
    arguments_type,
    parameter_docs,
    summary,
)
from trio_agent.tools._signature import signature_of


@attrs.frozen
class Point:
    """Where."""

    x: int
    y: int = 0


@dataclasses.dataclass
class Line:
    start: Point
    end: Point


@attrs.frozen
class Node:
    children: "list[Node]"


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Options(TypedDict):
    limit: int
    page: NotRequired[int]


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    home: Point


POINT = {
    "title": "Point",
    "description": "Where.",
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "integer", "default": 0}},
    "required": ["x"],
}


def schema_of(function: Callable[..., Any], **descriptions: str) -> dict[str, Any]:
    return arguments_schema(signature_of(function).parameters, descriptions)


def property_of(annotation: Any, **default: Any) -> Any:
    parameter = inspect.Parameter(
        "x", inspect.Parameter.KEYWORD_ONLY, annotation=annotation, **default
    )
    return arguments_schema([parameter], {})["properties"]["x"]


def test_whole_object() -> None:
    def search(query: str, limit: int = 10, *, exact: bool = False) -> None: ...

    assert schema_of(search) == {
        "type": "object",
        "properties": {
            "query": {"type": "string"},
            "limit": {"type": "integer", "default": 10},
            "exact": {"type": "boolean", "default": False},
        },
        "required": ["query"],
        "additionalProperties": False,
    }


def test_no_parameters() -> None:
    assert schema_of(lambda: None) == {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (Any, {}),
        (float, {"type": "number"}),
        (list[str], {"type": "array", "items": {"type": "string"}}),
        (dict[str, Any], {"type": "object"}),
        (dict[str, Point], {"type": "object", "additionalProperties": POINT}),
        (str | None, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (Color, {"title": "Color", "enum": ["blue", "red"]}),
        (datetime.date, {"type": "string", "format": "date"}),
        (datetime.datetime, {"type": "string"}),
        (Point, POINT),
        (Point | None, {"anyOf": [POINT, {"type": "null"}]}),
        (
            tuple[Point, int],
            {
                "type": "array",
                "minItems": 2,
                "maxItems": 2,
                "prefixItems": [POINT, {"type": "integer"}],
                "items": False,
            },
        ),
        (
            Line,
            {
                "title": "Line",
                "type": "object",
                "properties": {"start": POINT, "end": POINT},
                "required": ["start", "end"],
            },
        ),
        (
            Options,
            {
                "title": "Options",
                "type": "object",
                "properties": {"limit": {"type": "integer"}, "page": {"type": "integer"}},
                "required": ["limit"],
            },
        ),
        (Annotated[int, msgspec.Meta(ge=1, le=9)], {"type": "integer", "minimum": 1, "maximum": 9}),
    ],
)
def test_types(annotation: Any, schema: Any) -> None:
    assert property_of(annotation) == schema


def test_tagged_union_leaves_no_reference() -> None:
    schema = property_of(Cat | Dog)
    assert [option["title"] for option in schema["anyOf"]] == ["Cat", "Dog"]
    assert schema["anyOf"][1]["properties"]["home"] == POINT
    assert schema.keys() == {"anyOf"}


def test_property_named_like_a_keyword() -> None:
    odd = TypedDict("odd", {"$ref": str, "discriminator": int})
    assert property_of(odd)["properties"] == {
        "$ref": {"type": "string"},
        "discriminator": {"type": "integer"},
    }


@pytest.mark.parametrize("annotation", [Node, list[Node], Node | None])
def test_recursive_type(annotation: Any) -> None:
    with pytest.raises(TypeError, match="parameter 'x': Node contains itself: use dict or Any"):
        property_of(annotation)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (lock := type("Lock", (), {}), "parameter 'x': Lock has no JSON form"),
        (Annotated[lock, msgspec.Meta(extra_json_schema={})], "Lock has no JSON form"),
        (Point | dict[str, int], "parameter 'x': Type unions may not contain more than one"),
    ],
)
def test_impossible_types(annotation: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        property_of(annotation)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([1, 2], [1, 2]),
        (Point(1), {"x": 1, "y": 0}),
        (Color.RED, "red"),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        ({1: 2}, {"1": 2}),
        # In an order that is the same in all processes.
        (set("hgfedcba"), list("abcdefgh")),
        (frozenset({10, 9, "a", None, Color.RED}), ["a", "red", 10, 9, None]),
    ],
)
def test_default_is_shown(value: Any, shown: Any) -> None:
    assert property_of(Any, default=value) == {"default": shown}


@pytest.mark.parametrize("value", [None, object(), math.inf])
def test_default_without_json_form_is_not_shown(value: Any) -> None:
    assert property_of(Any, default=value) == {}


def test_descriptions() -> None:
    def function(
        a: Annotated[int, msgspec.Meta(description="by hand")],
        b: Annotated[int, "no Meta"],
        c: Point,
        d: Annotated[Point, msgspec.Meta(description="by hand")],
        e: Point,
    ) -> None: ...

    properties = schema_of(function, a="doc", b="doc", c="doc", d="doc", f="of nothing")[
        "properties"
    ]
    assert {name: schema["description"] for name, schema in properties.items()} == {
        "a": "by hand",
        "b": "doc",
        "c": "doc",
        "d": "by hand",
        "e": "Where.",
    }


def test_annotations_are_resolved() -> None:
    def function(x: "Point", y: "Annotated[int, msgspec.Meta(ge=1)]", z) -> "None": ...  # type: ignore[no-untyped-def]

    assert schema_of(function)["properties"] == {
        "x": POINT,
        "y": {"type": "integer", "minimum": 1},
        "z": {},
    }


def test_arguments_type_validates() -> None:
    def function(a: Point, when: datetime.datetime, b: list[int] = [1], *, c: str) -> None: ...  # noqa: B006

    cls = arguments_type(signature_of(function).parameters)
    value: Any = msgspec.convert({"c": "c", "a": {"x": 1}, "when": "2024-01-01T00:00:00Z"}, cls)
    assert (value.a, value.c) == (Point(1), "c")
    assert value.when == datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    with pytest.raises(msgspec.ValidationError, match="unknown field `d`"):
        msgspec.convert({"d": 1}, cls)


@pytest.mark.parametrize(
    ("doc", "expected"),
    [
        ("", ""),
        ("One line.", "One line."),
        ("Two\nlines.\n\nMore.", "Two lines."),
        ("Google.\nArgs:\n    x: y", "Google."),
        ("Sphinx.\n:param x: y", "Sphinx."),
        ("NumPy.\nParameters\n----------\nx\n    y", "NumPy."),
        (":param x: only that", ""),
        ("Args: in a sentence.", "Args: in a sentence."),
    ],
)
def test_summary(doc: str, expected: str) -> None:
    assert summary(doc) == expected


GOOGLE = """Look up.

    Not a parameter: indented text.

Args:
    city: the city,
        or its code: both do

        (a second paragraph)
    unit (Literal["c", "f"], optional): the unit
    *rest: never a parameter
    bare

Returns:
    temperature: a number
"""

NUMPY = """Look up.

Parameters
----------
city : str
    the city,
    or its code: both do

    (a second paragraph)
unit, other
    the unit
bare : int

Returns
-------
temperature : float
    a number
"""

SPHINX = """Look up.

:param city: the city,
    or its code: both do

    (a second paragraph)
:param Literal["c", "f"] unit: the unit
:type unit: str
:returns: a number
"""

CITY = "the city, or its code: both do (a second paragraph)"


@pytest.mark.parametrize(
    ("doc", "expected"),
    [
        ("", {}),
        ("Prose: no parameters.", {}),
        (GOOGLE, {"city": CITY, "unit": "the unit"}),
        (GOOGLE.partition("\nReturns")[0], {"city": CITY, "unit": "the unit"}),
        (NUMPY, {"city": CITY, "unit": "the unit", "other": "the unit", "bare": ""}),
        (
            NUMPY.partition("\nbare")[0],
            {"city": CITY, "unit": "the unit", "other": "the unit"},
        ),
        (SPHINX, {"city": CITY, "unit": "the unit"}),
    ],
)
def test_parameter_docs(doc: str, expected: dict[str, str]) -> None:
    assert parameter_docs(doc) == expected
