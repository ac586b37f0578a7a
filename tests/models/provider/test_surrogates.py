"""Halves of surrogate pairs in deltas."""

import pytest
from hypothesis import given, settings, strategies as st

from trio_agent.models._parts import ModelPart, ReasoningPart, TextPart, ToolInputPart
from trio_agent.models._provider._surrogates import SurrogateJoiner


def join(*deltas: str) -> list[str]:
    joiner = SurrogateJoiner()
    parts = [*joiner.feed(map(TextPart, deltas)), *joiner.flush()]
    assert list(joiner.flush()) == []
    return [part.delta for part in parts]


@pytest.mark.parametrize(
    ("deltas", "joined"),
    [
        (["a", "é\U0001f600"], ["a", "é\U0001f600"]),
        (["a\ud83d", "\ude00b"], ["a", "\U0001f600b"]),
        (["\ud83d", "\ude00"], ["\U0001f600"]),
        (["\ud83d\ude00"], ["\U0001f600"]),
        (["\ud83d", "a"], ["\ufffda"]),
        (["a", "\ud83d"], ["a", "\ufffd"]),
        (["\ude00a"], ["\ufffda"]),
        (["a\ud83db"], ["a\ufffdb"]),
        (["\ud83d", "\ud83d", "\ude00"], ["\ufffd", "\U0001f600"]),
        (["\ude00\ud83d", "\ude00\ud83d"], ["\ufffd", "\U0001f600", "\ufffd"]),
    ],
)
def test_halves(deltas: list[str], joined: list[str]) -> None:
    assert join(*deltas) == joined


def test_each_stream_has_its_own_halves() -> None:
    streams: list[ModelPart] = [
        TextPart(""), ReasoningPart(""), ToolInputPart("a", "f", ""), ToolInputPart("b", "f", "")
    ]  # fmt: skip
    joiner = SurrogateJoiner()
    high: list[ModelPart] = [type(s)(*_words(s), delta="\ud83d") for s in streams]
    assert list(joiner.feed(high[:2])) == []
    assert list(joiner.feed(high[2:])) == []
    assert [part.delta for part in joiner.feed(streams)] == [""] * 4
    low = [type(s)(*_words(s), delta="\ude00") for s in streams[:3]]
    assert [part.delta for part in joiner.feed(low)] == ["\U0001f600"] * 3
    assert list(joiner.flush()) == [ToolInputPart("b", "f", "\ufffd")]


def _words(part: ModelPart) -> list[str]:
    return [part.id, part.name] if isinstance(part, ToolInputPart) else []


@settings(deadline=None)
@given(st.text(), st.integers(1, 3))
def test_text_that_is_cut_by_utf_16_units_comes_out_whole(text: str, size: int) -> None:
    data = text.encode("utf-16-le")
    cuts = range(0, len(data), 2 * size)
    deltas = [data[at : at + 2 * size].decode("utf-16-le", "surrogatepass") for at in cuts]
    assert "".join(join(*deltas)) == text


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("a\ud83d\ude00\U0001f600"), min_size=1)))
def test_what_comes_out_can_be_encoded(deltas: list[str]) -> None:
    joined = join(*deltas)
    "".join(joined).encode()
    assert all(joined)
