"""JSON values as values of types; how tools use it is in test_tool.py."""

import datetime
from typing import Any

import attrs
import msgspec
import pytest
from pydantic import BaseModel

from trio_agent.tools._convert import convert, expected_fields


@attrs.frozen
class Point:
    x: int
    y: float = 0.0


class Place(BaseModel):
    city: str


@pytest.mark.parametrize(
    ("value", "to", "converted"),
    [
        ({"x": 1}, Point, Point(1)),
        ({"x": 5.0, "y": 5.0}, Point, Point(5, 5.0)),
        ([1.0, [2.0]], list[int | list[int]], [1, [2]]),
        ({"a": 2.0**53}, dict[str, int], {"a": 2**53}),
        ({"1": 2}, dict[int, int], {1: 2}),
        ("1048-01-01", datetime.date, datetime.date(1048, 1, 1)),
        ([{"city": "Oslo"}], list[Place], [Place(city="Oslo")]),
        (5.0, Any, 5.0),
    ],
)
def test_values(value: Any, to: Any, converted: Any) -> None:
    found = convert(value, to)
    assert found == converted
    assert type(found) is type(converted)


@pytest.mark.parametrize(
    ("value", "to", "message"),
    [
        ({"x": 5.5}, Point, r"Expected `int`, got `float` - at `\$.x`"),
        ({"x": 2.0**54}, Point, "Expected `int`"),
        ({"x": "5"}, Point, "Expected `int`, got `str`"),
        ({"x": 1.0, "y": "a"}, Point, r"got `str` - at `\$.y`|got `float` - at `\$.x`"),
        ([{"city": 1}], list[Place], r"city: Input should be a valid string - at `\$\[0\]`"),
    ],
)
def test_what_is_to_correct(value: Any, to: Any, message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        convert(value, to)


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({"properties": {"a": {}, "b": {}}, "required": ["a"]}, "a, b (optional)"),
        ({"properties": {}}, "none"),
        ({}, "none"),
    ],
)
def test_expected_fields(schema: dict[str, Any], sentence: str) -> None:
    assert expected_fields(schema) == f"expected fields: {sentence}"
