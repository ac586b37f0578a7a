"""What may become JSON in a log: what is no JSON for everybody is refused with a sentence."""

import json
import math
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
import pytest

from trio_agent._log.plain import check_text, is_deep, is_json, plain_json, read_json


def nested(depth: int, *, lists: bool = True) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if lists else {"a": value}
    return value


class Color(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"a": [1, -1.5, True, None, "ü\0\u2028", {"b": []}]},
        {"n": 2**53 - 1, "m": 1 - 2**53},
        {"": "\U0001f600"},
        nested(99),
        nested(99, lists=False),
    ],
)
def test_what_everybody_reads(value: Any) -> None:
    plain = plain_json(value, "it")
    assert plain == value
    assert plain is not value or not value
    assert json.loads(json.dumps(plain)) == msgspec.json.decode(msgspec.json.encode(plain)) == value


def test_it_is_a_copy_of_plain_values() -> None:
    given = {"a": [1], "t": (1, 2), "e": Color.RED}
    plain = plain_json(given, "it")
    given["a"].append(2)  # type: ignore[union-attr]
    assert plain == {"a": [1], "t": [1, 2], "e": "red"}
    assert type(plain["e"]) is str


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (nested(100), "nested more than 100 levels deep"),
        (nested(100, lists=False), "nested more than 100 levels deep"),
        (nested(5000), "nested more than 100 levels deep"),
        (CYCLE, "nested more than 100 levels deep"),
        (2**53, "give it as text"),
        (-(2**53), "give it as text"),
        (10**5000, "give it as text"),
        (math.nan, "the number nan"),
        (math.inf, "the number inf"),
        ("\ud83d", "half a surrogate pair"),
        ({"\ude00": 1}, "half a surrogate pair"),
        ({1: 2}, "the key 1: keys of JSON are text"),
        ({None: 2}, "the key None"),
        (b"x", "a bytes, which JSON has not"),
        ({1, 2}, "a set, which JSON has not"),
        (datetime.now(UTC), "a datetime, which JSON has not"),
        (object(), "an? object, which JSON has not"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_somebody_could_not_read(value: Any, why: str) -> None:
    for given in (value, {"a": [value]}) if why[:6] != "nested" else (value,):
        with pytest.raises(ValueError, match=f"^it .*{why}"):
            plain_json(given, "it")


@pytest.mark.parametrize("text", ["", "a", "ü", "\U0001f600", "a\0b"])
def test_text(text: str) -> None:
    check_text(text, "it")


@pytest.mark.parametrize("text", ["\ud83d", "a\ude00b", "\ud83d\ud83d"])
def test_text_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="it has half a surrogate pair"):
        check_text(text, "it")


@pytest.mark.parametrize("lists", [True, False])
def test_depth(lists: bool) -> None:
    assert not is_deep(nested(99, lists=lists))
    assert is_deep(nested(100, lists=lists))
    assert is_deep(nested(100_000, lists=lists))
    assert not is_deep([nested(98), "x" * 1000, None])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a":[1,2.0]}', {"a": [1, 2.0]}),
        ('{"a":"b\r\n\tc\0"}', {"a": "b\r\n\tc\0"}),
        ('{"\\ud83d":"\ude00"}', {"\ufffd": "\ufffd"}),
        ('{"a":"\n\\ud83d\\ude00"}', {"a": "\n\U0001f600"}),
        ('{"a":"\n","b":1e-7}', {"a": "\n", "b": 1e-7}),
    ],
)
def test_json_with_faults_of_form(text: str, value: object) -> None:
    assert read_json(text) == value
    assert is_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "what?",
        '{"a":',
        '{"a":1,}',
        '{"a":NaN}',
        '{"a":"\n","b":1e999}',
        '"\n' + "[" * 9,
        "\ufeff",
    ],
)
def test_json_that_has_no_meaning(text: str) -> None:
    with pytest.raises(ValueError, match=r"malformed|truncated"):
        read_json(text)
    assert not is_json(text)


def test_json_that_is_too_deep_to_be_read() -> None:
    with pytest.raises(RecursionError):
        read_json("[" * 100_000)
    assert not is_json("[" * 100_000)


@pytest.mark.parametrize(("depth", "is_one"), [(100, True), (101, False), (900, False)])
def test_what_is_json_does_not_depend_on_who_asks(depth: int, is_one: bool) -> None:
    """Be it deep in its own stack."""

    def asked_from(frames: int) -> bool:
        return asked_from(frames - 1) if frames else is_json(text)

    text = "[" * depth + "]" * depth
    assert asked_from(0) is asked_from(300) is is_one
