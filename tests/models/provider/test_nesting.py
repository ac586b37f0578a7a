"""Whether JSON text is closed, however it was cut."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from trio_agent.models._provider._nesting import Nesting


def closed_behind(text: str) -> list[int]:
    """The places behind which it is closed, fed by single characters."""
    nesting, places = Nesting(), []
    for place, char in enumerate(text, 1):
        nesting.feed(char)
        if nesting.is_closed:
            places.append(place)
    return places


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("{}", [2]),
        ('{"a": [{}]}', [11]),
        ('{"}": "]"}', [10]),
        (r'{"a": "\"}"}', [12]),
        (r'{"a": "\\"}', [11]),
        ("{}\n{}", [2, 3, 5]),
        ("}", [1]),
        ('"{', []),
    ],
)
def test_closed(text: str, closed: list[int]) -> None:
    assert closed_behind(text) == closed


def test_nothing_is_open_before_the_beginning() -> None:
    assert Nesting().is_closed


VALUES = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), VALUES, max_size=3), st.booleans())
def test_an_object_is_closed_by_its_last_character(value: Any, as_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=as_ascii)
    assert closed_behind(text) == [len(text)]
    nesting = Nesting()
    nesting.feed(text)
    assert nesting.is_closed
