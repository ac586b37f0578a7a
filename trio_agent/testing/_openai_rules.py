"""What OpenAI refuses in a request, in its words. Performs no I/O.

The rules are those on which clients fail: the pairing of calls and results, the form of calls,
content parts where they have no place, and schemas that are strict. What the model can do, and how
other options are written, is not checked.

Source: the OpenAI API reference, "Create chat completion", and the API's own errors.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ._strict_rules import schema_faults

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_PARTS: Final[Mapping[str, frozenset[str]]] = {
    "system": frozenset({"text"}),
    "developer": frozenset({"text"}),
    "user": frozenset({"text", "image_url", "input_audio", "file"}),
    "assistant": frozenset({"text", "refusal", "thinking"}),  # Mistral takes back its thinking
    "tool": frozenset({"text"}),
}
"""The parts of content by the role of the message."""
_FORMATS: Final = ("text", "json_object", "json_schema")


def refusal_of(body: Any) -> str | None:
    """Say why the body of a request is refused; None if it isn't."""
    return next(_faults(body), None)


def lack_of(body: Any, *, knows_schemas: bool, can_force: bool) -> str | None:
    """Say, in DeepSeek's words, what a request asks for that not every provider has.

    Source: inspect_ai#4916 and DeepSeek-V3#1376 quote them.
    """
    if not knows_schemas and (body.get("response_format") or {}).get("type") == "json_schema":
        return "This response_format type is unavailable now"
    if not can_force and body.get("tool_choice") not in (None, "auto", "none"):
        return "Thinking mode does not support this tool_choice"
    return None


def _faults(body: Any) -> Iterator[str]:
    if not isinstance(body, dict):
        yield "We could not parse the JSON body of your request."
        return
    messages = body.get("messages")
    if not isinstance(messages, list):
        yield "Invalid type for 'messages': expected an array of objects."
        return
    if not messages:
        yield "Invalid 'messages': empty array. Expected an array with minimum length 1."
    for number, message in enumerate(messages):
        yield from _message_faults(message, f"messages[{number}]")
    yield from _pairing_faults(messages)
    for number, tool in enumerate(body.get("tools") or ()):
        function = tool.get("function") if isinstance(tool, dict) else None
        yield from _name_faults(function, f"tools[{number}].function")
        if isinstance(function, dict) and function.get("strict"):
            for fault in schema_faults(function.get("parameters")):
                yield f"Invalid schema for function '{function['name']}': In context={fault}"
    yield from _choice_faults(body)
    yield from _format_faults(body.get("response_format"))


def _choice_faults(body: dict[str, Any]) -> Iterator[str]:
    choice, tools = body.get("tool_choice"), body.get("tools")
    if choice is not None and not tools:
        yield "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are set."
    if isinstance(choice, dict):
        name = choice.get("function", {}).get("name")
        if name not in [tool["function"]["name"] for tool in tools or ()]:
            yield f"Tool choice '{name}' not found in 'tools' parameter."


def _format_faults(value: Any) -> Iterator[str]:
    if value is None:
        return
    type_ = value.get("type") if isinstance(value, dict) else None
    if type_ not in _FORMATS:
        names = ", ".join(f"'{name}'" for name in _FORMATS)
        yield f"Invalid value: '{type_}'. Supported values are: {names}. ('response_format.type')"
    if type_ != "json_schema":
        return
    said = value.get("json_schema")
    yield from _name_faults(said, "response_format.json_schema")
    if not isinstance(said.get("schema"), dict):
        yield "Missing required parameter: 'response_format.json_schema.schema'."
    if said.get("strict"):
        for fault in schema_faults(said["schema"]):
            yield f"Invalid schema for response_format '{said['name']}': In context={fault}"


def _message_faults(message: Any, place: str) -> Iterator[str]:
    if not isinstance(message, dict):
        yield f"Invalid type for '{place}': expected an object."
        return
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or role not in _PARTS:
        names = ", ".join(f"'{name}'" for name in _PARTS)
        yield f"Invalid value: '{role}'. Supported values are: {names}. ('{place}.role')"
        return
    calls = message.get("tool_calls") if role == "assistant" else None
    if content is None and not calls:
        yield f"Invalid value for 'content': expected a string, got null. ('{place}.content')"
    if isinstance(content, list):
        for number, part in enumerate(content):
            type_ = part.get("type") if isinstance(part, dict) else None
            if type_ not in _PARTS[role]:
                names = ", ".join(f"'{name}'" for name in sorted(_PARTS[role]))
                spot = f"{place}.content[{number}].type"
                yield f"Invalid value: '{type_}'. Supported values are: {names}. ('{spot}')"
    elif content is not None and not isinstance(content, str):
        yield f"Invalid type for '{place}.content': expected a string or an array of objects."
    if calls is not None:
        yield from _call_faults(calls, f"{place}.tool_calls")


def _call_faults(calls: Any, place: str) -> Iterator[str]:
    if not isinstance(calls, list) or not calls:
        yield f"Invalid '{place}': empty array. Expected an array with minimum length 1."
        return
    ids: set[str] = set()
    for number, call in enumerate(calls):
        spot = f"{place}[{number}]"
        if not isinstance(call, dict) or call.get("type") != "function":
            yield f"Invalid value for '{spot}.type': expected 'function'."
            return
        id_, function = call.get("id"), call.get("function")
        if not isinstance(id_, str) or not id_:
            yield f"Invalid type for '{spot}.id': expected a string."
        elif len(id_) > 40:
            yield (
                f"Invalid '{spot}.id': string too long. Expected a string with maximum length 40,"
                f" but got a string with length {len(id_)} instead."
            )
        elif id_ in ids:
            yield f"Duplicate value for 'tool_call_id' of '{id_}' in '{place}'."
        else:
            ids.add(id_)
        yield from _name_faults(function, f"{spot}.function")
        if isinstance(function, dict) and not isinstance(function.get("arguments"), str):
            yield f"Invalid type for '{spot}.function.arguments': expected a string."


def _name_faults(function: Any, place: str) -> Iterator[str]:
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield (
            f"Invalid '{place}.name': string does not match pattern."
            " Expected a string that matches the pattern '^[a-zA-Z0-9_-]{1,64}$'."
        )


def _pairing_faults(messages: list[Any]) -> Iterator[str]:
    open_ids: list[str] = []
    end: Any = {"role": "the end"}
    for number, message in enumerate([*messages, end]):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_ids:
                yield (
                    "Invalid parameter: messages with role 'tool' must be a response to a"
                    f" preceeding message with 'tool_calls'. ('messages[{number}].role')"
                )
                return
            open_ids.remove(message["tool_call_id"])
            continue
        if open_ids:
            yield (
                "An assistant message with 'tool_calls' must be followed by tool messages"
                " responding to each 'tool_call_id'. The following tool_call_ids did not have"
                f" response messages: {', '.join(open_ids)}"
            )
            return
        open_ids = [call["id"] for call in message.get("tool_calls") or ()]
