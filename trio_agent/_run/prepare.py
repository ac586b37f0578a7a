"""What a model reads of a transcript, where an agent says so. The transcript stays whole."""

from collections.abc import Iterable
from typing import get_args

from .._messages import AnyMessage, Prepare, unpaired_calls


def apply(prepare: Prepare, messages: tuple[AnyMessage, ...]) -> tuple[AnyMessage, ...]:
    """Let `prepare` make of a transcript what a model can read.

    Raises:
        TypeError: what it returned are no messages.
        ValueError: there are none, or no provider takes them: a call has no result, or a result no
            call.
        Exception: whatever else it raises.
    """
    prepared = prepare(messages)
    if not isinstance(prepared, Iterable):
        kind = type(prepared).__name__
        raise TypeError(f"prepare returned {kind}: let it return messages, and not be async")
    read = tuple(prepared)
    for message in read:
        if not isinstance(message, get_args(AnyMessage)):
            kind = type(message).__name__
            raise TypeError(f"prepare returned {kind} among the messages")
    if not read:
        raise ValueError("prepare returned no messages: leave at least one")
    if (wrong := unpaired_calls(read)) is not None:
        raise ValueError(
            f"prepare returned messages that no provider takes: {wrong}; keep a message with tool "
            "calls and the results behind it together, as trim_messages does"
        )
    return read
