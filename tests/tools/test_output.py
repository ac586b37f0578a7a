"""What a tool returned: its JSON, and the text of it."""

import datetime
import enum
import math
from typing import Any

import attrs
import msgspec
import pytest

from trio_agent._errors import ToolError
from trio_agent.tools._output import encode_output, output_text


@attrs.frozen
class Point:
    x: int
    y: int = 0


class Service: ...


@pytest.mark.parametrize(
    ("value", "output"),
    [
        (None, None),
        ("é", "é"),
        ("a\x00b", "a\x00b"),
        (1.5, 1.5),
        (2**70, 2**70),
        ((1, (2,)), [1, [2]]),
        ({1: {"a"}}, {"1": ["a"]}),
        (Point(1), {"x": 1, "y": 0}),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        (enum.Enum("E", "A").A, 1),  # type: ignore[attr-defined]
        (b"hi", "aGk="),
        ([math.nan, math.inf], [None, None]),
    ],
)
def test_encode_output(value: Any, output: Any) -> None:
    encoded = encode_output(value)
    assert encoded == output
    assert type(encoded) is type(output)
    assert msgspec.json.decode(msgspec.json.encode(encoded)) == output


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Service(), "returned a Service that has no JSON form: Encoding objects of type Service"),
        ([object()], "returned a list that has no JSON form: Encoding objects of type object"),
        ({(1, 2): 3}, "returned a dict that has no JSON form: a tuple can't be the key"),
        ("\ud800", "returned a str that has no JSON form: .*surrogates not allowed"),
        (Point(10**5000), "returned a Point that has no JSON form"),
        (msgspec.Raw(b"{oops"), "returned a Raw that has no JSON form: JSON is malformed"),
    ],
)
def test_output_without_json_form(value: Any, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        encode_output(value)


def nested(depth: int) -> Any:
    value: Any = 1
    for number in range(depth):
        value = [value] if number % 2 else {"a": value}
    return value


@pytest.mark.parametrize("depth", [100, 500, 100_000])
def test_deep_output(depth: int) -> None:
    with pytest.raises(ToolError, match="the output is nested too deeply"):
        encode_output(nested(depth))


def test_output_just_not_too_deep() -> None:
    assert encode_output(nested(99)) == nested(99)


def test_output_that_contains_itself() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ToolError, match="the output is nested too deeply"):
        encode_output(value)


def test_output_bound() -> None:
    assert encode_output("é", max_output=4) == "é"
    with pytest.raises(ToolError, match="the output is 4 bytes long, 3 are allowed: ask for less"):
        encode_output("é", max_output=3)
    assert len(encode_output("x" * (2**20 - 2))) == 2**20 - 2
    with pytest.raises(ToolError, match="1048577 bytes long, 1048576 are allowed"):
        encode_output("x" * (2**20 - 1))


@pytest.mark.parametrize(
    ("output", "text"),
    [("plain é", "plain é"), (None, "null"), ({"a": [1, "é"]}, '{"a":[1,"é"]}'), ("", "")],
)
def test_output_text(output: Any, text: str) -> None:
    assert output_text(output) == text
