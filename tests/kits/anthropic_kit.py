"""What tests of Anthropic's codec share: events of its streams, and ways to decode them."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from trio_agent._errors import ModelError
from trio_agent.models._parts import ModelFinish, ModelPart, ReasoningPart, TextPart, ToolInputPart
from trio_agent.models.anthropic._messages import MessagesDecoder

MODEL, ORIGIN = "claude", "anthropic@host"


def event(type_: str, **fields: Any) -> bytes:
    data = json.dumps({"type": type_, **fields})
    return f"event: {type_}\ndata: {data}\n\n".encode()


def started(**usage: Any) -> bytes:
    return event("message_start", message={"type": "message", "content": [], "usage": usage})


def begin(index: int, type_: str, **fields: Any) -> bytes:
    return event("content_block_start", index=index, content_block={"type": type_, **fields})


def delta(index: int, type_: str, **fields: Any) -> bytes:
    return event("content_block_delta", index=index, delta={"type": type_, **fields})


def ended(index: int) -> bytes:
    return event("content_block_stop", index=index)


def text(index: int, *pieces: str) -> bytes:
    said = [delta(index, "text_delta", text=piece) for piece in pieces]
    return b"".join([begin(index, "text", text=""), *said, ended(index)])


def thought(index: int, *pieces: str, signature: str = "sig") -> bytes:
    said = [delta(index, "thinking_delta", thinking=piece) for piece in pieces]
    signed = delta(index, "signature_delta", signature=signature)
    first = begin(index, "thinking", thinking="", signature="")
    return b"".join([first, *said, signed, ended(index)])


def call(index: int, id_: Any, name: str, *pieces: str, type_: str = "tool_use") -> bytes:
    said = [delta(index, "input_json_delta", partial_json=piece) for piece in pieces]
    return b"".join([begin(index, type_, id=id_, name=name, input={}), *said, ended(index)])


def reason(name: str | None, **usage: Any) -> bytes:
    return event("message_delta", delta={"stop_reason": name}, usage=usage)


STOP = event("message_stop")
END = reason("end_turn", output_tokens=1) + STOP
CALLED = reason("tool_use", output_tokens=1) + STOP


def decoder() -> MessagesDecoder:
    return MessagesDecoder(secret="sk-secret", model=MODEL, origin=ORIGIN)


def run(reads: Iterable[bytes]) -> tuple[list[ModelPart], ModelFinish]:
    decoding = decoder()
    parts = [part for read in reads for part in decoding.feed(read)]
    parts += decoding.feed_eof()
    assert decoding.feed_eof() == []
    return parts, decoding.finish()


def run_every_way(data: bytes) -> tuple[list[ModelPart], ModelFinish]:
    """Decode whole and byte by byte, which must say the same."""
    whole = run([data])
    assert run(data[i : i + 1] for i in range(len(data))) == whole
    return whole


def failure(data: bytes) -> tuple[list[ModelPart], ModelError]:
    """Decode, whole and in small pieces, what must fail; the parts before must be the same."""

    def decode(size: int) -> tuple[list[ModelPart], ModelError]:
        decoding = decoder()
        parts = [p for i in range(0, len(data), size) for p in decoding.feed(data[i : i + size])]
        parts += decoding.feed_eof()
        with pytest.raises(ModelError) as info:
            decoding.finish()
        return parts, info.value

    parts, error = decode(len(data) or 1)
    slow_parts, slow_error = decode(1 if len(data) < 10_000 else 9_999)
    assert slow_parts == parts
    assert (slow_error.args, slow_error.retryable) == (error.args, error.retryable)
    return parts, error


def said(parts: Iterable[ModelPart]) -> list[Any]:
    """Text as str, reasoning as (delta,), calls as [id, name, input]; deltas are joined."""
    out: list[Any] = []
    calls: dict[str, list[str]] = {}
    for part in parts:
        if isinstance(part, ToolInputPart):
            if part.id not in calls:
                out.append(calls.setdefault(part.id, [part.id, part.name, ""]))
            calls[part.id][2] += part.delta
        elif isinstance(part, TextPart):
            if out and isinstance(out[-1], str):
                out[-1] += part.delta
            else:
                out.append(part.delta)
        elif isinstance(part, ReasoningPart):
            if out and isinstance(out[-1], tuple):
                out[-1] = (out[-1][0] + part.delta,)
            else:
                out.append((part.delta,))
    return out


def kept(finish: ModelFinish) -> list[dict[str, Any]]:
    """The blocks that the provider wants back."""
    content: list[dict[str, Any]] = finish.provider[ORIGIN]["content"]
    return content
