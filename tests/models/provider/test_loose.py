"""What values of a wrong type mean."""

from typing import Any

import pytest

from trio_agent.models._provider._loose import arguments_or_none, count, items, text_or_none, word


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ("", ""),
        (7, "7"),
        (1.5, "1.5"),
        (["a", {"text": "b"}, None, 3], "ab3"),
        ({"content": "a"}, "a"),
        ({"other": "a"}, None),
        (True, None),
        (None, None),
    ],
)
def test_text(value: Any, text: str | None) -> None:
    assert text_or_none(value) == text


@pytest.mark.parametrize(
    ("value", "number"),
    [(7, 7), (7.0, 7), ("7", 7), ("7.0", 7), (0, 0), (1.5, None), (-1, None), ("x", None),
     (True, None), (None, None), (2**53 + 1, None), ("inf", None), ("nan", None)],
)  # fmt: skip
def test_counts(value: Any, number: int | None) -> None:
    assert count(value) == number


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a", "a"), (3, "3"), (True, None), (None, None), ([], None), ("a\ud83d", "a?")],
)
def test_words(value: Any, expected: str | None) -> None:
    assert word(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [([1], [1]), (None, []), (False, []), ("", []), ({}, []), ("a", ["a"]), ({"a": 1}, [{"a": 1}])],
)
def test_items(value: Any, expected: list[Any]) -> None:
    assert items(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(None, None), ("{", "{"), ({"a": "é"}, '{"a": "é"}'), ([], "[]")]
)
def test_arguments(value: Any, expected: str | None) -> None:
    assert arguments_or_none(value) == expected
