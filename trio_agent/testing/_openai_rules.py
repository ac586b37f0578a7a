"""What OpenAI refuses in a request, in its words. Performs no I/O.

The rules are those on which clients fail: the pairing of calls and results, the form of calls, and
content parts where they have no place. What the model can do, and how options are written, is not
checked.

Source: the OpenAI API reference, "Create chat completion", and the API's own errors.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_PARTS: Final[Mapping[str, frozenset[str]]] = {
    "system": frozenset({"text"}),
    "developer": frozenset({"text"}),
    "user": frozenset({"text", "image_url", "input_audio", "file"}),
    "assistant": frozenset({"text", "refusal", "thinking"}),  # Mistral takes back its thinking
    "tool": frozenset({"text"}),
}
"""The parts of content by the role of the message."""


def refusal_of(body: Any) -> str | None:
    """Say why the body of a request is refused; None if it isn't."""
    return next(_faults(body), None)


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
    for number, message in enumerate([*messages, {"role": "the end"}]):
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
