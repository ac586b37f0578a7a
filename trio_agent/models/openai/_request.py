"""Requests of OpenAI-compatible Chat Completions. Performs no I/O.

Source: the OpenAI API reference, "Chat Completions".
"""

from typing import Any, assert_never

import msgspec

from ..._messages import AnyMessage, AssistantMessage, SystemMessage, ToolMessage, UserMessage
from .._parts import ModelRequest, ToolSpec

_RESERVED = ("model", "messages", "stream", "tools")


def encode_request(request: ModelRequest, model: str) -> dict[str, Any]:
    """Return the JSON body of one streamed call.

    Raises:
        ValueError: an option would override what the request itself says.
    """
    for name in _RESERVED:
        if name in request.options:
            raise ValueError(f"the option {name!r} is set by the agent: remove it from the options")
    messages = [_encode_message(message) for message in request.messages]
    if request.instructions:
        messages.insert(0, {"role": "system", "content": request.instructions})
    body: dict[str, Any] = {
        "model": model,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        **request.options,
    }
    if request.tools:
        body["tools"] = [_encode_tool(tool) for tool in request.tools]
    return body


def _encode_message(message: AnyMessage) -> dict[str, Any]:
    match message:
        case SystemMessage(content=content):
            return {"role": "system", "content": content}
        case UserMessage(content=content):
            return {"role": "user", "content": content}
        case AssistantMessage(content=content, tool_calls=()):
            return {"role": "assistant", "content": content}
        case AssistantMessage(content=content, tool_calls=calls):
            # Arguments that were no valid JSON go back as a JSON string: servers that parse
            # them would refuse the whole transcript otherwise.
            return {
                "role": "assistant",
                "content": content or None,
                "tool_calls": [
                    {
                        "id": call.id,
                        "type": "function",
                        "function": {
                            "name": call.name,
                            "arguments": msgspec.json.encode(call.input).decode(),
                        },
                    }
                    for call in calls
                ],
            }
        case ToolMessage(tool_call_id=id_, content=content):
            return {"role": "tool", "tool_call_id": id_, "content": content}
        case _:
            assert_never(message)


def _encode_tool(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.schema,
        },
    }
