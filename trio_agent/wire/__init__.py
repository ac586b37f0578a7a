"""Codecs between events and bytes, without I/O."""

from .._log.codec import (
    EventInvalid as EventInvalid,
    decode_event as decode_event,
    encode_event as encode_event,
    event_schema as event_schema,
)
from ._sse import (
    ServerSentEvent as ServerSentEvent,
    SSEDecoder as SSEDecoder,
    SSEError as SSEError,
    format_comment as format_comment,
    format_sse as format_sse,
)
