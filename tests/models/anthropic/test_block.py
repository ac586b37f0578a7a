"""One block, piece by piece."""

from typing import Any

import pytest

from trio_agent.models.anthropic._block import Block, Call


def test_texts_grow_from_what_they_began_with() -> None:
    block = Block({"type": "thinking", "thinking": "a", "signature": ""})
    for piece in ("b", "c"):
        block.grow("thinking", piece)
    block.grow("signature", "s")
    assert block.written() == {"type": "thinking", "thinking": "abc", "signature": "s"}


def test_halves_of_pairs_are_joined_or_replaced() -> None:
    block = Block({"type": "text"})
    for piece in ("\ud83d", "\ude42", "\ud83d"):
        block.grow("text", piece)
    assert block.written() == {"type": "text", "text": "\U0001f642\ufffd"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"type": "text", "text": ""}, None),
        ({"type": "thinking", "thinking": "", "signature": ""}, None),
        ({"type": "thinking", "thinking": "", "signature": "s"},
         {"type": "thinking", "thinking": "", "signature": "s"}),
        ({"type": "redacted_thinking", "data": "d"}, {"type": "redacted_thinking", "data": "d"}),
        ({"type": "news"}, {"type": "news"}),
        ({}, {}),
    ],
)  # fmt: skip
def test_what_says_nothing_does_not_go_back(fields: Any, expected: Any) -> None:
    assert Block(fields).written() == expected


def test_citations_are_collected() -> None:
    block = Block({"type": "text", "text": "a", "citations": None})
    block.add_citation({"n": 1})
    block.add_citation({"n": 2})
    assert block.written() == {"type": "text", "text": "a", "citations": [{"n": 1}, {"n": 2}]}


def test_deltas_of_unknown_types() -> None:
    block = Block({"type": "compaction", "content": None})
    block.add_unknown({"type": "compaction_delta", "content": "a"})
    block.add_unknown({"type": "compaction_delta", "content": "b", "n": 1})
    block.add_unknown({"type": "compaction_delta", "n": 2})
    assert block.written() == {"type": "compaction", "content": "ab", "n": 2}
    block.add_unknown({"content": [3]})
    assert block.written() == {"type": "compaction", "content": [3], "n": 2}


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [([], {}), (['{"a":', "1}"], {"a": 1}), (['{"a":'], {}), (["[1]"], {}), (["[" * 99_999], {})],
)
def test_the_input_of_a_servers_tool(pieces: list[str], expected: Any) -> None:
    block = Block({"type": "server_tool_use", "id": "s", "name": "f", "input": {}})
    assert block.takes_input
    for piece in pieces:
        block.add_input(piece)
    assert block.written() == {
        "type": "server_tool_use", "id": "s", "name": "f", "input": expected,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("whole", "pieces", "given", "kept"),
    [
        ("", [], "", {}),
        ("", ["{}"], "{}", {"input": {}}),
        ("", ["{}", '{"a":1}'], '{"a":1}', {"input": {"a": 1}}),
        ("", ['{"a":1}', '{"a": 1}'], '{"a":1}', {"input": {"a": 1}}),
        ("", ['{"a":'], '{"a":', {}),
        ('{"a": 1}', [], '{"a": 1}', {"input": {"a": 1}}),
        ('{"a": 1}', ["", "{}"], '{"a": 1}', {"input": {"a": 1}}),
        ('{"a": 1}', ['{"a":', "2}"], '{"a":2}', {"input": {"a": 2}}),
    ],
)
def test_the_input_of_a_call(whole: str, pieces: list[str], given: str, kept: Any) -> None:
    call = Call("t", "t", "f", whole)
    assert "".join([*map(call.add, pieces), call.end()]) == given
    assert call.end() == ""
    block = Block({"type": "tool_use", "caller": {}}, call)
    assert block.written() == {"type": "tool_use", "caller": {}, "name": "f", **kept}


def test_what_is_no_text_is_no_input() -> None:
    fields = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    block = Block(dict(fields))
    block.add_unknown({"type": "input_js", "partial_json": -1})
    assert block.written() == fields
