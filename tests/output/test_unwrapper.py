"""The wrapper goes, and nothing else, however the text is cut."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st
from json_kit import SPACE, VALUES, cut

from trio_agent._output.unwrapper import Unwrapper, was_unwrapped


def unwrapped(pieces: list[str]) -> str:
    unwrapper = Unwrapper()
    return "".join(map(unwrapper.feed, pieces)) + unwrapper.flush()


@pytest.mark.parametrize(
    ("text", "given_on"),
    [
        ('{"output":1}', "1"),
        (' {\n"output"\t:\r[1, {"a": 2}] } \n', '\r[1, {"a": 2}] '),
        ('{"output":{"output":1}}', '{"output":1}'),
        (r'{"output":"\"}, \\"}', r'"\"}, \\"'),
        ('{"output":["}",","],"why":{"a":[1,"}"]}}', '["}",","]'),
        ('{"output":1, "a":2, "b":3}', "1"),
        # What stands behind makes it no answer.
        ('{"output":1}2', "1}2"),
        ('{"output":1} {"output":2}', '1}{"output":2}'),
        ('{"output":1}}', "1}}"),
        # Not wrapped, or not yet.
        ('{"outputs":1}', '{"outputs":1}'),
        ('{"out put":1}', '{"out put":1}'),
        ('{" output":1}', '{" output":1}'),
        ('{"a":{"output":1}}', '{"a":{"output":1}}'),
        ('{"output" 1}', '{"output" 1}'),
        ("{}", "{}"),
        ("[]", "[]"),
        ('"output"', '"output"'),
        ("Here it is: {}", "Here it is: {}"),
        ('{"outp', '{"outp'),
        ("", ""),
        ('{"output":[1', "[1"),
    ],
)
def test_texts(text: str, given_on: str) -> None:
    assert unwrapped([text]) == given_on
    assert unwrapped(list(text)) == given_on


def test_at_once() -> None:
    """What belongs to the value is never held back."""
    unwrapper = Unwrapper()
    deltas = ['{"out', 'put": "a', "b", "\\", 'n"', ", ", '"x": 1', "}"]
    assert [unwrapper.feed(delta) for delta in deltas] == [
        *("", ' "a', "b", "\\", 'n"', "", "", ""),
    ]


@given(VALUES, SPACE, SPACE, SPACE, SPACE, st.booleans(), st.data())
def test_a_wrapper_around_any_value(
    value: Any, one: str, two: str, three: str, four: str, as_ascii: bool, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=as_ascii)
    pieces = cut(f'{one}{{{two}"output"{three}:{text}{four}}}{one}', data)
    assert unwrapped(pieces) == text + four


@given(VALUES, SPACE, st.data())
def test_any_value_without_a_wrapper(value: Any, space: str, data: st.DataObject) -> None:
    if isinstance(value, dict):
        value.pop("output", None)
    text = space + json.dumps(value) + space
    assert unwrapped(cut(text, data)) == text


def test_the_beginning_is_looked_at_once() -> None:
    unwrapper = Unwrapper()
    assert {unwrapper.feed(" ") for _ in range(100_000)} == {""}
    assert len(unwrapper.feed("[")) == 100_001


@pytest.mark.parametrize(
    ("text", "was"),
    [
        ('{"output":1}', True),
        (' {\n"output"\t:\r', True),
        ('{"output":', True),
        ('{"output"', False),
        ('{"outputs":1}', False),
        ('{ "a":1, "output":1}', False),
        ('[{"output":1}]', False),
        ('"{\\"output\\":1}"', False),
        ("", False),
    ],
)
def test_what_begins_with_a_wrapper_still(text: str, was: bool) -> None:
    assert was_unwrapped(text) is was


@given(VALUES, SPACE, SPACE, SPACE, st.booleans(), st.data())
def test_a_wrapper_that_is_left_is_the_values_own(
    value: Any, one: str, two: str, three: str, wrapped: bool, data: st.DataObject
) -> None:
    """Whoever sees only what was given on, as in a log, can tell."""
    inner = json.dumps(value)
    own = f'{one}{{{two}"output"{three}:{inner}}}'
    text = f'{{"output":{own}}}' if wrapped else own
    assert was_unwrapped(unwrapped(cut(text, data))) is (
        wrapped or was_unwrapped(json.dumps(value))
    )
