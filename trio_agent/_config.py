"""What an agent is: frozen configuration.

What is wrong with it is told where it is made, before anything runs. Types of dependencies and
answers are for type checkers: `Agent` says them; here everything fits.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Literal

import attrs
import msgspec
from attrs.validators import in_, instance_of

from ._limits import Limits
from ._messages import Prepare
from ._output.shape import OutT_co, Shape, shape_of
from .models._model import Model
from .models._names import to_model
from .models._parts import ToolSpec, check_options
from .tools._call import Tell
from .tools._context import RunContext, RunFacts
from .tools._contract import DepsT_contra, Tool
from .tools._signature import name_of
from .tools._source import ToolSource
from .tools._tool import as_tool


def _to_tools(tools: Iterable[Any]) -> tuple[Tool[Any], ...]:
    made = tuple(as_tool(tool) for tool in tools)
    names = [tool.name for tool in made]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two tools are called {name!r}: rename one with @tool(name=...)")
    return made


def _to_sources(sources: Iterable[Any]) -> tuple[ToolSource, ...]:
    made = tuple(sources)
    for source in made:
        if not isinstance(source, ToolSource):
            raise TypeError(f"sources: {source!r} is no ToolSource; a single tool goes into tools")
    return made


def _to_validators(validators: Iterable[Any]) -> tuple[Callable[..., Any], ...]:
    made = tuple(validators)
    for validator in made:
        if not callable(validator):
            raise TypeError(f"output_validators: {validator!r} is no function")
    return made


def _check_function(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is not None and not callable(value):
        raise TypeError(f"{attribute.name}: {value!r} is no function")


def _check_instructions(_: object, __: object, value: object) -> None:
    if not isinstance(value, str) and not callable(value):
        raise TypeError(f"instructions are a str or a function of the RunContext, not {value!r}")


@attrs.frozen(kw_only=True, eq=False)
class AgentConfig(Generic[DepsT_contra, OutT_co]):
    """The configuration of an agent. `Agent` adds the ways to run it."""

    model: Model = attrs.field(converter=to_model)
    name: str = "agent"
    version: str = attrs.field(default="", validator=instance_of(str))
    instructions: str | Callable[[RunContext[DepsT_contra]], str] = attrs.field(
        default="", repr=False, validator=_check_instructions
    )
    tools: tuple[Tool[Any], ...] = attrs.field(default=(), converter=_to_tools)
    sources: tuple[ToolSource, ...] = attrs.field(default=(), converter=_to_sources)
    open_deps: Callable[[RunFacts], AbstractAsyncContextManager[Any]] | None = attrs.field(
        default=None, validator=_check_function
    )
    output: Any = None
    """The type of the answer, a union of types or a tuple of them; None, as `str`: text."""
    shape: Shape[Any] | None = attrs.field(init=False, repr=False)
    """What `output` means; None: text."""
    output_validators: tuple[Callable[..., Any], ...] = attrs.field(
        default=(), converter=_to_validators
    )
    prepare: Prepare | None = attrs.field(default=None, validator=_check_function)
    tool_errors: Tell = attrs.field(default="type", validator=in_(("hidden", "type", "message")))
    limits: Limits = Limits()
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False, validator=check_options)
    tool_choice: str | None = attrs.field(default=None)
    on_worker_lost: Literal["continue", "end"] = attrs.field(
        default="continue", validator=in_(("continue", "end"))
    )

    @shape.default
    def _shape_of_output(self) -> Shape[Any] | None:
        return None if self.output is None or self.output is str else shape_of(self.output)

    @tool_choice.validator
    def _check_tool_choice(self, _: object, choice: str | None) -> None:
        if choice in (None, "auto", "none") or (choice == "required" and self.tools):
            return
        if self.sources and isinstance(choice, str):
            return  # What is there is known when they are open.
        if choice not in self.tools_by_name:
            names = ", ".join(sorted(self.tools_by_name)) or "none"
            raise ValueError(
                f"tool_choice is 'auto', 'none', 'required' or the name of a tool, not {choice!r};"
                f" the tools are: {names}"
            )

    @property
    def tools_by_name(self) -> Mapping[str, Tool[Any]]:
        """The tools by their names."""
        return {tool.name: tool for tool in self.tools}

    @property
    def tool_specs(self) -> tuple[ToolSpec, ...]:
        """The tools as the model sees them."""
        return tuple(tool.spec for tool in self.tools)

    @property
    def waiting_tools(self) -> tuple[str, ...]:
        """What may have to wait for somebody: tools by their names, and sources."""
        tools = [tool.name for tool in self.tools if tool.may_wait]
        sources = [repr(source) for source in self.sources if source.may_wait]
        return (*tools, *sources)

    def fingerprint(self) -> bytes:
        """Encode what a continuation of a run must find unchanged.

        That is what the model is told, and what of your code decides about the run: functions by
        the names that they are defined by, sub-agents by their fingerprints. Of a change within a
        function nobody knows but you: `version` says it.
        """
        told = self.instructions
        declared: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "instructions": told if isinstance(told, str) else name_of(told),
            "tools": [(attrs.asdict(tool.spec), tool.fingerprint()) for tool in self.tools],
            "sources": [source.fingerprint() for source in self.sources],
            "output": None if self.shape is None else attrs.asdict(self.shape.spec),
            "validators": [name_of(validator) for validator in self.output_validators],
            "prepare": None if self.prepare is None else name_of(self.prepare),
        }
        return msgspec.json.encode(declared)
