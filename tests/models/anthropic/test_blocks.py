"""Which block a delta belongs to, and how much of them there may be. Shapes: test_messages."""

from typing import Any

import pytest

from trio_agent._errors import ModelError
from trio_agent.models._parts import ModelPart, TextPart, ToolInputPart
from trio_agent.models.anthropic._blocks import Blocks
from trio_agent.models.anthropic._event import Delta

TEXT = {"type": "text", "text": ""}


def use(id_: str = "t", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": "f", "input": {}, **fields}


def test_an_index_is_good_for_one_response() -> None:
    blocks, parts = Blocks(), list[ModelPart]()
    blocks.start(0, TEXT, parts)
    blocks.add(0, Delta(text="a"), parts)
    blocks.go_on()
    blocks.add(0, Delta(text="b"), parts)
    assert [block["text"] for block in blocks.content()] == ["a", "b"]


def test_signatures_behind_the_text_belong_to_a_thought() -> None:
    blocks, parts = Blocks(), list[ModelPart]()
    blocks.add(0, Delta(thinking="hm"), parts)
    blocks.add(0, Delta(signature="s"), parts)
    assert blocks.content() == [{"type": "thinking", "thinking": "hm", "signature": "s"}]


def test_calls_are_whole_if_their_inputs_are() -> None:
    blocks, parts = Blocks(), list[ModelPart]()
    assert not blocks.calls_tools
    blocks.start(0, use(), parts)
    assert blocks.calls_tools
    assert blocks.are_whole
    blocks.add(0, Delta(partial_json='{"a":'), parts)
    assert not blocks.are_whole
    blocks.add(0, Delta(partial_json="1}"), parts)
    assert blocks.are_whole


def test_blank_input_outside_of_calls_is_nothing() -> None:
    blocks, parts = Blocks(), list[ModelPart]()
    blocks.start(0, TEXT, parts)
    blocks.add(0, Delta(partial_json=" "), parts)
    assert parts == []


def test_servers_calls_are_no_calls_of_ours() -> None:
    blocks, parts = Blocks(), list[ModelPart]()
    blocks.start(0, use(), parts)
    blocks.start(1, {"type": "mcp_tool_use", "id": "m", "name": "g", "input": {}}, parts)
    blocks.add(1, Delta(partial_json='{"b":2}'), parts)
    blocks.add(None, Delta(partial_json=""), parts)
    blocks.add(0, Delta(partial_json='{"a":1}'), parts)
    blocks.end(parts)
    assert parts == [ToolInputPart("t", "f", ""), ToolInputPart("t", "f", '{"a":1}')]
    assert [block["input"] for block in blocks.content()] == [{"a": 1}, {"b": 2}]


def test_the_callers_objects_stay_as_they_are() -> None:
    blocks, value = Blocks(), use()
    blocks.start(0, value, [])
    assert value == use()


def grow_without_end(kind: str) -> None:
    blocks, parts = Blocks(), list[ModelPart]()
    for number in range(100_000):
        big = "x" * 100_000
        match kind:
            case "blocks":
                blocks.start(number, TEXT, parts)
            case "unknown blocks":
                blocks.start(number, {"type": "news", "data": big}, parts)
            case "calls":
                blocks.start(number, use(str(number)), parts)
            case "signatures":
                blocks.add(0, Delta(signature=big), parts)
            case "citations":
                blocks.add(0, Delta(citation={"a": [big]}), parts)
            case "server input":
                if not number:
                    blocks.start(0, {"type": "server_tool_use"}, parts)
                blocks.add(0, Delta(partial_json=big), parts)
            case _:
                if not number:
                    blocks.start(0, {"type": "news"}, parts)
                blocks.add(0, Delta("news_delta", other={"data": big}), parts)


@pytest.mark.parametrize(
    "kind",
    [
        "blocks",
        "unknown blocks",
        "calls",
        "signatures",
        "citations",
        "server input",
        "unknown deltas",
    ],
)
def test_what_grows_without_end_is_refused(kind: str) -> None:
    with pytest.raises(ModelError, match=r"more than|too much") as info:
        grow_without_end(kind)
    assert info.value.code == "bad-response"


def test_text_may_grow_as_long_as_somebody_takes_it() -> None:
    blocks, parts = Blocks(), list[ModelPart]()
    for _ in range(1000):
        blocks.add(0, Delta(text="x" * 100), parts)
    assert len(parts) == 1000
    assert parts[0] == TextPart("x" * 100)


def test_input_that_is_out_of_place_is_the_newest_calls() -> None:
    blocks, parts = Blocks(), list[ModelPart]()
    blocks.start(0, use("a"), parts)
    blocks.start(1, use("b"), parts)
    blocks.start(2, TEXT, parts)
    blocks.add(2, Delta(partial_json='{"x":1}'), parts)
    assert parts[-1] == ToolInputPart("b", "f", '{"x":1}')
