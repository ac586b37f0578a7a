"""What strangers say is one line that can be shown."""

import pytest
from hypothesis import given, strategies as st

from trio_agent._http.words import clean


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nb\r\n  c", "a b c"),
        ("\x1b]0;title\x07x\x9b2J\u202e\u2028\x00", "]0;title x 2J"),
        ("é 漢 😀", "é 漢 😀"),
        ("x" * 5000, "x" * 499 + "…"),
        ("bad key sk-1", "bad key ***"),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert clean(text, secret="sk-1") == line


def test_what_stands_in_the_place_of_a_key_is_left() -> None:
    assert clean("no key in tokens", secret="key") == "no key in tokens"


@given(st.text(), st.integers(1, 20))
def test_any_text_is_short_and_printable(text: str, limit: int) -> None:
    result = clean(text, limit=limit)
    assert len(result) <= limit
    assert result.isprintable()
