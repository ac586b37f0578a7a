"""Requests of OpenAI's Responses. Performs no I/O.

The rule: the server keeps nothing. Each request says the whole transcript, with what the provider
wants back of its own answers (see `_state`), `store` is false, and the reasoning is asked for in
its encrypted form. Who sets these options otherwise wins.

Source: the OpenAI API reference, "Create a response".
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias, assert_never

from ..._events import ToolRequest
from ..._messages import (
    AnyMessage,
    AssistantMessage,
    File,
    SystemMessage,
    Text,
    ToolMessage,
    UserMessage,
)
from .._parts import ModelRequest, OutputSpec, ToolSpec, refuse_reserved
from .._provider._file_data import encode_shown
from .._provider._strict_schema import OPENAI
from .._provider._tool_text import sendable_arguments, sendable_name, sendable_output
from ._content import content_part, input_content
from ._state import items_back, message_item

SystemRole: TypeAlias = Literal["developer", "system", "user"]

_CALL_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_RESERVED: Final = ("input", "instructions")
_ENCRYPTED: Final = "reasoning.encrypted_content"
_NEVER_THINKS: Final = re.compile(r"(?:\S*/)?(?:ft:)?(?:gpt-3|gpt-4|chatgpt-4)")
"""Models that refuse to be asked for encrypted reasoning, for they have none."""


def encode_request(
    request: ModelRequest,
    model: str,
    *,
    origin: str = "",
    system_role: SystemRole = "developer",
) -> dict[str, Any]:
    """Return the JSON body of one streamed call. An `output` is asked for as text by a schema.

    Args:
        request: what is asked.
        model: the model's name.
        origin: names the endpoint: what it wants back is kept in messages under this name.
        system_role: the role of system messages.

    Raises:
        ModelError: `bad-request`: an option would override what the request itself says, or
            there is a file that the API has no part for.
    """
    options = request.options
    refuse_reserved(options, *_RESERVED)
    body: dict[str, Any] = {"model": model, "stream": True, "store": False}
    if not _NEVER_THINKS.match(model):
        body["include"] = [_ENCRYPTED]
    body |= options
    if request.instructions:
        body["instructions"] = request.instructions
    writer = _Writer(origin, system_role, stored=body["store"] is True)
    body["input"] = [item for each in request.messages for item in writer.items(each)]
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.output is not None:
        body["text"] = {**(options.get("text") or {}), "format": _format(request.output)}
    return body


class _Writer:
    """Writes the input of one request."""

    def __init__(self, origin: str, system_role: SystemRole, *, stored: bool) -> None:
        self._origin = origin
        self._role = system_role
        self._stored = stored

    def items(self, message: AnyMessage) -> Iterator[dict[str, Any]]:
        match message:
            case SystemMessage(content=content):
                yield {"type": "message", "role": self._role, "content": content}
            case UserMessage(content=content):
                yield {"type": "message", "role": "user", "content": input_content(content)}
            case AssistantMessage():
                yield from self._answer(message)
            case ToolMessage(tool_call_id=id_, content=content, files=files):
                text = sendable_output(content)
                parts: tuple[Text | File, ...] = (Text(text), *files)
                output = list(encode_shown(parts, content_part)) if files else text
                yield {"type": "function_call_output", "call_id": _call_id(id_), "output": output}
            case _:
                assert_never(message)

    def _answer(self, message: AssistantMessage) -> Iterator[dict[str, Any]]:
        state = message.provider.get(self._origin)
        items = items_back(state, message, stored=self._stored, call_id=_call_id)
        if items is not None:
            yield from items
            return
        if message.content:
            yield message_item(message.content)
        for call in message.tool_calls:
            yield _call(call)


def _call(call: ToolRequest) -> dict[str, Any]:
    return {
        "type": "function_call",
        "call_id": _call_id(call.id),
        "name": sendable_name(call.name),
        "arguments": sendable_arguments(call.input),
    }


def _call_id(id_: str) -> str:
    """Return an id that the API takes, always the same: it refuses those of over 64 characters."""
    if _CALL_ID.fullmatch(id_):
        return id_
    digest = hashlib.sha256(id_.encode("utf-8", "surrogatepass")).hexdigest()
    return f"call_{digest[:40]}"


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.schema
    function["strict"] = bool(tool.strict)  # the API takes a missing one for true
    return function


def _format(output: OutputSpec) -> dict[str, Any]:
    narrow = OPENAI.narrow(output.schema)
    said = {
        "type": "json_schema",
        "name": output.name,
        "schema": narrow or output.schema,
        "strict": narrow is not None,
    }
    return {**said, "description": output.description} if output.description else said


def _tool_choice(choice: str) -> str | Mapping[str, str]:
    if choice in ("auto", "none", "required"):
        return choice
    return {"type": "function", "name": choice}
