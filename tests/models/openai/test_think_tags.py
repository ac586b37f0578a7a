"""Reasoning within the text."""

import itertools

import pytest
from hypothesis import given, settings, strategies as st

from trio_agent.models._parts import ModelPart, ReasoningPart, TextPart, ToolInputPart
from trio_agent.models.openai._think_tags import ThinkTags


def read(*deltas: str, opened: bool = False) -> list[ModelPart]:
    tags = ThinkTags(opened=opened)
    parts = [part for delta in deltas for part in tags.feed([TextPart(delta)])]
    parts += tags.flush()
    assert list(tags.flush()) == []
    assert all(part.delta for part in parts)
    return parts


def joined(parts: list[ModelPart]) -> list[ModelPart]:
    groups = itertools.groupby(parts, type)
    return [kind("".join(part.delta for part in group)) for kind, group in groups]  # type: ignore[call-arg]


CASES: list[tuple[str, list[ModelPart]]] = [
    ("Hello.", [TextPart("Hello.")]),
    ("<think>Hm</think>Hello.", [ReasoningPart("Hm"), TextPart("Hello.")]),
    ("<think>\nHm\n</think>\n\nHello.\n", [ReasoningPart("Hm\n"), TextPart("Hello.\n")]),
    ("a<think>b</think>c", [TextPart("a"), ReasoningPart("b"), TextPart("c")]),
    ("<think></think>a", [TextPart("a")]),
    ("<think>a", [ReasoningPart("a")]),
    ("<think>a</thin", [ReasoningPart("a</thin")]),
    ("<think>a<think>b</think>c", [ReasoningPart("a<think>b"), TextPart("c")]),
    ("a</think>b", [TextPart("a</think>b")]),
    ("a<b<<think>c", [TextPart("a<b<"), ReasoningPart("c")]),
    ("1 < 2", [TextPart("1 < 2")]),
    ("<", [TextPart("<")]),
    ("", []),
]


@pytest.mark.parametrize(("text", "parts"), CASES)
def test_tags(text: str, parts: list[ModelPart]) -> None:
    assert joined(read(text)) == parts
    assert joined(read(*text)) == parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Hm</think>\n\nHello.", [ReasoningPart("Hm"), TextPart("Hello.")]),
        ("\nHm</think>Hello.", [ReasoningPart("Hm"), TextPart("Hello.")]),
        ("<think>\nHm</think>Hello.", [ReasoningPart("Hm"), TextPart("Hello.")]),
        (" <think>Hm</think>Hello.", [ReasoningPart("Hm"), TextPart("Hello.")]),
        ("a<think>b</think>c", [ReasoningPart("a<think>b"), TextPart("c")]),
        ("a</think>b<think>c</think>d", [
            ReasoningPart("a"), TextPart("b"), ReasoningPart("c"), TextPart("d"),
        ]),
        ("</think>Hello.", [TextPart("Hello.")]),
        ("<thin", [ReasoningPart("<thin")]),
        ("Hm", [ReasoningPart("Hm")]),
        (" ", []),
        ("", []),
    ],
)  # fmt: skip
def test_tags_that_the_prompt_has_opened(text: str, parts: list[ModelPart]) -> None:
    assert joined(read(text, opened=True)) == parts
    assert joined(read(*text, opened=True)) == parts


def test_nothing_is_held_back_that_is_no_begin_of_a_tag() -> None:
    tags = ThinkTags()
    assert list(tags.feed([TextPart("a <thin")])) == [TextPart("a ")]
    assert list(tags.feed([TextPart("g> b")])) == [TextPart("<thing> b")]


def test_other_parts_pass() -> None:
    others = [ReasoningPart("<think>"), ToolInputPart("a", "f", "<think>")]
    assert list(ThinkTags().feed(others)) == others


@settings(deadline=None)
@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "/", "th", "ink>", " ", "a"])),
       st.lists(st.integers(0, 40)))  # fmt: skip
def test_cuts_change_nothing(words: list[str], cuts: list[int]) -> None:
    text = "".join(words)
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(edges)]
    assert joined(read(*pieces)) == joined(read(text))
