"""JSON as Python's servers write it, and JSON that is meant ill."""

import math
from typing import Any

import pytest

from trio_agent.models._provider._json import parse_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, "b"]}', {"a": [1, "b"]}),
        ('"\t"', "\t"),
        ('"\\udcaf"', "\udcaf"),
        ("Infinity", math.inf),
        ('"' + "," * (1 << 17) + '"', "," * (1 << 17)),
    ],
    ids=["JSON", "a control character", "half a pair", "no number", "a long text"],
)
def test_what_is_read(text: str, value: Any) -> None:
    assert parse_json(text) == value


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{}{}", ValueError),
        ("", ValueError),
        ("{", ValueError),
        ("[" * 100_000 + "]" * 100_000, RecursionError),
        (f"[{'[],' * (1 << 18)}[]]", ValueError),
    ],
    ids=["too much", "nothing", "a part", "too deep", "too many values"],
)
def test_what_is_not(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_json(text)
