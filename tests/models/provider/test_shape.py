"""How a shape is asked for, whatever the provider's language."""

from typing import Any

import pytest

from trio_agent._errors import ModelError
from trio_agent.models._parts import ModelRequest, OutputSpec, ToolSpec
from trio_agent.models._provider._shape import as_shape, by_tool, check_output, with_schema
from trio_agent.models._provider._strict_schema import OPENAI

SPEC = OutputSpec("final", "A verdict.", {"type": "object", "properties": {}})
TOOL = ToolSpec("f", "", {})


def request(**fields: Any) -> ModelRequest:
    return ModelRequest((), output=SPEC, **fields)


@pytest.mark.parametrize(
    ("fields", "how", "choice", "is_told"),
    [
        ({}, {}, "final", False),
        ({"tools": (TOOL,)}, {}, "required", True),
        ({}, {"has_others": True}, "required", True),
        ({}, {"can_force": False}, None, True),
        ({"tools": (TOOL,)}, {"can_force": False}, None, True),
        ({"tools": (TOOL,), "tool_choice": "f"}, {}, "f", False),
        ({"tools": (TOOL,), "tool_choice": "none"}, {}, "none", False),
        ({"tool_choice": "auto"}, {"can_force": False}, "auto", True),
        ({"options": {"tool_choice": "auto"}}, {}, None, True),
    ],
)
def test_the_final_tool_is_forced_or_asked_for(
    fields: dict[str, Any], how: dict[str, Any], choice: str | None, is_told: bool
) -> None:
    asked = by_tool(request(**fields), SPEC, **how)
    assert asked.tool_choice == choice
    assert ("`final`" in asked.instructions) is is_told
    *others, final = asked.tools
    assert tuple(others) == fields.get("tools", ())
    assert (final.name, final.schema, final.strict) == ("final", SPEC.schema, None)
    assert final.description.endswith("\n\nA verdict.")
    assert asked.output is None


def test_a_sentence_comes_behind_the_instructions() -> None:
    asked = by_tool(request(instructions="Be brief."), SPEC, can_force=False)
    assert asked.instructions.startswith("Be brief.\n\nWhen you know the answer")


def test_the_input_is_held_to_the_schema_if_that_can_be() -> None:
    [final] = by_tool(request(), SPEC, held_to=OPENAI).tools
    assert (final.strict, final.schema["additionalProperties"]) == (True, False)
    loose = OutputSpec("final", "", {"type": "object", "properties": {"x": {}}})
    [final] = by_tool(request(), loose, held_to=OPENAI).tools
    assert (final.strict, final.schema) == (None, loose.schema)
    assert not final.description.endswith("\n")


def test_a_schema_is_told_behind_the_instructions() -> None:
    told = with_schema(request(instructions="Be brief."), SPEC)
    assert told.output is SPEC
    begin, _, schema = told.instructions.rpartition("\n")
    assert begin.startswith("Be brief.\n\nGive your final answer as JSON")
    assert begin.endswith("\nA verdict.")
    assert schema == '{"type":"object","properties":{}}'


def test_a_name_that_is_taken_is_refused() -> None:
    clash = request(tools=(ToolSpec("final", "", {}),))
    with pytest.raises(ModelError, match="bad-request: the tool 'final' has the name of"):
        check_output(SPEC, clash, option="x")


@pytest.mark.parametrize(
    ("option", "options"),
    [("format", {"format": None}), ("text.format", {"text": {"format": {"type": "text"}}})],
)
def test_two_shapes_are_refused(option: str, options: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=rf"bad-request: .* remove the option '{option}'"):
        check_output(SPEC, request(options=options), option=option)


@pytest.mark.parametrize(
    "options", [{}, {"text": None}, {"text": "format"}, {"text": {}}, {"format": {"text": 1}}]
)
def test_other_options_are_none(options: dict[str, Any]) -> None:
    check_output(SPEC, request(options=options), option="text.format")


def test_what_needs_no_shape_has_none() -> None:
    assert as_shape(ModelRequest(()), "tool") is None
    shape = as_shape(request(), "tool")
    assert shape is not None
    assert (shape.mode, shape.name) == ("tool", "final")
