"""Values of another type than they should have."""

from typing import Any

import pytest

from trio_agent.models._provider._loose import (
    arguments_or_none,
    count_or_none,
    items_of,
    text_or_none,
    word_or_none,
)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (7, 7), ("7", 7), (7.0, 7), ("7.0", 7), (0, 0), (2**53, 2**53),
        (7.5, None), (-1, None), (True, None), ("x", None), (None, None), ([], None),
        (2**53 + 2, None), (float("inf"), None), (float("nan"), None), ("nan", None),
    ],
)  # fmt: skip
def test_counts(value: Any, meant: int | None) -> None:
    assert count_or_none(value) == meant


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("a", "a"), (1, "1"), (1.5, "1.5"), (["a", {"text": "b"}], "ab"), ({"content": "a"}, "a"),
        ({"text": None, "value": "v"}, "v"), ({"other": "a"}, None), (True, None), (None, None),
    ],
)  # fmt: skip
def test_texts(value: Any, meant: str | None) -> None:
    assert text_or_none(value) == meant


@pytest.mark.parametrize(
    ("value", "meant"), [("a", "a"), (1, "1"), (True, None), ({}, None), ("\ud83d", "?")]
)
def test_words(value: Any, meant: str | None) -> None:
    assert word_or_none(value) == meant


@pytest.mark.parametrize(
    ("value", "meant"), [(None, None), ("{", "{"), ({"a": "é"}, '{"a": "é"}'), ([], "[]")]
)
def test_arguments(value: Any, meant: str | None) -> None:
    assert arguments_or_none(value) == meant


@pytest.mark.parametrize(
    ("value", "meant"),
    [([1, 2], [1, 2]), (1, [1]), ({"a": 1}, [{"a": 1}]), *((n, []) for n in (None, False, "", {}))],
)
def test_lists(value: Any, meant: list[Any]) -> None:
    assert items_of(value) == meant
