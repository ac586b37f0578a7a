"""What the provider wants back with an answer, and how it comes back.

Kept are the items of the answer in their order, as they came: reasoning with its encrypted content,
the phase of a message, annotations, items of types that nobody here knows. An item's id is kept
only if the server said that it stored the response, and sent only to be looked up there: with
`store: false`, an id is refused ("Items are not persisted when `store` is set to false"), and
`encrypted_content` says all. Without ids the server misses nothing, so that an answer goes back
without its reasoning where that isn't known: only its continuity is lost.

Who changed the text or the calls of a message meant it: then the state isn't used. The calls may
have other ids by now: the n-th call of the message is the n-th that was kept. An answer that has a
shape was unwrapped before it became the text of its message: that stands where it was said, also
if it was said by calling a tool, which nobody answers.

Sources: the OpenAI API reference, "Reasoning models", "Encrypted reasoning items"; the errors that
the API answers ("Unknown parameter: 'input[1].status'" for reasoning, "missing required field
`summary`").
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from ..._log.plain import plain_json, read_json
from ..._messages import AssistantMessage
from .._provider._loose import arguments_or_none
from .._provider._tool_text import sendable_arguments, sendable_name
from ._item import Item, texts_of

_MAX_STATE: Final = 4 << 20
"""Bytes of JSON. Larger is what the provider could be told again only at a loss."""
_PLAIN: Final = frozenset({"type", "role", "content", "status", "call_id", "name", "arguments"})
"""What an item has that can be made of the message just as well."""


def kept_state(
    items: Iterable[Item], *, stored: bool, shaped: bool = False, final_tool: str | None = None
) -> dict[str, Any] | None:
    """Return what is to be kept of an answer, None if the message says as much.

    Args:
        items: of the answer.
        stored: whether the server stored the response.
        shaped: whether an answer that has a shape was asked for.
        final_tool: the tool by which it was.
    """
    values = list(_values(items, final_tool))
    output = list(_sendable(values, with_ids=stored))
    if all(map(_is_plain, output)):
        return None
    try:
        state: dict[str, Any] = plain_json({"output": output}, "the answer")
        state |= {"shaped": True} if shaped else {}
    except ValueError:
        return None
    return state if len(msgspec.json.encode(state)) <= _MAX_STATE else None


def items_back(
    state: Any, message: AssistantMessage, *, stored: bool, call_id: Callable[[str], str]
) -> list[dict[str, Any]] | None:
    """Return the items that say a message to the provider, None if the state doesn't fit it.

    Args:
        state: what was kept.
        message: the message that it was kept beside.
        stored: whether the server looks for ids.
        call_id: makes the id that a call has in the request.
    """
    output = state.get("output") if isinstance(state, Mapping) else None
    if not isinstance(output, list) or not all(isinstance(item, Mapping) for item in output):
        return None
    if state.get("shaped") is True and _text_of(output) != message.content:
        output = _saying(output, message.content)
    said = _text_of(output)
    kept = [item for item in output if _is(item, "function_call")]
    if said != message.content or len(kept) != len(message.tool_calls):
        return None
    items: list[dict[str, Any]] = []
    calls = iter(message.tool_calls)
    for item in _sendable(output, with_ids=stored):
        if _is(item, "function_call"):
            call = next(calls)
            if item.get("name") != call.name or not _says(item.get("arguments"), call.input):
                return None
            item |= {"call_id": call_id(call.id), "name": sendable_name(call.name)}
            if not _is_object(item.get("arguments")):
                item["arguments"] = sendable_arguments(call.input)
        items.append(item)
    return items


def _values(items: Iterable[Item], final_tool: str | None) -> Iterator[dict[str, Any] | None]:
    """Return the items as they came, the first call of the final tool as a message."""
    is_given = False
    for item in items:
        if item.kind != "function_call" or item.name != final_tool:
            yield item.value or _rebuilt(item)
        elif not is_given:
            is_given = True
            yield message_item(item.arguments.text)


def _text_of(output: Iterable[Any]) -> str:
    messages = (item for item in output if _is(item, "message"))
    return "".join(text for item in messages for text in texts_of("message", item))


def _saying(output: list[Any], text: str) -> list[Any]:
    """Return the items with this text in the place of their last message, and no other."""
    places = [number for number, item in enumerate(output) if _is(item, "message")]
    if not places:
        return output
    before = [item for item in output[: places[-1]] if not _is(item, "message")]
    return [*before, message_item(text), *output[places[-1] + 1 :]]


def _sendable(values: Iterable[Any], *, with_ids: bool) -> Iterator[dict[str, Any]]:
    """Return the items in a form that the server takes back."""
    held: list[dict[str, Any]] = []
    for value in values:
        item = _cleaned(value, with_ids) if value else None
        if item is None:
            continue
        held.append(item)
        if not _is(item, "reasoning"):  # which must not stand without what it led to
            yield from held
            held.clear()


def _cleaned(value: Mapping[str, Any], with_ids: bool) -> dict[str, Any] | None:
    item = {name: each for name, each in value.items() if each is not None}
    item.pop("created_by", None)
    if not with_ids or not item.get("id"):
        item.pop("id", None)
    if _is(item, "reasoning"):
        item.pop("status", None)
        item["summary"] = item.get("summary") or []
        return item if item.keys() & {"id"} or _has_more(item) else None
    if _is(item, "message"):
        parts = item.get("content")
        if not isinstance(parts, list) or not any(texts_of("message", item)):
            return None
        item["content"] = [_without_logprobs(part) for part in parts]
    return item


def _has_more(reasoning: Mapping[str, Any]) -> bool:
    """Whether it says by itself what was thought, rather than a summary only."""
    return bool(reasoning.get("encrypted_content") or reasoning.get("content"))


def _without_logprobs(part: Any) -> Any:
    if not isinstance(part, Mapping):
        return part
    return {name: value for name, value in part.items() if name != "logprobs"}


def _rebuilt(item: Item) -> dict[str, Any] | None:
    """Make an item that never came whole of what was said of it."""
    if item.kind == "message":
        return message_item(item.said("message"))
    if item.kind == "function_call":
        return {
            "type": "function_call",
            "call_id": item.call_id,
            "name": item.name,
            "arguments": item.arguments.text,
        }
    if item.kind == "reasoning" and (thought := item.said("thought")):
        content = [{"type": "reasoning_text", "text": thought}]
        return {"type": "reasoning", "summary": [], "content": content}
    return None


def message_item(text: str) -> dict[str, Any]:
    """Return a message of the model that says a text."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "role": "assistant", "status": "completed", "content": content}


def _is_plain(item: Mapping[str, Any]) -> bool:
    if _is(item, "function_call"):
        return item.keys() <= _PLAIN
    if not _is(item, "message") or not item.keys() <= _PLAIN:
        return False
    return all(
        isinstance(part, Mapping)
        and part.get("type") == "output_text"
        and not part.get("annotations")
        for part in item["content"]
    )


def _is(item: Mapping[str, Any], type_: str) -> bool:
    return item.get("type") == type_


def _says(arguments: Any, value: Any) -> bool:
    """Whether the arguments of a call that was kept are those of the message."""
    text = arguments_or_none(arguments) or ""
    try:
        said = read_json(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return bool(text == value)
    if isinstance(said, str) and not isinstance(value, str):
        return _says(said, value)  # JSON as a JSON string
    return bool(said == value or (not said and value == {}))


def _is_object(arguments: Any) -> bool:
    try:
        return isinstance(arguments, str) and isinstance(read_json(arguments), dict)
    except (ValueError, RecursionError):
        return False
