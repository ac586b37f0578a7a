"""What is new in each event of an answer."""

from typing import Any

import pytest

from trio_agent._errors import ModelError
from trio_agent.models._parts import ModelPart, ReasoningPart, TextPart, ToolInputPart
from trio_agent.models.openai_responses._event import read_event
from trio_agent.models.openai_responses._output import Output


def take(*events: dict[str, Any]) -> tuple[Output, list[ModelPart]]:
    output, parts = Output(), list[ModelPart]()
    for event in events:
        assert output.take(read_event(event, ""), parts)
    return output, parts


def added(**item: Any) -> dict[str, Any]:
    return {"type": "response.output_item.added", "item": {"type": "function_call", **item}}


def args(delta: str) -> dict[str, Any]:
    return {"type": "response.function_call_arguments.delta", "delta": delta}


@pytest.mark.parametrize(
    ("type_", "part"),
    [
        ("output_text", TextPart("x")),
        ("refusal", TextPart("x")),
        ("reasoning_summary_text", ReasoningPart("x")),
        ("reasoning_text", ReasoningPart("x")),
        ("reasoning", ReasoningPart("x")),
    ],
)
def test_deltas(type_: str, part: ModelPart) -> None:
    assert take({"type": f"response.{type_}.delta", "delta": "x"})[1] == [part]
    assert take({"type": f"response.{type_}.delta", "delta": ""})[1] == []
    assert take({"type": f"response.{type_}.done", "text": "x"})[1] == [part]


@pytest.mark.parametrize("type_", ["response.created", "response.web_search_call.completed", ""])
def test_what_is_of_no_item(type_: str) -> None:
    assert not Output().take(read_event({"type": type_}, ""), [])


def test_a_call_is_given_on_once_its_name_is_known() -> None:
    output, parts = take(added(call_id="c", name=""), args('{"a"'))
    assert (parts, output.are_named) == ([], False)
    event = {"item": {"type": "function_call", "call_id": "c", "name": "f"}}
    output.take(read_event({"type": "response.output_item.done", **event}, ""), parts)
    assert parts == [ToolInputPart("c", "f", '{"a"')]
    assert (output.are_named, output.are_whole) == (True, False)


def test_ids_of_calls_are_unique() -> None:
    _, parts = take(*(added(call_id="c", id=f"fc_{n}", name="f") for n in range(3)))
    assert [part.id for part in parts if isinstance(part, ToolInputPart)] == ["c", "c-2", "c-3"]


def test_what_was_held_back_comes_at_the_end() -> None:
    output, parts = take(added(call_id="c", name="f"), args("{}"))
    assert parts == [ToolInputPart("c", "f", "")]
    output.flush(parts)
    output.flush(parts)
    assert parts[1:] == [ToolInputPart("c", "f", "{}")]


def test_arguments_without_a_name_are_bounded() -> None:
    with pytest.raises(ModelError, match="without its name"):
        take(*[args("x" * 500_000)] * 3)
