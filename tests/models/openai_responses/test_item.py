"""One item of an answer."""

from typing import Any

import pytest

from trio_agent._errors import ModelError
from trio_agent.models.openai_responses._item import (
    Item,
    Stream,
    call_id_of,
    id_of,
    kind_of,
    texts_of,
)


def message(*texts: str) -> dict[str, Any]:
    return {"content": [{"type": "output_text", "text": text} for text in texts]}


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        *((kind, kind) for kind in ("message", "reasoning", "function_call")),
        ("web_search_call", "other"),
        ("", "other"),
        (None, "other"),
        (7, "other"),
        ([], "other"),
    ],
)
def test_kinds(type_: Any, kind: str) -> None:
    assert kind_of({"type": type_}) == kind


def test_ids() -> None:
    value = {"id": " a ", "call_id": 7}
    assert (id_of(value), call_id_of(value)) == ("a", "7")
    assert (id_of({"id": []}), call_id_of({})) == ("", "")


@pytest.mark.parametrize(
    ("said", "whole", "rest"),
    [
        ([], "Hello", "Hello"),
        ([(0, "Hel")], "Hello", "lo"),
        ([(0, "Hello")], "Hello", ""),
        ([(0, " Hello")], "Hello", ""),
        ([(1, "Hello")], "Hello", ""),
        ([(1, "Hel")], "Hello", "lo"),
        ([(1, "First. ")], "Second.", "Second."),
        ([(None, "Hel")], "Hello", "lo"),
    ],
)
def test_the_rest_of_a_part(said: list[tuple[int, str]], whole: str, rest: str) -> None:
    item = Item("message")
    for part, text in said:
        item.say("message", part, text)
    assert item.rest_of_part("message", 0, whole) == rest


@pytest.mark.parametrize(
    ("said", "texts", "rest"),
    [
        ("", ["A", "B"], [(0, "A"), (1, "B")]),
        ("A", ["A", "B"], [(1, "B")]),
        ("AB", ["AB", "CD"], [(1, "CD")]),
        ("ABC", ["AB", "CD"], [(1, "D")]),
        ("ABCD", ["AB", "CD"], []),
        ("X", ["AB", "CD"], []),
        ("ABCDE", ["AB"], []),
    ],
)
def test_the_rest_of_an_item(said: str, texts: list[str], rest: list[tuple[int, str]]) -> None:
    item = Item("message")
    item.say("message", None, said)
    assert list(item.rest("message", message(*texts))) == rest


@pytest.mark.parametrize(
    ("said", "texts", "fits"),
    [("", ["A"], True), ("A", ["AB"], True), ("A", [], True), ("A", ["B"], False)],
)
def test_which_message_an_item_may_be(said: str, texts: list[str], fits: bool) -> None:
    item = Item("message")
    item.say("message", 0, said)
    assert item.fits(message(*texts)) is fits


@pytest.mark.parametrize(
    ("name", "said", "value", "fits"),
    [
        ("f", '{"a"', {"name": "f", "arguments": '{"a":1}'}, True),
        ("", "", {"name": "f", "arguments": "{}"}, True),
        ("f", '{"a"', {"name": "f"}, True),
        ("f", "", {"name": "g", "arguments": "{}"}, False),
        ("f", '{"a"', {"name": "f", "arguments": '{"b":1}'}, False),
    ],
)
def test_which_call_an_item_may_be(name: str, said: str, value: Any, fits: bool) -> None:
    item = Item("function_call", name=name)
    item.arguments.add(said)
    assert item.fits(value) is fits


@pytest.mark.parametrize(
    ("stream", "value", "texts"),
    [
        ("message", message("A", "B"), ["A", "B"]),
        ("message", {"content": [{"type": "refusal", "refusal": "No."}]}, ["No."]),
        ("message", {"content": "A"}, ["A"]),
        ("message", {"content": None}, []),
        ("summary", {"summary": [{"text": "A"}], "content": "B"}, ["A"]),
        ("thought", {"summary": [{"text": "A"}], "content": [{"text": "B"}, 7]}, ["B", "7"]),
    ],
)
def test_texts(stream: Stream, value: dict[str, Any], texts: list[str]) -> None:
    assert list(texts_of(stream, value)) == texts


def test_there_may_be_only_so_many_parts() -> None:
    item = Item("message")
    for part in range(1024):
        item.say("message", part, "a")
    item.say("message", 0, "b")
    with pytest.raises(ModelError, match="more than 1024 parts"):
        item.say("message", 1024, "a")
