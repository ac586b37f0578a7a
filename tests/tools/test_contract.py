"""Tools of any kind."""

from collections.abc import Mapping
from typing import Any

import pytest
import trio

from trio_agent.models._parts import ToolSpec
from trio_agent.tools._context import ToolContext
from trio_agent.tools._contract import Tool
from trio_agent.tools._tool import as_tool


class Remote(Tool[object]):
    description = "Far away."
    schema: Mapping[str, Any] = {"type": "object"}

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    async def call(self, arguments: Any, context: ToolContext[object]) -> Any:
        await trio.lowlevel.checkpoint()
        return arguments


def test_tools_of_any_kind_have_names_that_providers_take() -> None:
    made = Remote("far-away")
    assert as_tool(made) is made
    assert (made.strict, made.deadline) == (None, None)
    assert made.spec == ToolSpec("far-away", "Far away.", {"type": "object"})
    for name in ("far away", "", 1):
        with pytest.raises(ValueError, match=f"{name!r} is no tool name"):
            as_tool(Remote(name))  # type: ignore[arg-type]


def test_a_tool_has_to_say_what_it_is() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Tool()  # type: ignore[abstract]
