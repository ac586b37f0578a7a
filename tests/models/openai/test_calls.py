"""Which call does a fragment belong to? What providers send stands in `test_chat`."""

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from trio_agent._errors import ModelError
from trio_agent.models._parts import ModelPart, ToolInputPart
from trio_agent.models.openai._calls import Calls
from trio_agent.models.openai._chunk import Function, ToolCall


def call(
    index: int | None, id_: str | None = None, name: str | None = None, text: str | None = None
) -> ToolCall:
    return ToolCall(index, id_, Function(name, text))


def feed(calls: Calls, *fragments: ToolCall) -> list[ModelPart]:
    parts: list[ModelPart] = []
    calls.feed(list(fragments), parts)
    return parts


def test_nothing() -> None:
    calls = Calls()
    assert not calls
    assert calls.are_named
    assert calls.are_whole
    assert feed(calls, ToolCall(0), ToolCall(1, "a", Function())) == []
    assert not calls, "calls that nothing is known of are none"
    assert calls.are_named
    assert list(calls.end()) == []


def test_a_call_is_opened_once_its_name_is_known() -> None:
    calls = Calls()
    assert feed(calls, call(0, None, None, "{"), call(0, "a")) == []
    assert (bool(calls), calls.are_named) == (True, False)
    assert feed(calls, call(0, None, "f")) == [ToolInputPart("a", "f", "{")]
    assert (calls.are_named, calls.are_whole) == (True, False)
    assert feed(calls, call(0, None, None, "}")) == [ToolInputPart("a", "f", "}")]
    assert calls.are_whole


def test_a_placeholder_opens_a_call_and_comes_at_the_end() -> None:
    calls = Calls()
    assert feed(calls, call(0, "a", "f", "{}")) == [ToolInputPart("a", "f", "")]
    assert calls.are_whole
    assert list(calls.end()) == [ToolInputPart("a", "f", "{}")]
    assert list(calls.end()) == []


def test_a_name_is_given_on_when_it_is_whole() -> None:
    calls = Calls()
    assert feed(calls, call(0, "a", "f")) == []
    assert calls.are_whole
    assert feed(calls, call(0, None, "g")) == []
    assert feed(calls, call(1, "b", "h")) == [ToolInputPart("a", "fg", "")]
    assert list(calls.end()) == [ToolInputPart("b", "h", "")]
    assert list(calls.end()) == []


def test_ids_are_unique() -> None:
    ids = ["a", "a", "a-2", None, "call_3", "a"]
    fragments = [call(index, id_, "f", "") for index, id_ in enumerate(ids)]
    calls = Calls()
    parts = [*feed(calls, *fragments), *calls.end()]
    assert [part.id for part in parts if isinstance(part, ToolInputPart)] == [
        "a", "a-2", "a-2-2", "call_3", "call_3-2", "a-3",
    ]  # fmt: skip


def test_the_bounds() -> None:
    calls = Calls()
    with pytest.raises(ModelError, match="more than 128 tools"):
        feed(calls, *(call(index, None, "f") for index in range(129)))
    for fragment in (
        call(0, None, None, "x" * (1 << 19)),
        call(0, None, "f" * (1 << 19)),
        call(None, "a" * (1 << 19)),
    ):
        calls = Calls()
        feed(calls, fragment)
        with pytest.raises(ModelError, match="without its name"):
            feed(calls, call(1, "b" * (1 << 19), "fg"))


def test_arguments_of_a_known_name_are_not_bounded_here() -> None:
    text = '{"x":"' + "x" * (1 << 21) + '"}'
    assert feed(Calls(), call(0, "a", "f", text)) == [ToolInputPart("a", "f", text)]


def test_what_is_to_come_back_with_the_calls() -> None:
    def extra(value: int) -> msgspec.Raw:
        return msgspec.Raw(b"%d" % value)

    calls = Calls()
    for fragment, back in [
        (call(0, "a", "f", '{"x":1}'), 1),
        (call(1, "b", "g", "{"), 2),
        (call(1, None, None, "}"), None),
        (call(0, "a", "f", '{"x":1}'), 3),  # said again as a whole
        (call(2, "c", None, None), 4),  # nothing but its id
        (call(3, "d", "h", ""), None),
        (call(4, "e", None, None), 5),
        (call(4, None, "i", ""), None),
    ]:
        if back is not None:
            fragment.extra_content = extra(back)
        feed(calls, fragment)
    list(calls.end())
    assert [(name, bytes(back)) for name, back in calls.extras()] == [
        ("f", b"3"), ("g", b"2"), ("h", b""), ("i", b"5"),
    ]  # fmt: skip


def test_what_is_to_come_back_is_bounded() -> None:
    calls = Calls()
    large = ToolCall(0, "a", Function("f"), msgspec.Raw(b"1" * (1 << 19)))
    feed(calls, large, large)
    with pytest.raises(ModelError, match="too large"):
        feed(calls, large)


FRAGMENTS = st.builds(
    call,
    st.none() | st.integers(0, 2),
    st.sampled_from([None, "", " ", "a", "b", "call_0"]),
    st.sampled_from([None, "", "f", "g"]),
    st.sampled_from([None, "", " ", "{}", "null", "{", "}", '{"x":1}', '{"x":2}', '"{']),
)


@settings(deadline=None)
@given(st.lists(st.lists(FRAGMENTS, max_size=3), max_size=6))
def test_parts_are_in_order_whatever_comes(deltas: list[list[ToolCall]]) -> None:
    calls = Calls()
    parts = [part for delta in deltas for part in feed(calls, *delta)]
    parts += calls.end()
    names: dict[str, str] = {}
    for part in parts:
        assert isinstance(part, ToolInputPart)
        assert part.id
        assert part.name
        assert part.delta or part.id not in names, "only an opening is empty"
        assert names.setdefault(part.id, part.name) == part.name
    assert bool(names) <= bool(calls)
