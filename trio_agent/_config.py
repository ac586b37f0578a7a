"""What an agent is: frozen configuration."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import msgspec

from ._limits import Limits
from .models._model import Model
from .models._names import to_model
from .models._parts import ToolSpec, check_options
from .tools._tool import Tool, as_tool


def _to_tools(tools: Iterable[Any]) -> tuple[Tool[..., Any], ...]:
    made = tuple(as_tool(tool) for tool in tools)
    names = [tool.name for tool in made]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two tools are called {name!r}: rename one with @tool(name=...)")
    return made


@attrs.frozen(kw_only=True, eq=False)
class AgentConfig:
    """The configuration of an agent. `Agent` adds the ways to run it."""

    model: Model = attrs.field(converter=to_model)
    name: str = "agent"
    instructions: str = attrs.field(default="", repr=False)
    tools: tuple[Tool[..., Any], ...] = attrs.field(default=(), converter=_to_tools)
    limits: Limits = Limits()
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False, validator=check_options)
    tool_choice: str | None = attrs.field(default=None)

    @tool_choice.validator
    def _check_tool_choice(self, _: object, choice: str | None) -> None:
        if choice in (None, "auto", "none") or (choice == "required" and self.tools):
            return
        if choice not in self.tools_by_name:
            names = ", ".join(sorted(self.tools_by_name)) or "none"
            raise ValueError(
                f"tool_choice is 'auto', 'none', 'required' or the name of a tool, not {choice!r};"
                f" the tools are: {names}"
            )

    @property
    def tools_by_name(self) -> Mapping[str, Tool[..., Any]]:
        """The tools by their names."""
        return {tool.name: tool for tool in self.tools}

    @property
    def tool_specs(self) -> tuple[ToolSpec, ...]:
        """The tools as the model sees them."""
        return tuple(tool.spec for tool in self.tools)

    def fingerprint(self) -> bytes:
        """Encode what a continuation of a run must find unchanged."""
        return msgspec.json.encode(
            [self.name, self.instructions, [attrs.asdict(spec) for spec in self.tool_specs]]
        )
