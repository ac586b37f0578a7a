"""Cursors: what is printed is parsed again, and nothing else is."""

import re

import pytest
from hypothesis import given, strategies as st

from trio_agent._errors import CursorInvalid
from trio_agent._log.cursor import Cursor, valid_run_id

ids = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
epochs = st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True)


@given(ids, epochs, st.integers(0, 10**16 - 1))
def test_round_trip(run_id: str, epoch: str, offset: int) -> None:
    cursor = Cursor(run_id, epoch, offset)
    assert Cursor.parse(str(cursor)) == cursor
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", str(cursor))


@given(st.text())
def test_any_text(text: str) -> None:
    try:
        cursor = Cursor.parse(text)
    except CursorInvalid:
        return
    assert str(cursor) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b",
        "a.b.c",
        "a.b.-1",
        "a.b.01",
        "a.b.1\n",
        "a.b.1 ",
        "a.b.1.2",
        "a..1",
        ".b.1",
        "ä.b.1",
        "a.b.\u0661",
        "a.b." + 17 * "9",
        65 * "a" + ".b.1",
        "a." + 33 * "b" + ".1",
    ],
)
def test_no_cursor(text: str) -> None:
    with pytest.raises(CursorInvalid, match="pass an event's id back as you got it"):
        Cursor.parse(text)


@pytest.mark.parametrize(("text", "valid"), [("a", True), ("a" * 65, False), ("a.b", False)])
def test_run_ids(text: str, valid: bool) -> None:
    assert valid_run_id(text) is valid
