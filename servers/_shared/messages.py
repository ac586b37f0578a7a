"""Messages as clients send them: in our form, and in the one in which OpenAI's clients keep theirs.

`provider`, which is what a model's provider wants back, comes from no client: it is kept here, and
who could write it could put words into the model's mouth.

Source: the OpenAI API reference, "Chat Completions".
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from trio_agent import (
    AnyMessage,
    AssistantMessage,
    SystemMessage,
    ToolMessage,
    ToolRequest,
    UserMessage,
)

from .content import AnyContent, Part, bad, content_of, file_of, text_of


class _Function(msgspec.Struct, frozen=True):
    name: str
    arguments: Any = ""


class _Call(msgspec.Struct, frozen=True):
    id: str
    name: str | None = None
    input: Any = msgspec.UNSET
    function: _Function | None = None


class Said(msgspec.Struct, frozen=True):
    """A message, as any client writes it. What else it has says nothing to us."""

    role: str
    content: AnyContent = None
    our_calls: tuple[_Call, ...] | None = msgspec.field(name="toolCalls", default=None)
    tool_calls: tuple[_Call, ...] | None = None
    function_call: Any = None
    our_call_id: str | None = msgspec.field(name="toolCallId", default=None)
    tool_call_id: str | None = None
    files: tuple[Part, ...] = ()
    status: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    provider: Any = None


def messages_of(said: Sequence[Said]) -> tuple[AnyMessage, ...]:
    """Return what messages mean.

    Raises:
        Problem: one can't be meant; it is named.
    """
    return tuple(_message(each, f"$.messages[{index}]") for index, each in enumerate(said))


def _message(said: Said, place: str) -> AnyMessage:
    if said.provider:
        raise bad("provider is kept by the server: leave it out", f"{place}.provider")
    content = f"{place}.content"
    match said.role:
        case "system" | "developer":
            return SystemMessage(text_of(said.content, content))
        case "user":
            return UserMessage(content_of(said.content, content))
        case "assistant":
            return _assistant(said, place)
        case "tool":
            call = said.our_call_id or said.tool_call_id
            if call is None:
                raise bad("a tool message has the tool_call_id of its call", place)
            text = text_of(said.content, content)
            files = (
                file_of(part, f"{place}.files[{index}]") for index, part in enumerate(said.files)
            )
            return ToolMessage(call, text, said.status or "ok", tuple(files))
    known = "system, developer, user, assistant or tool"
    raise bad(f"the role of a message is {known}, not {said.role[:40]!r}", f"{place}.role")


def _assistant(said: Said, place: str) -> AssistantMessage:
    if said.function_call is not None:
        raise bad("a call has an id: give tool_calls instead", f"{place}.function_call")
    calls = said.our_calls or said.tool_calls or ()
    calls_place = f"{place}.{'toolCalls' if said.our_calls else 'tool_calls'}"
    text = text_of(said.content, f"{place}.content") or said.refusal or ""
    if said.content is None and said.refusal is None and not calls:
        raise bad("an assistant message has a content, or tool_calls, or both", place)
    return AssistantMessage(
        text,
        tuple(_call(call, f"{calls_place}[{index}]") for index, call in enumerate(calls)),
        said.reasoning or said.reasoning_content or "",
    )


def _call(call: _Call, place: str) -> ToolRequest:
    if call.function is not None:
        return ToolRequest(call.id, call.function.name, _input(call.function.arguments))
    if call.name is None or call.input is msgspec.UNSET:
        raise bad("a call has id, name and input, or id and function", place)
    return ToolRequest(call.id, call.name, call.input)


def _input(arguments: Any) -> Any:
    """Return the value of a call's arguments; their text if that is no JSON."""
    if not isinstance(arguments, str):
        return arguments
    if not arguments.strip():
        return {}
    try:
        return msgspec.json.decode(arguments)
    except (msgspec.MsgspecError, RecursionError):
        return arguments
