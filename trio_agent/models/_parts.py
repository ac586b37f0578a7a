"""What a model is asked, and what it answers piece by piece. Values only."""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs
import msgspec

from .._errors import ModelError
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
class OutputSpec:
    """The shape that an answer is to have, as the model sees it.

    A codec asks for it as its provider can: by a JSON Schema that the answer is held to, or by a
    tool of this `name`, which never shows as a call. Either way the JSON text is emitted as
    `OutputPart`, and nothing else of it.
    """

    name: str
    """1 to 64 letters, digits, `_` or `-`. No tool of the request has it."""

    description: str
    schema: Mapping[str, Any]
    """The JSON Schema of an object, without references."""


@attrs.frozen
class ModelRequest:
    """One call of a model.

    `options` are passed to the provider as they are (`temperature`, `max_tokens`, ...).
    `tool_choice` is `auto`, `none`, `required` or the name of the tool that is to be called; None
    leaves it to the provider. With an `output`, the model either calls tools or gives an answer of
    that shape.
    """

    messages: tuple[AnyMessage, ...]
    instructions: str = ""
    tools: tuple[ToolSpec, ...] = ()
    options: Mapping[str, Any] = attrs.field(factory=dict)
    tool_choice: str | None = None
    output: OutputSpec | None = None


MAX_CALLS: Final = 128
"""Tool calls in one answer; each becomes a task."""

RESERVED_OPTIONS: Final = ("model", "messages", "stream", "tools")
"""What a request says by itself, in the words that providers have for it."""


def reserved_option(options: Mapping[str, Any]) -> str | None:
    """Return the first option that would override what the request says by itself."""
    return next((name for name in RESERVED_OPTIONS if name in options), None)


def refuse_reserved(options: Mapping[str, Any], *more: str) -> None:
    """Make sure that no option of a request overrides what that says by itself.

    Args:
        options: of the request.
        more: other names of what it says, in one provider's words.

    Raises:
        ModelError: `bad-request`: one does.
    """
    name = reserved_option(options) or next((each for each in more if each in options), None)
    if name is not None:
        raise ModelError("bad-request", f"the option {name!r} is set by the agent: remove it")


def check_options(_: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """Refuse options that are not for people to set, where they are given."""
    if name := reserved_option(value):
        raise ValueError(f"{attribute.name}: {name!r} is set by the agent and its model: remove it")


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


class OutputPart(msgspec.Struct, frozen=True):
    """A piece of the answer that has the shape of `ModelRequest.output`: JSON text."""

    delta: str


ModelPart: TypeAlias = TextPart | ReasoningPart | ToolInputPart | OutputPart
"""A piece of what a model says."""


class SwitchPart(msgspec.Struct, frozen=True):
    """Another model answers from here on: before all else that is said, and no part of it."""

    from_model: str
    to_model: str
    code: str
    """Why, as `ModelError.code` says it."""
    message: str


EmittedPart: TypeAlias = ModelPart | SwitchPart
"""What a model emits while it speaks."""


def is_heard(part: EmittedPart) -> bool:
    """Whether a part can't be taken back: not that another model answers, nor an empty text.

    One that opens a call is, although it may be no event yet.
    """
    return type(part) is ToolInputPart or (not isinstance(part, SwitchPart) and part.delta != "")


@attrs.frozen
class ModelFinish:
    """The end of an answer. A stream that ends without saying why is a `ModelError` instead.

    Args:
        reason: why it ended.
        usage: what it cost.
        model: the name of the model that gave it.
        provider: JSON that the provider wants back with the answer, such as signatures, by the
            endpoint that can read it; see `AssistantMessage.provider`.
    """

    reason: Literal["stop", "length", "tool-calls", "content-filter"]
    usage: Usage = Usage()
    model: str = ""
    provider: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
