"""One event of a streamed response, as far as it is read.

Source: the OpenAI API reference, "Responses", "Streaming events". `decode_event` is strict and
fast; what it refuses is read by `read_event`. What is not declared here is skipped without being
looked at.

Where a value has another type than it should, `read_event` takes what it can only mean: a delta
may be an object that holds text, arguments may be an object instead of its JSON text, an index may
be text, and what an answer can do without is left out.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from .._provider._json import check_values
from .._provider._loose import arguments_or_none, count, text_or_none, word


class Response(msgspec.Struct):
    """What events say about the response as a whole. Its values may be anything."""

    status: Any = None
    output: Any = None
    usage: Any = None
    error: Any = None
    incomplete_details: Any = None
    store: Any = None


class Event(msgspec.Struct):
    """An event, of whichever type: each has a few of these fields."""

    type: str | None = None
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    item: dict[str, Any] | None = None
    part: dict[str, Any] | None = None
    response: Response | None = None
    error: Any = None
    choices: Any = None
    """No event has them: those of another language do."""

    @property
    def is_odd(self) -> bool:
        """Whether it may mean more than is declared here, such as an error."""
        return self.error is not None or not (self.type or "").startswith("response.")


_LARGE = 1 << 20
"""Characters of an event whose values are counted before they become objects."""
_decode = msgspec.json.Decoder(Event).decode


def decode_event(text: str) -> Event:
    """Read an event that is written to the letter.

    Raises:
        ValueError, RecursionError: it isn't.
    """
    if len(text) > _LARGE:
        check_values(text)
    return _decode(text)


def read_event(value: Mapping[str, Any], type_: str) -> Event:
    """Make the event that a JSON object means.

    Args:
        value: as `parse_json` returns it.
        type_: the type of the server-sent event, which counts if the object doesn't say its own.
    """
    said = value.get("type")
    event = Event(
        type=said if isinstance(said, str) and said else type_,
        item_id=word(value.get("item_id")),
        output_index=count(value.get("output_index")),
        content_index=count(value.get("content_index")),
        summary_index=count(value.get("summary_index")),
        delta=text_or_none(value.get("delta")),
        text=text_or_none(value.get("text")),
        refusal=text_or_none(value.get("refusal")),
        arguments=arguments_or_none(value.get("arguments")),
        item=_object(value.get("item")),
        part=_object(value.get("part")),
        response=read_response(value.get("response")),
        choices=value.get("choices"),
    )
    if event.type == "response.function_call_arguments.delta":
        event.delta = arguments_or_none(value.get("delta"))
    return event


def read_response(value: Any) -> Response | None:
    """Take what a whole response says, if it is one."""
    if not isinstance(value, dict):
        return None
    return Response(*(value.get(name) for name in Response.__struct_fields__))


def is_response(value: Mapping[str, Any]) -> bool:
    """Whether an object is a whole response rather than an event."""
    if str(value.get("type", "")).startswith("response."):
        return False
    return value.get("object") == "response" or isinstance(value.get("output"), list)


def _object(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None
