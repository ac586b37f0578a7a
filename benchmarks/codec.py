"""Codecs alone: events to JSON and back, and a provider's bytes to parts, per second."""

import statistics
import time
from collections.abc import Callable

from trio_agent import TextDelta
from trio_agent.models.openai import ChatDecoder
from trio_agent.testing.openai import finish, text
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


def _read_chat() -> None:
    data = text("word ") * COUNT + finish()
    decoder = ChatDecoder()
    count = sum(len(decoder.feed(data[at : at + _READ])) for at in range(0, len(data), _READ))
    assert count == COUNT
    decoder.finish()


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
        ("decode a chat completion", _read_chat),
    ):
        seconds = statistics.median(_seconds(function) for _ in range(ROUNDS))
        print(f"  {name:26}{COUNT / seconds / 1e6:7.2f} million/s", flush=True)


if __name__ == "__main__":
    main()
