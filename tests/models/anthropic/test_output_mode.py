"""Which way of asking for a shape suits which of Anthropic's models and options."""

from typing import Any

import pytest

from trio_agent.models._parts import ModelRequest, OutputSpec
from trio_agent.models.anthropic._output_mode import can_force, output_mode

OURS = "anthropic@api.anthropic.com"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"x": {"type": "integer"}}}


def mode(model: str = "claude-opus-4-6", origin: str = OURS, **more: Any) -> str:
    schema = {**SCHEMA, **more}
    return output_mode(origin, model, ModelRequest((), output=OutputSpec("final", "", schema)))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-opus-4-6", "schema"),
        ("claude-sonnet-4-5-20250929", "schema"),
        ("claude-haiku-4-5", "schema"),
        ("claude-opus-4-10", "schema"),
        ("claude-sonnet-5", "schema"),
        ("claude-opus-4-1-20250805", "tool"),
        ("claude-sonnet-4-20250514", "tool"),
        ("claude-opus-4-0", "tool"),
        ("claude-3-7-sonnet-latest", "tool"),
        ("claude-2.1", "tool"),
        ("claude-instant-1.2", "tool"),
    ],
)
def test_models(model: str, expected: str) -> None:
    assert mode(model) == expected


def test_other_endpoints_and_schemas_that_can_not_be_held_are_asked_by_a_tool() -> None:
    assert mode(origin="anthropic@api.deepseek.com") == "tool"
    assert mode(oneOf=[]) == "tool"
    assert output_mode(OURS, "claude-opus-4-6", ModelRequest(())) == "tool"


@pytest.mark.parametrize(
    ("thinking", "can"),
    [
        (None, True),
        ({"type": "disabled"}, True),
        ({"type": "enabled", "budget_tokens": 2000}, False),
        ({"type": "adaptive"}, False),
    ],
)
def test_no_tool_is_forced_while_a_model_thinks(thinking: Any, can: bool) -> None:
    assert can_force(OURS, {"thinking": thinking}) is can
    assert can_force(OURS, {})


def test_deepseek_thinks_unless_it_is_told_not_to() -> None:
    origin = "anthropic@api.deepseek.com"
    assert not can_force(origin, {})
    assert can_force(origin, {"thinking": {"type": "disabled"}})
