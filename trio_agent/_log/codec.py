"""Events as JSON: one encoder, one tolerant decoder, and the schema of both."""

from typing import Any

import msgspec

from .._errors import TrioAgentError
from .._events import EVENT_TYPES, AnyEvent
from .plain import UNREADABLE, encode_json


class EventInvalid(TrioAgentError, ValueError):
    """These bytes are no event, or an event of a known type with wrong fields."""


class _Tag(msgspec.Struct):
    type: str


_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_tag_decoder = msgspec.json.Decoder(_Tag)


def encode_event(event: AnyEvent) -> bytes:
    """Encode an event as one line of JSON. What UTF-8 can't hold (lone surrogates) becomes `?`.

    It is one line for readers, too, that know more line breaks than server-sent events do, such
    as `str.splitlines`: these are escaped.
    """
    try:
        data = _encode(event)
    except UnicodeEncodeError:
        data = encode_json(event)
    return data if data.isascii() else _escape_line_breaks(data)


def _escape_line_breaks(data: bytes) -> bytes:
    # In JSON they are in strings only. All others are below U+0020, which JSON escapes itself.
    if b"\xe2\x80" in data:
        data = data.replace(b"\xe2\x80\xa8", rb"\u2028").replace(b"\xe2\x80\xa9", rb"\u2029")
    return data.replace(b"\xc2\x85", rb"\u0085")


def decode_event(data: bytes) -> AnyEvent | None:
    """Decode an event; None if its type is one that this version doesn't know.

    Raises:
        EventInvalid: the bytes are no event.
    """
    try:
        return _decoder.decode(data)
    except UNREADABLE as exc:
        try:
            known = _tag_decoder.decode(data).type in EVENT_TYPES
        except UNREADABLE:
            known = True
        if known:
            raise EventInvalid(f"not an event: {exc}") from None
        return None


def event_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of all events, generated from their classes."""
    schema = msgspec.json.schema(AnyEvent)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Event", **schema}
