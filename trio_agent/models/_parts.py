"""What a model is asked, and what it answers piece by piece. Values only."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs
import msgspec

from .._events import Usage
from .._messages import AnyMessage


@attrs.frozen
class ToolSpec:
    """A tool as the model sees it. `schema` is the JSON Schema of its arguments, an object.

    `strict` asks the provider to hold the arguments to it; None leaves that to the provider.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    strict: bool | None = None


@attrs.frozen
class ModelRequest:
    """One call of a model.

    `options` are passed to the provider as they are (`temperature`, `max_tokens`, ...).
    """

    messages: tuple[AnyMessage, ...]
    instructions: str = ""
    tools: tuple[ToolSpec, ...] = ()
    options: Mapping[str, Any] = attrs.field(factory=dict)


class TextPart(msgspec.Struct, frozen=True):
    """A piece of the answer."""

    delta: str


class ReasoningPart(msgspec.Struct, frozen=True):
    """A piece of the reasoning."""

    delta: str


class ToolInputPart(msgspec.Struct, frozen=True):
    """A piece of the arguments of the call `id`, as JSON text.

    The first part of an id opens the call (its delta may be empty); calls of one answer may be
    interleaved. The arguments are complete when the model has finished.
    """

    id: str
    name: str
    delta: str


ModelPart: TypeAlias = TextPart | ReasoningPart | ToolInputPart
"""What a model emits while it speaks."""


@attrs.frozen
class ModelFinish:
    """The end of an answer. A stream that ends without saying why is a `ModelError` instead."""

    reason: Literal["stop", "length", "tool-calls", "content-filter"]
    usage: Usage = Usage()
