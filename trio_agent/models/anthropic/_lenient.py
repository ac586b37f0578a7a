"""Events that are not written to the letter, as the events that they mean.

The slow path, for what `decode_event` refuses:

- a type that is missing is that of the server-sent event, or what the fields tell;
- a whole message is the events that it would have been streamed in;
- a field that the answer can do without is left out;
- a count or an index may be text or a whole float, text may be a number or stand in an object;
- the input of a tool may be an object where a piece of its JSON should be;
- what a delta of an unknown type says is kept for the provider.

What the answer can't do without and what has no single meaning is a `ValueError`.
"""

import json
from collections.abc import Iterator
from typing import Any

from ..._errors import ModelError
from .._provider._loose import count, items, text_or_none
from ._event import DELTAS, KNOWN, Counts, Delta, Details, Event, Message

_BY_FIELD = (
    ("partial_json", "input_json_delta"),
    ("thinking", "thinking_delta"),
    ("signature", "signature_delta"),
    ("citation", "citations_delta"),
    ("text", "text_delta"),
)
_BLOCKS_BY_FIELD = (("thinking", "thinking"), ("name", "tool_use"), ("data", "redacted_thinking"))


def read_events(value: dict[str, Any], type_: str = "message") -> Iterator[Event]:
    """Make the events that a JSON object means.

    Args:
        value: as `parse_json` returns it.
        type_: that of the server-sent event around it.

    Raises:
        ValueError: it can't be told what is meant.
        ModelError: `bad-response`: it is of another API.
    """
    if isinstance(value.get("choices"), list):
        raise ModelError("bad-response", "the endpoint speaks OpenAI's language: use OpenAIModel")
    type_ = _type_of(value, type_)
    if type_ == "message":
        yield from _whole(value)
    elif type_ in KNOWN:
        block, message = value.get("content_block"), value.get("message")
        yield Event(
            type_,
            count(value.get("index")),
            read_block(block) if type_ == "content_block_start" else None,
            _delta(value.get("delta"), type_),
            _message(message) if isinstance(message, dict) else None,
            _counts(value.get("usage")),
        )


def read_block(value: Any) -> dict[str, Any]:
    """Make the content block that is meant.

    Raises:
        ValueError: it is no object.
    """
    if isinstance(value, str):
        return {"type": "text", "text": value}
    if not isinstance(value, dict):
        raise ValueError("a content block is no object")
    if isinstance(value.get("type"), str) and value["type"]:
        return value
    type_ = next((name for field, name in _BLOCKS_BY_FIELD if value.get(field)), "text")
    return {**value, "type": type_}


def _type_of(value: dict[str, Any], type_: str) -> str:
    said = value.get("type")
    if isinstance(said, str) and said:
        return said
    if type_ in KNOWN:
        return type_
    if isinstance(value.get("content"), list) and "role" in value:
        return "message"
    if "content_block" in value:
        return "content_block_start"
    delta = value.get("delta")
    if isinstance(delta, dict) and "stop_reason" not in delta:
        return "content_block_delta"
    return "message_delta" if delta or value.get("usage") else ""


def _whole(value: dict[str, Any]) -> Iterator[Event]:
    yield Event("message_start", message=_message(value))
    for index, each in enumerate(items(value.get("content"))):
        yield Event("content_block_start", index, read_block(each))
        yield Event("content_block_stop", index)
    yield Event("message_delta", delta=Delta(stop_reason=_reason(value.get("stop_reason"))))
    yield Event("message_stop")


def _message(value: dict[str, Any]) -> Message:
    return Message(_counts(value.get("usage")), _object(value.get("container")))


def _delta(value: Any, type_: str) -> Delta | None:
    if isinstance(value, str) and type_ == "content_block_delta":
        return Delta("text_delta", value)
    if not isinstance(value, dict):
        return None
    if type_ != "content_block_delta":
        reason, container = value.get("stop_reason"), value.get("container")
        return Delta(stop_reason=_reason(reason), container=_object(container))
    name = value.get("type")
    if not isinstance(name, str) or not name:
        name = next((each for field, each in _BY_FIELD if field in value), "")
    if name not in DELTAS:
        return Delta(name, other=value)
    return Delta(
        name,
        _text(value.get("text")),
        _text(value.get("thinking")),
        _text(value.get("signature")),
        _json_text(value.get("partial_json")),
        _object(value.get("citation")),
    )


def _text(value: Any) -> str | None:
    """The text that is meant.

    Raises:
        ValueError: it can't be told.
    """
    text = text_or_none(value)
    if text is None and value:
        raise ValueError("there is no text in what should be text")
    return text


def _json_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _reason(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("type") or value.get("reason")
    return str(value) if value else None


def _object(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _counts(value: Any) -> Counts | None:
    if not isinstance(value, dict):
        return None
    details = value.get("output_tokens_details")
    return Counts(
        count(value.get("input_tokens")),
        count(value.get("output_tokens")),
        count(value.get("cache_read_input_tokens")),
        count(value.get("cache_creation_input_tokens")),
        Details(count(details.get("thinking_tokens"))) if isinstance(details, dict) else None,
    )
