"""How a model is asked for an answer that has a shape. Performs no I/O.

There are two ways. In schema mode the provider holds the text of the answer to a JSON Schema; in
tool mode the answer is the input of a tool, the last one of the request, which is forced where
that can be. Beside other tools, a sentence asks for it, too: not every provider that takes a choice
respects it. What a request says of its tools by itself comes first.

Nobody answers the call of that tool: it goes back as a text of the model's.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import attrs
import msgspec

from ..._errors import ModelError
from .._parts import ModelRequest, OutputSpec, ToolSpec
from ._strict_schema import Subset

OutputMode: TypeAlias = Literal["schema", "tool"]
MODES: Final[tuple[OutputMode, ...]] = ("schema", "tool")

_DESCRIPTION: Final = "Gives the final answer. Call it once, when you know the answer."
_INSTRUCTION: Final = "When you know the answer, give it by calling the tool `{}`, not as text."
_SCHEMA: Final = "Give your final answer as JSON, and nothing else, by this JSON Schema:"


@attrs.frozen
class Shape:
    """How one answer was asked for."""

    mode: OutputMode
    name: str


def as_shape(request: ModelRequest, mode: OutputMode) -> Shape | None:
    """Return how the answer to a request is asked for, None if it may be any text."""
    return None if request.output is None else Shape(mode, request.output.name)


def check_output(spec: OutputSpec, request: ModelRequest, *, option: str) -> None:
    """Make sure that nothing else in a request is meant to give its answer a shape.

    Args:
        spec: the shape.
        request: what is asked.
        option: that of the provider's, with a dot where one stands within another.

    Raises:
        ModelError: `bad-request`: something is.
    """
    if _is_given(option, request.options):
        message = f"the agent's output sets the shape of the answer: remove the option {option!r}"
        raise ModelError("bad-request", message)
    if any(tool.name == spec.name for tool in request.tools):
        message = f"the tool {spec.name!r} has the name of the agent's output: rename one of them"
        raise ModelError("bad-request", message)


def _is_given(option: str, options: object) -> bool:
    name, _, inner = option.partition(".")
    if not isinstance(options, Mapping) or name not in options:
        return False
    return not inner or _is_given(inner, options[name])


def by_tool(
    request: ModelRequest,
    spec: OutputSpec,
    *,
    can_force: bool = True,
    has_others: bool = False,
    held_to: Subset | None = None,
) -> ModelRequest:
    """Return the request that asks for the same by a tool.

    Args:
        request: what is asked.
        spec: the shape.
        can_force: whether the provider lets a tool be forced.
        has_others: whether there are tools beside those of the request.
        held_to: what the provider is to hold the input to, if that can be.
    """
    schema = None if held_to is None else held_to.narrow(spec.schema)
    strict = True if schema is not None else None
    description = f"{_DESCRIPTION}\n\n{spec.description}".strip()
    final = ToolSpec(spec.name, description, schema or spec.schema, strict)
    choice, instructions = request.tool_choice, request.instructions
    if choice is None and can_force and "tool_choice" not in request.options:
        choice = "required" if request.tools or has_others else spec.name
    if choice in (None, "auto", "required"):
        instructions = _with_sentence(instructions, _INSTRUCTION.format(spec.name))
    return attrs.evolve(
        request,
        tools=(*request.tools, final),
        tool_choice=choice,
        instructions=instructions,
        output=None,
    )


def with_schema(request: ModelRequest, spec: OutputSpec) -> ModelRequest:
    """Return the request that tells the schema, too: not every provider shows it to the model."""
    schema = msgspec.json.encode(spec.schema).decode()
    about = f"{spec.description}\n" if spec.description else ""
    instructions = _with_sentence(request.instructions, f"{_SCHEMA}\n{about}{schema}")
    return attrs.evolve(request, instructions=instructions)


def _with_sentence(instructions: str, sentence: str) -> str:
    return f"{instructions}\n\n{sentence}" if instructions else sentence
