"""The text of a call's arguments."""

import json

import pytest
from hypothesis import given, settings, strategies as st

from trio_agent.models._provider._arguments import Arguments


def written(*fragments: str) -> tuple[Arguments, list[str]]:
    arguments = Arguments()
    return arguments, [arguments.add(fragment) for fragment in fragments]


@pytest.mark.parametrize(
    ("fragments", "given_on"),
    [
        (['{"x"', ":1}"], ['{"x"', ":1}", ""]),
        (["{}"], ["", "{}"]),
        ([" { } "], ["", "{}"]),
        (["null"], ["", "{}"]),
        (["{}", '{"x":', "1}"], ["", '{"x":', "1}", ""]),
        (["null", " ", "{}", "{"], ["", "", "", "{", ""]),
        (["{}", ""], ["", "", "{}"]),
        (["", " \n", "{", " "], ["", "", "{", " ", ""]),
        (["{", "}"], ["{", "}", ""]),
        ([], [""]),
    ],
)
def test_a_placeholder_is_held_back(fragments: list[str], given_on: list[str]) -> None:
    arguments, now = written(*fragments)
    assert [*now, arguments.end()] == given_on
    assert arguments.text == "".join(given_on)
    assert arguments.end() == ""
    assert not arguments.is_placeholder


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("", False),
        ("{", False),
        ("{}", True),
        ('{"x":1}', True),
        (' {"x":{"y":[{}]}} ', True),
        ('{"x":{"y":[{}]}', False),
        ('{"x":"}"', False),
        ('{"x":"\\"}"', False),
        ('{"x":"\\\\"}', True),
        ('{"x":"\\\\\\"}', False),
        ('{"x":1}}', True),
        ('{"x":1} and', True),
        ('"{}"', False),
        ("x}", False),
        ("[1]", False),
    ],
)
def test_closed(text: str, closed: bool) -> None:
    assert written(text)[0].is_closed() == closed
    piece_by_piece = Arguments()
    for character in text:
        piece_by_piece.add(character)
        piece_by_piece.is_closed()
    assert piece_by_piece.is_closed() == closed


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.text() | st.lists(st.text()), min_size=1))
def test_an_object_is_closed_by_its_last_character(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False)
    arguments = Arguments()
    for character in text[:-1]:
        arguments.add(character)
        assert not arguments.is_closed()
    arguments.add(text[-1])
    assert arguments.is_closed()
    assert arguments.repeats(text)
    assert arguments.is_json()


def test_each_character_is_looked_at_once() -> None:
    arguments = Arguments()
    arguments.add('{"x":"')
    for _ in range(20_000):
        arguments.add("{}")
        assert not arguments.is_closed()
    assert arguments._seen == 20_001


def test_repeated() -> None:
    assert written('{"x":', "1}")[0].repeats('{"x":1}')
    assert not written('{"x":', "1}")[0].repeats('{"x":2}')
    assert not written('{"x":')[0].repeats('{"x":')
    assert written('{"x":', "1}")[0].repeats('{ "x": 1 }')
    assert not written('{"x":', "1}")[0].repeats('{"x":1.0}')
    assert not written('{"x":', "1}")[0].repeats('{"x":')
    assert not written("{x}")[0].repeats("{y}")
    assert written("{}")[0].repeats("{ }")
    assert not written("{}")[0].repeats('{"x":1}')


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("", True),
        ("{}", True),
        ('"{}"', True),
        ('{"x":"\n\\ud83d"}', True),
        ('{"x":"\n', False),
        ("{", False),
        ("[" * 9999, False),
    ],
)
def test_json(text: str, good: bool) -> None:
    assert written(text)[0].is_json() == good


@pytest.mark.parametrize("behind", ["{}", "{", '{"y":1}'])
def test_what_comes_behind_whole_arguments_has_them_read_once(
    behind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, _ = written('{"x":', "1}")
    read: list[str] = []
    monkeypatch.setattr(
        "trio_agent.models._provider._arguments.read_json",
        lambda text: read.append(text) or json.loads(text),
    )
    for _ in range(10):
        assert not arguments.repeats(behind)
        arguments.add(behind)
    assert sum("x" in text for text in read) <= 1


def test_white_space_behind_whole_arguments_changes_nothing() -> None:
    arguments, _ = written("{}", '{"x":1}')
    assert arguments.repeats('{ "x": 1 }')
    arguments.add("\n")
    assert arguments.repeats('{ "x": 1 }')


def test_a_placeholder_that_was_repeated_is_forgotten() -> None:
    arguments, _ = written("{}")
    assert arguments.repeats("{ }")
    arguments.add('{"x":1}')
    assert arguments.repeats('{ "x": 1 }')
    assert not arguments.repeats("{}")
