"""The messages of a transcript: what was said, and which tools were called with what result."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from ._content import (
    Content as Content,
    File as File,
    Part as Part,
    Text as Text,
    text_of as text_of,
)
from ._events import ToolRequest, ToolStatus


class Message(msgspec.Struct, frozen=True, rename="camel", tag_field="role", omit_defaults=True):
    """One turn. In JSON the `role` tells whose."""


class SystemMessage(Message, frozen=True, tag="system"):
    """Instructions within a transcript, beside those of the agent."""

    content: str


class UserMessage(Message, frozen=True, tag="user"):
    """What the user said: a text, or texts and files in their order."""

    content: Content


class AssistantMessage(Message, frozen=True, tag="assistant"):
    """What the model said, and the tools that it asked for.

    `reasoning` is what it thought before, where that is told. `provider` is JSON that the model's
    provider wants back, as it gave it, by the endpoint that can read it: never shown to clients,
    nor taken from them. Who changes the rest of a message leaves it out.
    """

    content: str
    tool_calls: tuple[ToolRequest, ...] = ()
    reasoning: str = ""
    provider: Mapping[str, Any] = {}


class ToolMessage(Message, frozen=True, tag="tool"):
    """The result of one call, as text for the model, and the files that came with it."""

    tool_call_id: str
    content: str
    status: ToolStatus = "ok"
    files: tuple[File, ...] = ()

    def __post_init__(self) -> None:
        # msgspec leaves out the default object only: else what was read has another JSON, and with
        # it another digest, than what it was written from.
        if self.status == "ok":
            msgspec.structs.force_setattr(self, "status", "ok")


AnyMessage: TypeAlias = SystemMessage | UserMessage | AssistantMessage | ToolMessage
"""Any message of a transcript."""

Prepare: TypeAlias = Callable[[tuple[AnyMessage, ...]], Iterable[AnyMessage]]
"""Makes of a transcript what a model reads of it, and nothing else: no I/O, no state."""


def unpaired_calls(messages: tuple[AnyMessage, ...]) -> str | None:
    """Say what is wrong with the pairing of calls and results, or None if all is well.

    Every call of an assistant message is answered by exactly one tool message before anybody
    else speaks; no tool message answers anything else. Providers refuse other transcripts.
    """
    open_calls: set[str] = set()
    for number, message in enumerate(messages, 1):
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in open_calls:
                return f"message {number} answers no open tool call ({message.tool_call_id!r})"
            open_calls.remove(message.tool_call_id)
            continue
        if open_calls:
            break
        if isinstance(message, AssistantMessage):
            open_calls = {call.id for call in message.tool_calls}
            if len(open_calls) != len(message.tool_calls):
                return f"message {number} uses one tool call id twice"
    if open_calls:
        return f"tool call {min(open_calls)!r} has no result"
    return None
