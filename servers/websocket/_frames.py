"""What the server says over a WebSocket: events and answers as text frames."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from trio_agent.abc import Entry

_RUN_START: Final = b'{"type":"run-start",'


def text_frame(payload: bytes) -> bytes:
    """Encode a message as one unmasked text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81%c%b" % (size, payload)
    if size < 1 << 16:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), payload)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), payload)


def event_frames(run_id: str, epoch: str, entries: Sequence[Entry]) -> bytes:
    """Encode entries as one frame each: the event's JSON, with its cursor and its run in front.

    Frames of a server are the same for every client, so that they are made once however many
    watch, and several of them are one write.
    """
    cursor = f'{{"id":"{run_id}.{epoch}.'.encode()
    run = f'","runId":"{run_id}",'.encode()
    return b"".join(
        [
            text_frame(
                b"%b%d%b%b"
                % (
                    cursor,
                    entry.offset,
                    # It says by itself what run it starts.
                    b'",' if entry.data.startswith(_RUN_START) else run,
                    entry.data[1:],
                )
            )
            for entry in entries
        ]
    )


def answer_frame(kind: str, request_id: str | int | None = None, **fields: Any) -> bytes:
    """Encode an answer; without a request's id, it has none."""
    answer = {"type": kind, **fields}
    if request_id is not None:
        answer["requestId"] = request_id
    return text_frame(msgspec.json.encode(answer))
