"""What tests of Anthropic's codec share: events of its streams, and ways to decode them."""

import json
from collections.abc import Iterable
from typing import Any

from decoder_kit import Decoding

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


decoding = Decoding(decoder)
run, run_every_way, failure = decoding.run, decoding.run_every_way, decoding.failure


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
