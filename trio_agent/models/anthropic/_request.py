"""Requests of Anthropic's Messages API. Performs no I/O.

The rule: whatever stands in a transcript, what goes back is something that the API takes.
Turns alternate and begin with the user's; blank texts are left out; ids and names are of the
form that it wants.

Source: Anthropic's API reference, "Messages", and what the API says when it refuses.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, assert_never

from ..._events import ToolRequest
from ..._messages import (
    AnyMessage,
    AssistantMessage,
    SystemMessage,
    Text,
    ToolMessage,
    UserMessage,
)
from .._parts import ModelRequest, ToolSpec, refuse_reserved
from .._provider._strict_schema import ANTHROPIC
from .._provider._tool_text import sendable_input, sendable_name, sendable_output
from .._provider._unique_ids import UniqueIds
from ._files import content_blocks, result_blocks, text_blocks
from ._kept import is_thought, kept_blocks, kept_container
from ._thinking import OFF, budget_of, is_off, is_refused

DEFAULT_MAX_TOKENS: Final = 16_384
"""Which all current models can say; with thinking in advance, its budget comes on top."""

_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_NOTHING_SAID: Final = "(nothing)"
"""What a user says who said nothing: the API wants a turn of the user's, and text in it."""


def anthropic_id(call_id: str) -> str:
    """Return letters, digits, `_` and `-` that stand for a call id; its own, if it is of these."""
    if _ID.fullmatch(call_id):
        return call_id
    digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).digest()
    return f"call_{base64.b32encode(digest)[:24].decode().lower()}"


def encode_request(
    request: ModelRequest,
    model: str,
    *,
    origin: str = "",
    server_tools: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the JSON body of one streamed call. An `output` is asked for as text by a schema.

    System messages at the head join the instructions. Later ones stand at their place in the
    user's turn, within `<system>`: few models take them in a role of their own. Where manual
    thinking would be refused, because the tool loop in progress was not begun with any or a tool
    is forced, it is turned off for this request.

    Args:
        request: what is asked.
        model: the model's name.
        origin: the endpoint, as `AssistantMessage.provider` names it.
        server_tools: tools that the provider runs, in its API's words, behind those of the
            request.

    Raises:
        ModelError: `bad-request`: an option would override what the request itself says, or a
            file is of a type that can't be sent.
    """
    options = dict(request.options)
    head = _head(request)
    refuse_reserved(options, *(["system"] if head else []))
    rest = request.messages[_leading(request.messages) :]
    body: dict[str, Any] = {"model": model, "max_tokens": DEFAULT_MAX_TOKENS, "stream": True}
    thinking = options.get("thinking")
    body["max_tokens"] += budget_of(thinking)
    if head:
        body["system"] = head
    body["messages"] = _turns(rest, origin, model, with_thoughts=not is_off(thinking))
    if container := _container(rest, origin):
        body["container"] = container
    body |= options
    if tools := [*map(_tool, request.tools), *map(dict, server_tools)]:
        body["tools"] = tools
        if request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.output is not None:
        schema = ANTHROPIC.narrow(request.output.schema) or request.output.schema
        form = {"type": "json_schema", "schema": schema}
        body["output_config"] = {**(options.get("output_config") or {}), "format": form}
    if is_refused(body):
        body["thinking"] = OFF
        body["messages"] = _turns(rest, origin, model, with_thoughts=False)
    return body


def sendable(blocks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the blocks of an assistant's turn that the API takes: those that aren't blank."""
    return [each for each in blocks if each.get("type") != "text" or str(each.get("text")).strip()]


def stripped(blocks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the blocks of the last turn, if it is the assistant's: no text may end in a space."""
    *before, last = blocks
    if last.get("type") == "text":
        last = {**last, "text": last["text"].rstrip()}
    return [*before, last]


def _leading(messages: Sequence[AnyMessage]) -> int:
    """How many system messages there are at the head."""
    numbers = (n for n, each in enumerate(messages) if not isinstance(each, SystemMessage))
    return next(numbers, len(messages))


def _head(request: ModelRequest) -> str:
    heads = request.messages[: _leading(request.messages)]
    texts = [each.content for each in heads if isinstance(each, SystemMessage)]
    return "\n\n".join(text for text in (request.instructions, *texts) if text.strip())


def _container(messages: Sequence[AnyMessage], origin: str) -> str:
    """The container of the tool loop in progress: servers may wait in it for results of ours."""
    for message in reversed(messages):
        if isinstance(message, AssistantMessage):
            if container := kept_container(message, origin):
                return container
        elif not isinstance(message, ToolMessage):
            break
    return ""


def _turns(
    messages: Sequence[AnyMessage], origin: str, model: str, *, with_thoughts: bool
) -> list[dict[str, Any]]:
    """Write the turns, the user's and the assistant's by turns."""
    writer = _Writer(origin, model, with_thoughts)
    turns: list[dict[str, Any]] = []
    for message in messages:
        role, blocks = writer.message(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif role == "user":
            turns.append({"role": role, "content": blocks})
        elif blocks:
            turns = turns or [{"role": "user", "content": []}]
            turns.append({"role": role, "content": blocks})
    if not turns:
        turns.append({"role": "user", "content": []})
    for turn in turns:
        turn["content"] = turn["content"] or text_blocks(_NOTHING_SAID)
    if turns[-1]["role"] == "assistant":
        turns[-1]["content"] = stripped(turns[-1]["content"])
    return turns


class _Writer:
    """Writes the messages of one request."""

    def __init__(self, origin: str, model: str, with_thoughts: bool) -> None:
        self._origin = origin
        self._model = model
        self._with_thoughts = with_thoughts
        self._unique = UniqueIds()
        self._ids: dict[str, str] = {}
        """Of the calls that wait for their results."""

    def message(self, message: AnyMessage) -> tuple[str, list[dict[str, Any]]]:
        match message:
            case SystemMessage(content=content):
                said = f"<system>\n{content}\n</system>" if content.strip() else ""
                return "user", text_blocks(said)
            case UserMessage(content=content):
                return "user", content_blocks(content)
            case AssistantMessage():
                return "assistant", self._assistant(message)
            case ToolMessage():
                return "user", [self._result(message)]
            case _:
                assert_never(message)

    def _assistant(self, message: AssistantMessage) -> list[dict[str, Any]]:
        calls = [self._call(call) for call in message.tool_calls]
        blocks = kept_blocks(message, self._origin, self._model)
        if blocks is None:
            blocks = [*text_blocks(message.content), *calls]
        else:
            left = iter(calls)
            blocks = [b | next(left) if b["type"] == "tool_use" else b for b in blocks]
        return [
            dict(block)
            for block in sendable(blocks)
            if self._with_thoughts or not is_thought(block)
        ]

    def _call(self, call: ToolRequest) -> dict[str, Any]:
        # Ids are unique in a whole request: another run of a conversation may have used one.
        id_ = self._ids[call.id] = self._unique.take(anthropic_id(call.id))
        name, input_ = sendable_name(call.name), sendable_input(call.input)
        return {"type": "tool_use", "id": id_, "name": name, "input": input_}

    def _result(self, message: ToolMessage) -> dict[str, Any]:
        call_id, content = message.tool_call_id, sendable_output(message.content)
        result: dict[str, Any] = {
            "type": "tool_result",
            "tool_use_id": self._ids.get(call_id) or anthropic_id(call_id),
            "content": content,
        }
        if message.files:
            # Of an error nothing but text is taken, so that this is none: its text says enough.
            return {**result, "content": result_blocks((Text(content), *message.files))}
        return result if message.status == "ok" else {**result, "is_error": True}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    # Wanted even of a tool without parameters.
    written["input_schema"] = {"type": "object", **tool.schema}
    if tool.strict is not None:
        written["strict"] = tool.strict
    return written


def _tool_choice(choice: str) -> dict[str, Any]:
    if choice in ("auto", "none"):
        return {"type": choice}
    return {"type": "any"} if choice == "required" else {"type": "tool", "name": choice}
