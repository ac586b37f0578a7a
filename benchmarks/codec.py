"""Codecs alone: events to JSON and back, and a provider's bytes to parts, per second."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from trio_agent import TextDelta
from trio_agent.models.anthropic import MessagesDecoder
from trio_agent.models.openai import ChatDecoder
from trio_agent.models.openai_responses import ResponsesDecoder
from trio_agent.wire import SSEDecoder, decode_event, encode_event, format_sse

COUNT = 50_000
ROUNDS = 5
_READ = 1 << 14


def _encode() -> None:
    for number in range(COUNT):
        encode_event(TextDelta(at=number, delta="word "))


def _decode() -> None:
    data = encode_event(TextDelta(at=0, delta="word "))
    for _ in range(COUNT):
        decode_event(data)


def _read_sse() -> None:
    data = format_sse(encode_event(TextDelta(at=0, delta="word ")), id="run.epoch.1") * COUNT
    decoder = SSEDecoder()
    count = sum(len(decoder.feed(data[at : at + _READ])) for at in range(0, len(data), _READ))
    assert count == COUNT


def _read_answer(decode: Callable[[], Any], begin: str, delta: str, end: str) -> None:
    data = (begin + delta * COUNT + end).encode()
    decoder = decode()
    count = sum(len(decoder.feed(data[at : at + _READ])) for at in range(0, len(data), _READ))
    assert count == COUNT
    decoder.finish()


_CHAT = partial(
    _read_answer,
    ChatDecoder,
    "",
    'data: {"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n',
    'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
)
_MESSAGES = partial(
    _read_answer,
    MessagesDecoder,
    'event: message_start\ndata: {"type":"message_start","message":{"usage":{}}}\n\n'
    "event: content_block_start\n"
    'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
    "event: content_block_delta\n"
    'data: {"type":"content_block_delta","index":0,'
    '"delta":{"type":"text_delta","text":"word "}}\n\n',
    "event: message_delta\n"
    'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{}}\n\n'
    'event: message_stop\ndata: {"type":"message_stop"}\n\n',
)
_RESPONSES = partial(
    _read_answer,
    ResponsesDecoder,
    "event: response.output_item.added\n"
    'data: {"type":"response.output_item.added","output_index":0,"item":{"id":"msg_1",'
    '"type":"message","role":"assistant","content":[]}}\n\n',
    "event: response.output_text.delta\n"
    'data: {"type":"response.output_text.delta","item_id":"msg_1","output_index":0,'
    '"content_index":0,"delta":"word "}\n\n',
    "event: response.completed\n"
    'data: {"type":"response.completed","response":{"status":"completed"}}\n\n',
)


def _seconds(function: Callable[[], None]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main() -> None:
    """Print a table."""
    print(f"codecs, one event or token each, reads of {_READ} bytes, median of {ROUNDS}:")
    for name, function in (
        ("encode an event", _encode),
        ("decode an event", _decode),
        ("decode server-sent events", _read_sse),
        ("decode Chat Completions", _CHAT),
        ("decode Anthropic's Messages", _MESSAGES),
        ("decode OpenAI's Responses", _RESPONSES),
    ):
        seconds = statistics.median(_seconds(function) for _ in range(ROUNDS))
        print(f"  {name:28}{COUNT / seconds / 1e6:7.2f} million/s", flush=True)


if __name__ == "__main__":
    main()
