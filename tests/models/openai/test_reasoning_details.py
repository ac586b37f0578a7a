"""Blocks of reasoning, out of the fragments of a stream."""

from typing import Any

import pytest

from trio_agent.models.openai._reasoning_details import ReasoningDetails


def text(said: str | None = None, index: int | None = 0, **more: Any) -> dict[str, Any]:
    fields = {"type": "reasoning.text", "text": said, "index": index, **more}
    return {name: value for name, value in fields.items() if value is not None}


def sealed(data: str, index: int | None = 0, **more: Any) -> dict[str, Any]:
    return {"type": "reasoning.encrypted", "data": data, "index": index, **more}


CLAUDE = {"format": "anthropic-claude-v1"}


@pytest.mark.parametrize(
    ("deltas", "blocks"),
    [
        ([], []),
        ([[text("a", **CLAUDE)]], [text("a", **CLAUDE)]),
        (
            [[text("a", **CLAUDE)], [text("b", **CLAUDE)], [text(signature="s", **CLAUDE)]],
            [text("ab", signature="s", **CLAUDE)],
        ),
        ([[text("a")], [text("b", signature=None, format="x")]], [text("ab", format="x")]),
        ([[text("a", signature="s")], [text(signature="s")]], [text("a", signature="s")]),
        ([[text("a", signature="s")], [text("b")]], [text("a", signature="s"), text("b")]),
        ([[text("a")], [text("b", 1)], [text("c")]], [text("ac"), text("b", 1)]),
        ([[text("a", None)], [text("b", None)]], [text("ab", None)]),
        ([[text("a", None), text("b", None)]], [text("a", None), text("b", None)]),
        (
            [[text("a", id="x")], [text("b")], [text("c", id="y")]],
            [text("ab", id="x"), text("c", id="y")],
        ),
        ([[text("a")], [{"index": 0, "text": "b"}]], [text("ab")]),
        ([[text("a")], [sealed("x")], [text("b")]], [text("ab"), sealed("x")]),
        ([[sealed("x")], [sealed("x")], [sealed("y")]], [sealed("x"), sealed("y")]),
        ([[sealed("x", id="a"), sealed("x", id="b")]], [sealed("x", id="a"), sealed("x", id="b")]),
        ([[{"summary": "a"}], [{"summary": "b"}]], [{"summary": "ab"}]),
        ([["odd", 7], [None]], ["odd", 7, None]),
        ([[text("a", index=0) | {"index": []}]], [text("a", index=0) | {"index": []}]),
    ],
)  # fmt: skip
def test_blocks(deltas: list[list[Any]], blocks: list[Any]) -> None:
    details = ReasoningDetails()
    for fragments in deltas:
        details.feed(fragments)
    assert details.blocks == blocks


def test_fragments_stay_as_they_are() -> None:
    first = text("a")
    details = ReasoningDetails()
    details.feed([first])
    details.feed([text("b")])
    assert first == text("a")


def test_only_so_many_blocks_are_open_at_a_time() -> None:
    details = ReasoningDetails()
    for index in range(65):
        details.feed([text("a", index)])
    details.feed([text("b", 1)])
    details.feed([text("b", 0)])
    assert len(details.blocks) == 66
    assert (details.blocks[1], details.blocks[-1]) == (text("ab", 1), text("b", 0))
