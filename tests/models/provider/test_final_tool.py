"""The tool by which a model gives an answer."""

from trio_agent.models._parts import ModelPart, OutputPart, ReasoningPart, TextPart, ToolInputPart
from trio_agent.models._provider._final_tool import FinalTool


def through(*parts: ModelPart) -> list[ModelPart]:
    tool = FinalTool("final")
    return [*(each for part in parts for each in tool.feed([part])), *tool.flush()]


def test_its_input_is_the_answer() -> None:
    assert through(
        TextPart("So:"),
        ToolInputPart("1", "final", ""),
        ToolInputPart("1", "final", '{"a"'),
        ToolInputPart("1", "final", ":1}"),
    ) == [TextPart("So:"), OutputPart('{"a"'), OutputPart(":1}")]


def test_calls_of_others_stay_where_they_are() -> None:
    assert through(
        ToolInputPart("1", "f", ""),
        ToolInputPart("2", "final", "{"),
        ToolInputPart("1", "f", "{}"),
        ReasoningPart("hm"),
        ToolInputPart("2", "final", "}"),
    ) == [
        ToolInputPart("1", "f", ""),
        OutputPart("{"),
        ToolInputPart("1", "f", "{}"),
        ReasoningPart("hm"),
        OutputPart("}"),
    ]


def test_the_first_call_counts() -> None:
    assert through(
        ToolInputPart("1", "final", ""),
        ToolInputPart("2", "final", "{2}"),
        ToolInputPart("1", "final", "{1}"),
    ) == [OutputPart("{1}")]
