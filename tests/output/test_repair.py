"""What the beginning of a JSON text means: sure, growing, the same however it is cut."""

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from json_kit import SPACE, VALUES, cut

from trio_agent._log.plain import read_json
from trio_agent._output.repair import Repair, repair

NOTHING = msgspec.UNSET


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", NOTHING),
        (" ", NOTHING),
        ("{", {}),
        ("[", []),
        ("{ ", {}),
        ('"', ""),
        ('"ab', "ab"),
        ('"ab"', "ab"),
        # Keys are there when their values have begun.
        ('{"a', {}),
        ('{"a"', {}),
        ('{"a":', {}),
        ('{"a": 1', {}),
        ('{"a": 1,', {"a": 1}),
        ('{"a": 1 ', {"a": 1}),
        ('{"a": "', {"a": ""}),
        ('{"a": [', {"a": []}),
        ('{"a": [{}, {"b": "c', {"a": [{}, {"b": "c"}]}),
        ('{"a": {"b": 1}, "c', {"a": {"b": 1}}),
        # Numbers and literals are there when they are whole.
        ("[1", []),
        ("[1,", [1]),
        ("[-1.5e", []),
        ("[-1.5e3]", [-1500.0]),
        ("[tru", []),
        ("[true", [True]),
        ("[false, nul", [False]),
        ("[null", [None]),
        # But for a number that is all.
        ("-", NOTHING),
        ("1", 1),
        ("12", 12),
        ("12.", 12),
        ("12.5", 12.5),
        ("12.5e", 12.5),
        ("12 ", 12),
        # Escapes.
        (r'"a\\'[:-1], "a"),
        (r'"a\\', "a\\"),
        (r'"a\n', "a\n"),
        (r'"a\u00e', "a"),
        (r'"a\u00e4', "aä"),
        (r'"a\ud83d', "a"),
        (r'"a\ud83d\ude0', "a"),
        (r'"a\ud83d\ude00', "a😀"),
        (r'"a\ud83db', "a\ufffdb"),
        (r'"a\ud83d"', "a\ufffd"),
        (r'"a\ude00', "a\ufffd"),
        (r'{"\ud83d": 1}', {"\ufffd": 1}),
        ('"a\nb\x00', "a\nb\x00"),
        ('["\ud800"', ["\ufffd"]),
        # A fence.
        ("`", NOTHING),
        ("```json\n", NOTHING),
        ('```json\n{"a": "b', {"a": "b"}),
        ('```\n"a"\n```', "a"),
        ("```json [1, 2]```", [1, 2]),
        ("```\n12", 12),
        # No JSON from some place on.
        ("hello", NOTHING),
        ("{a: 1}", {}),
        ("{'a': 1}", {}),
        ('{"a" 1}', {}),
        ('{"a": "b" "c": 1}', {"a": "b"}),
        ("[1, 2 3]", [1, 2]),
        ("[01, 2]", []),
        ("[1e999, 2]", []),
        ("[1, +2]", [1]),
        ("[1}", [1]),
        ("[1, NaN]", [1]),
        ("[nothing]", []),
        (r'["a\x", 1]', ["a"]),
        (r'["a\u00zz", 1]', ["a"]),
        ("12.a", 12),
        ("1e999", NOTHING),
        ('{"a": 1} and so on', {"a": 1}),
        ("[1] [2]", [1]),
        ("]", NOTHING),
        ("[,]", []),
        ('{"a": 1, }', {"a": 1}),
    ],
)
def test_beginnings(text: str, value: Any) -> None:
    assert repair(text) == value
    growing = Repair()
    for char in text:
        growing.feed(char)
    assert growing.value == value


def test_a_repeated_name() -> None:
    assert repair('{"a": [1, 2], "a": [') == {"a": []}


def test_whole_texts_with_faults_of_form() -> None:
    for text in ('["a\x01b"]', r'["\ud800"]', r'{"\udc00": "\ud83d\ud83d\ude00"}'):
        assert repair(text) == read_json(text)


@given(VALUES, SPACE, st.booleans())
def test_a_whole_text_means_its_value(value: Any, space: str, as_ascii: bool) -> None:
    text = space + json.dumps(value, ensure_ascii=as_ascii, indent=space) + space
    assert json.dumps(repair(text)) == json.dumps(value)


def grows(small: Any, large: Any) -> bool:
    """Whether a value is the beginning of another."""
    match small, large:
        case str(), str():
            return large.startswith(small)
        case list(), list():
            return len(small) <= len(large) and all(map(grows, small, large))
        case dict(), dict():
            names = list(large)[: len(small)]
            return list(small) == names and all(grows(small[name], large[name]) for name in names)
        case ((int() | float()), (int() | float())):
            return True  # only where it is all of the text: it was tested above
    return small is NOTHING or small == large


@given(VALUES, st.booleans())
def test_values_grow(value: Any, as_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=as_ascii)
    growing, before = Repair(), NOTHING
    for char in text:
        changed = growing.feed(char)
        after = growing.value
        assert grows(before, after)
        if not changed:
            assert (after is before) or after == before
        before = after
    assert json.dumps(before) == json.dumps(value)


@given(st.text('{}[]":,\\utrue01-.e \n`a\ud83d', max_size=40), st.data())
def test_any_text_in_any_pieces(text: str, data: st.DataObject) -> None:
    growing = Repair()
    for piece in cut(text, data):
        growing.feed(piece)
        if data.draw(st.booleans()):
            growing.value  # noqa: B018  (looking changes nothing)
    assert growing.value == repair(text)


@pytest.mark.parametrize("bracket", ["[", '{"a":'])
def test_depth(bracket: str) -> None:
    value, depth = repair(bracket * 1_000_000), 0
    while value:
        value, depth = (value[0] if isinstance(value, list) else value["a"]), depth + 1
    assert depth == 99


@pytest.mark.parametrize(
    "text",
    [
        '["' + "a" * 300_000,
        "[" + "9" * 300_000 + ",",
        "[" + "1," * 150_000,
        '"' + "\\ud83d" * 50_000,
        "`" * 300_000,
        " " * 300_000,
        '{"' + "\\u0041" * 50_000,
    ],
)
def test_each_character_is_looked_at_once(text: str) -> None:
    growing, begin = Repair(), time.process_time()
    for place in range(0, len(text), 3):
        growing.feed(text[place : place + 3])
    growing.value  # noqa: B018
    # Of the processor, which is some tenths of it: no neighbour makes it longer.
    assert time.process_time() - begin < 60, "a quadratic cost would take minutes"
