"""Shapes: what is asked of a model, and what its text means."""

import dataclasses
import datetime
import enum
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from json_kit import VALUES
from pydantic import BaseModel, ConfigDict, Field, RootModel

from trio_agent._errors import ToolError
from trio_agent._output.shape import shape_of


@dataclasses.dataclass
class Verdict:
    """What came of it."""

    right: bool
    why: str = ""


@dataclasses.dataclass
class Question:
    right: bool
    ask: str = ""


@attrs.frozen
class Point:
    x: int
    y: int = 0


class Ticket(msgspec.Struct, forbid_unknown_fields=True):
    number: int


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    home: str


class Options(TypedDict):
    limit: int
    page: NotRequired[int]


class Pair(NamedTuple):
    first: int
    second: str = ""


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Place(BaseModel):
    """Where."""

    city: str
    since: datetime.date | None = None


OSLO = Place(city="Oslo", since=datetime.date(1048, 1, 1))


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    n: int


@pydantic.dataclasses.dataclass
class Amount:
    cents: int = Field(gt=0)


class Bus(BaseModel):
    kind: Literal["bus"]
    line: int


class Tram(BaseModel):
    kind: Literal["tram"]
    line: int


class Cities(RootModel[list[Place]]):
    pass


TRAM = Tram(kind="tram", line=1)


class Answer(msgspec.Struct):
    output: str


@attrs.frozen
class Node:
    children: "list[Node]"


class Leaf(BaseModel):
    leaves: "list[Leaf]" = []


@pytest.mark.parametrize(
    ("tp", "text", "value"),
    [
        (Verdict, '{"right": true, "why": "so"}', Verdict(True, "so")),
        (Point, '{"x": 1}', Point(1)),
        (Ticket, '{"number": 7}', Ticket(7)),
        (Options, '{"limit": 1}', {"limit": 1}),
        (Pair, '{"output": [1, "a"]}', Pair(1, "a")),
        (Color, '{"output": "red"}', Color.RED),
        (Literal["a", 1], '{"output": 1}', 1),
        (Place, '{"city": "Oslo", "since": "1048-01-01"}', OSLO),
        (Cities, '{"output": [{"city": "Oslo"}]}', Cities([Place(city="Oslo")])),
        (list[Point], '{"output": [{"x": 1}]}', [Point(1)]),
        (dict[str, Point], '{"a": {"x": 1}}', {"a": Point(1)}),
        (dict[int, str], '{"1": "a"}', {1: "a"}),
        (tuple[int, str], '{"output": [1, "a"]}', (1, "a")),
        (int, '{"output": 5}', 5),
        (str, '{"output": "5"}', "5"),
        (bool, '{"output": false}', False),
        (None, '{"output": null}', None),
        (Any, '{"output": [1]}', [1]),
        (Verdict | None, '{"output": null}', None),
        (Cat | Dog, '{"output": {"type": "Dog", "home": "x"}}', Dog("x")),
        (Annotated[int, msgspec.Meta(ge=3)], '{"output": 3}', 3),
        # Unions that msgspec can't tell apart.
        (Verdict | Point, '{"output": {"x": 1}}', Point(1)),
        ((Verdict, Point), '{"output": {"x": 1}}', Point(1)),
        ((Verdict | Point, Place | None), '{"output": null}', None),
        (Place | Point | int, '{"output": 5}', 5),
        (list[int] | list[str], '{"output": ["a"]}', ["a"]),
        # The first of those that know most fields.
        (Verdict | Question, '{"output": {"right": true}}', Verdict(True)),
        (Verdict | Question, '{"output": {"right": true, "ask": "a"}}', Question(True, "a")),
        (Verdict | Question, '{"output": {"right": true, "x": 1}}', Verdict(True)),
        (Verdict | dict[str, Any], '{"output": {"right": true}}', Verdict(True)),
        (Verdict | dict[str, Any], '{"output": {"right": true, "x": 1}}', {"right": True, "x": 1}),
        # A wrapper too many or missing.
        (list[int], "[1]", [1]),
        (Verdict | Point, '{"x": 1}', Point(1)),
        (Point, '{"output": {"x": 1}}', Point(1)),
        (Answer, '{"output": "a"}', Answer("a")),
        (Answer | Point, '{"output": "a"}', Answer("a")),
        (Answer | Point, '{"output": {"output": "a"}}', Answer("a")),
        # What only pydantic can tell apart.
        (list[Bus | Tram], '{"output": [{"kind": "tram", "line": 1}]}', [TRAM]),
        (Annotated[Bus | Tram, Field(discriminator="kind")], '{"kind": "tram", "line": 1}', TRAM),
        (Amount, '{"cents": 1}', Amount(1)),
        (Amount | None, '{"output": {"cents": 1}}', Amount(1)),
        # A fence around all of it.
        (Point, '```json\n{"x": 1}\n```', Point(1)),
        (Point, ' ```\n{"x": 1}```\n', Point(1)),
        (Point, '```{"x": 1}```', Point(1)),
        (Point, '```json {"x":\n1} ```', Point(1)),
        (str, '"```"', "```"),
        (list[str], '```JSON\n["a```b"]\n```', ["a```b"]),
        # JSON in a JSON string.
        (Point, r'"{\"x\": 1}"', Point(1)),
        (Point, r'{"output": "{\"x\": 1}"}', Point(1)),
        (int, '"5"', 5),
        (str, '"5"', "5"),
        # Numbers and text, as tools take them.
        (Point, '{"x": 5.0}', Point(5)),
        (Strict, '{"n": 5.0}', Strict(n=5)),
        (Answer, '{"output": "a\nb\\ud83d"}', Answer("a\nb\ufffd")),
        # Fields that a class does not know are as it wants.
        (Point, '{"x": 1, "z": 2}', Point(1)),
        (Place, '{"city": "Oslo", "x": 1}', Place(city="Oslo")),
    ],
)
def test_meanings(tp: Any, text: str, value: Any) -> None:
    parsed = shape_of(tp).parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("tp", "text", "message"),
    [
        (
            Verdict,
            "The verdict is: right",
            (
                "the answer can't be read: JSON is malformed: invalid character (byte 0). Give the "
                "JSON value alone, without any text around it"
            ),
        ),
        (Point, 'It is {"x": 1}', "the answer can't be read: "),
        (Point, '{"x": 1} as you wanted', "the answer can't be read: "),
        (Point, '{"x": 1}{"x": 2}', "the answer can't be read: "),
        (Point, "```\n1\n```\n```\n2\n```", "the answer can't be read: "),
        (Point, "```", "the answer can't be read: "),
        (Point, "", "the answer can't be read: Input data was truncated."),
        (Any, "[" * 200 + "]" * 200, "the answer can't be read: it is nested too deeply."),
        (Any, "[" * 100_000 + "]" * 100_000, "the answer can't be read: it is nested too deeply."),
        (
            Verdict,
            '{"why": "so"}',
            (
                "the answer does not have its shape: Object missing required field `right`; "
                "expected fields: right, why (optional)"
            ),
        ),
        (
            Point,
            '{"x": "one"}',
            (
                "the answer does not have its shape: Expected `int`, got `str` - at `$.x`; "
                "expected fields: x, y (optional)"
            ),
        ),
        (int, '{"output": 5.5}', "the answer does not have its shape: Expected `int`, got `float`"),
        (
            Place,
            '{"city": 1}',
            (
                "the answer does not have its shape: city: Input should be a valid string; "
                "expected fields: city, since (optional)"
            ),
        ),
        (
            Amount,
            '{"cents": 0}',
            (
                "the answer does not have its shape: cents: Input should be greater than 0; "
                "expected fields: cents"
            ),
        ),
        (
            Ticket,
            '{"number": 1, "a": 2}',
            (
                "the answer does not have its shape: Object contains unknown field `a`; "
                "expected fields: number"
            ),
        ),
        (
            Strict,
            '{"n": 1, "a": 2}',
            (
                "the answer does not have its shape: a: Extra inputs are not permitted; "
                "expected fields: n"
            ),
        ),
        (
            Ticket | Point,
            '{"y": 1}',
            (
                "the answer does not have its shape: as Ticket: Object contains unknown field `y`; "
                "expected fields: number | as Point: Object missing required field `x`; "
                "expected fields: x, y (optional)"
            ),
        ),
        (
            list[int] | list[str],
            '{"output": [null]}',
            (
                "the answer does not have its shape: as list[int]: Expected `int`, got `null` - at "
                "`$[0]` | as list[str]: Expected `str`, got `null` - at `$[0]`"
            ),
        ),
    ],
)
def test_corrections(tp: Any, text: str, message: str) -> None:
    with pytest.raises(ToolError) as caught:
        shape_of(tp).parse(text)
    told = str(caught.value)
    assert told.startswith(message) if message.endswith((": ", ".")) else told == message


def test_what_looks_like_a_wrapper_within_one_is_the_value() -> None:
    text = '{"output": 5}'
    assert shape_of(Any).parse(text) == 5
    assert shape_of(Any).parse(text, unwrapped=True) == {"output": 5}
    assert shape_of(list[int]).parse('{"output": [5]}', unwrapped=True) == [5]


def test_corrections_are_bounded() -> None:
    with pytest.raises(ToolError) as caught:
        shape_of(Ticket).parse(json.dumps({"n" * 5000: 1}))
    assert len(str(caught.value)) == 2000


POINT = {
    "title": "Point",
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "integer", "default": 0}},
    "required": ["x"],
}


@pytest.mark.parametrize(
    ("tp", "inner", "description"),
    [
        (list[Point], {"type": "array", "items": POINT}, "The final answer."),
        (int, {"type": "integer"}, "The final answer."),
        (Any, {}, "The final answer."),
        (Color, {"title": "Color", "enum": ["blue", "red"]}, "The final answer."),
        (Point | None, {"anyOf": [POINT, {"type": "null"}]}, "The final answer."),
        (Point | Point, None, "The final answer."),
        (dict[str, Point], None, "The final answer."),
        (Verdict, None, "What came of it."),
        (Place, None, "Where."),
    ],
)
def test_what_is_asked(tp: Any, inner: Any, description: str) -> None:
    shape = shape_of(tp)
    spec = shape.spec
    assert (spec.name, spec.description) == ("final_answer", description)
    assert shape.wrapped == (inner is not None)
    assert spec.schema["type"] == "object"
    assert "$" not in repr(spec.schema)
    if shape.wrapped:
        assert spec.schema == {
            "type": "object",
            "properties": {"output": inner},
            "required": ["output"],
            "additionalProperties": False,
        }


def test_a_union_is_asked_for_as_all_its_options() -> None:
    (schema,) = shape_of((Verdict, Point)).spec.schema["properties"].values()
    assert [option["title"] for option in schema["anyOf"]] == ["Verdict", "Point"]
    assert shape_of(Point).spec.schema == POINT


def test_names() -> None:
    shape = shape_of(Point, "point")
    assert shape.spec_beside([]) == shape.spec
    assert shape.spec_beside(["final_answer"]).name == "point"
    assert shape.spec_beside(["point", "point_2"]).name == "point_3"
    assert shape_of(Point, "p" * 64).spec_beside(["p" * 64]).name == "p" * 62 + "_2"
    for name in ("", "a b", "p" * 65):
        with pytest.raises(ValueError, match="is no name of a shape"):
            shape_of(Point, name)


@dataclasses.dataclass
class Lost:
    there: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


class Odd(BaseModel):
    call: Callable[[], int]


@pytest.mark.parametrize(
    ("tp", "message"),
    [
        (complex, r"output: complex has no JSON form: take what a model can write .*\.\.\.\)$"),
        (Exception, "output: Exception has no JSON form"),
        (Point | complex, "output: complex has no JSON form"),
        ((Point, object), "output: object has no JSON form"),
        (list[complex], "output: complex has no JSON form"),
        (list[Point | Verdict], "output: Type unions may not contain more than one"),
        ((), "output: "),
        ("Point", "output: "),
        (Point(1), "output: "),
        (Node, "output: Node contains itself: use dict or Any for the inner one"),
        (Leaf, "output: Leaf contains itself"),
        (Lost, "output: an annotation can't be resolved: name 'Nowhere'.*at module level"),
        (Odd, "output: .*CallableSchema"),
    ],
)
def test_types_without_a_shape(tp: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        shape_of(tp)


@pytest.mark.parametrize(
    ("value", "output"),
    [
        (Verdict(True), {"right": True, "why": ""}),
        (Point(1), {"x": 1, "y": 0}),
        (Pair(1), [1, ""]),
        (Place(city="Oslo"), {"city": "Oslo", "since": None}),
        ([Cat(9)], [{"type": "Cat", "lives": 9}]),
        (Color.RED, "red"),
        (datetime.date(1048, 1, 1), "1048-01-01"),
        (None, None),
    ],
)
def test_to_json(value: Any, output: Any) -> None:
    assert shape_of(Any).to_json(value) == output


def test_what_has_no_json() -> None:
    nested: Any = []
    nested.append(nested)
    deep: Any = None
    for _ in range(101):
        deep = [deep]
    for value in (object(), {"a": 1j}, "\ud800", nested, deep):
        with pytest.raises(
            TypeError, match=f"an answer of type {type(value).__name__} has no JSON"
        ):
            shape_of(Any).to_json(value)


@given(VALUES)
def test_any_value_there_and_back(value: Any) -> None:
    shape = shape_of(Any)
    text = json.dumps({"output": value})
    assert json.dumps(shape.to_json(shape.parse(text))) == json.dumps(value)
