"""What OpenAI's Responses refuse in their input: what says nothing, or what they never gave.

An item with an id is looked up, and an id that was never stored is not found, whatever else the
item has. Items that belong together must come together. Without ids nothing is missed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ._responses_refusals import (
    Refused,
    check_keys,
    check_length,
    check_name,
    check_type,
    check_value,
    required,
)
from ._responses_writer import Ledger

_KEYS: Final[Mapping[str, str]] = {
    "message": "type role content id status phase",
    "reasoning": "type id summary content encrypted_content",
    "function_call": "type id call_id name arguments status namespace",
    "function_call_output": "type id call_id output status",
}
_OTHER_TYPES: Final = (
    "web_search_call",
    "file_search_call",
    "computer_call",
    "code_interpreter_call",
    "image_generation_call",
    "mcp_call",
    "mcp_list_tools",
    "custom_tool_call",
    "compaction",
    "item_reference",
)
_PREFIXES: Final[Mapping[str, str]] = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
}
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "user": ("input_text", "input_image", "input_file"),
    "system": ("input_text",),
    "developer": ("input_text",),
    "assistant": ("output_text", "refusal"),
}
_PART_KEYS: Final[Mapping[str, str]] = {
    "input_text": "type text",
    "input_image": "type image_url file_id detail",
    "input_file": "type file_url file_id file_data filename detail",
    "output_text": "type text annotations logprobs",
    "refusal": "type refusal",
}
_TEXTS: Final[Mapping[str, str]] = {
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
}
_STARTS: Final = ("http://", "https://", "data:")


def check_input(items: Sequence[Any], ledger: Ledger, *, stores: bool) -> None:
    """Refuse an input that the API would not take.

    Args:
        items: the input.
        ledger: what was given before.
        stores: whether the server may look for what it stored.

    Raises:
        Refused: it is at fault.
    """
    for number, item in enumerate(items):
        _check_item(item, f"input[{number}]")
    _check_ids(items, ledger, stores=stores)
    _check_pairs(items)
    _check_reasoning(items, ledger)


def _type_of(item: Mapping[str, Any]) -> Any:
    return item.get("type", "message" if "role" in item else None)


def _check_item(item: Any, place: str) -> None:
    check_type(item, dict, place)
    type_ = _type_of(item)
    check_value(type_, (*_KEYS, *_OTHER_TYPES), place)
    if type_ in _KEYS:
        check_keys(item, _KEYS[type_].split(), place)
    if type_ == "message":
        _check_message(item, place)
    elif type_ == "reasoning":
        required(item, "summary", place)
    elif type_ in ("function_call", "function_call_output"):
        check_length(required(item, "call_id", place), f"{place}.call_id")
        if type_ == "function_call":
            check_name(item.get("name"), f"{place}.name")
            check_type(required(item, "arguments", place), str, f"{place}.arguments")
        else:
            _check_output(required(item, "output", place), f"{place}.output")


def _check_output(output: Any, place: str) -> None:
    if isinstance(output, list):
        for number, part in enumerate(output):
            _check_part(part, "user", f"{place}[{number}]")
    else:
        check_type(output, str, place)


def _check_message(item: Mapping[str, Any], place: str) -> None:
    role = required(item, "role", place)
    check_value(role, _PARTS, f"{place}.role")
    content = required(item, "content", place)
    if isinstance(content, str):
        return
    for number, part in enumerate(content):
        _check_part(part, role, f"{place}.content[{number}]")


def _check_part(part: Mapping[str, Any], role: str, place: str) -> None:
    check_type(part, dict, place)
    type_ = part.get("type")
    check_value(type_, _PARTS[role], place)
    check_keys(part, _PART_KEYS[str(type_)].split(), place)
    if text := _TEXTS.get(str(type_)):
        required(part, text, place)
    if type_ == "input_image" and "file_id" not in part:
        url = required(part, "image_url", place)
        if not str(url).startswith(_STARTS):
            raise Refused(
                f"Invalid '{place}.image_url'. Expected a valid URL, but got a value with an"
                " invalid format.",
                f"{place}.image_url",
                "invalid_value",
            )
    if type_ == "input_file" and not part.keys() & {"file_id", "file_url"}:
        required(part, "file_data", place)
        required(part, "filename", place)


def _check_ids(items: Sequence[Mapping[str, Any]], ledger: Ledger, *, stores: bool) -> None:
    seen: set[str] = set()
    for number, item in enumerate(items):
        if "id" not in item:
            continue
        id_, place = str(item["id"]), f"input[{number}].id"
        prefix = _PREFIXES.get(_type_of(item), "")
        if not id_.startswith(prefix):
            raise Refused(
                f"Invalid '{place}': '{id_}'. Expected an ID that begins with '{prefix}'.",
                place,
                "invalid_value",
            )
        if id_ in seen:
            raise Refused(
                f"Duplicate item found with id {id_}. Remove duplicate items from your input and"
                " try again.",
                "input",
            )
        seen.add(id_)
        if not stores:
            raise Refused(
                f"Item with id '{id_}' not found. Items are not persisted when `store` is set to"
                " false. Try again with `store` set to true, or remove this item from your input.",
                "input",
                status=404,
            )
        if id_ not in ledger.stored:
            raise Refused(f"Item with id '{id_}' not found.", "input", status=404)


def _check_pairs(items: Sequence[Mapping[str, Any]]) -> None:
    open_calls: set[str] = set()
    for item in items:
        if item.get("type") == "function_call":
            open_calls.add(item["call_id"])
        elif item.get("type") == "function_call_output":
            call_id = item["call_id"]
            if call_id not in open_calls:
                raise Refused(
                    f"No tool call found for function call output with call_id {call_id}.", "input"
                )
            open_calls.remove(call_id)
    if open_calls:
        raise Refused(f"No tool output found for function call {min(open_calls)}.", "input")


def _check_reasoning(items: Sequence[Mapping[str, Any]], ledger: Ledger) -> None:
    """Reasoning is what was given, and stands right before what it led to."""
    before: str | None = None
    for item, follower in zip(items, [*items[1:], {}], strict=False):
        if item.get("type") == "reasoning":
            sealed = item.get("encrypted_content")
            if sealed is not None and sealed not in ledger.encrypted:
                words = f"{sealed[:4]}...{sealed[-4:]}"
                raise Refused(
                    f"The encrypted content {words} could not be verified.",
                    None,
                    "invalid_encrypted_content",
                )
            if _is_input(follower):
                raise Refused(
                    f"Item '{item.get('id', 'rs_unknown')}' of type 'reasoning' was provided"
                    " without its required following item.",
                    "input",
                )
        id_ = item.get("id", "")
        needed = ledger.reasoning_before.get(id_)
        if needed is not None and needed != before:
            raise Refused(
                f"Item '{id_}' of type '{item['type']}' was provided without its required"
                f" 'reasoning' item: '{needed}'.",
                "input",
            )
        before = item.get("id")


def _is_input(item: Mapping[str, Any]) -> bool:
    """Whether it is nothing that the model said."""
    if not item or item.get("type") == "function_call_output":
        return True
    return _type_of(item) == "message" and item.get("role") != "assistant"
