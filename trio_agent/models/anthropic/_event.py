"""One event of a streamed message, as far as it is read.

Source: Anthropic's documentation, "Streaming messages", and the types of its Python SDK. What is
not declared here is skipped without being looked at. `decode_event` is strict and fast; what it
refuses, and what gateways mean by it, is the matter of `_lenient`.
"""

from typing import Annotated, Any

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""What every JSON reader can represent."""

NOTHING = msgspec.Raw()
"""What errors are before they are looked at: they may be anything."""
_NULL = msgspec.Raw(b"null")

KNOWN = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
    }
)
DELTAS = frozenset(
    {"text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta"}
)


class Delta(msgspec.Struct):
    """What is new in a block, or in the message as a whole."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: dict[str, Any] | None = None
    stop_reason: str | None = None
    container: dict[str, Any] | None = None
    other: dict[str, Any] | None = None
    """A delta of a type that isn't known. Never in an event to the letter."""


class Details(msgspec.Struct):
    """Which tokens of the output are what."""

    thinking_tokens: Count | None = None


class Counts(msgspec.Struct):
    """Tokens so far."""

    input_tokens: Count | None = None
    """Without those that were cached."""
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    output_tokens_details: Details | None = None


class Message(msgspec.Struct):
    """What is said of the whole at its begin."""

    usage: Counts | None = None
    container: dict[str, Any] | None = None


class Event(msgspec.Struct):
    """An event of any type: the fields of all of them."""

    type: str = ""
    index: Count | None = None
    content_block: dict[str, Any] | None = None
    delta: Delta | None = None
    message: Message | None = None
    usage: Counts | None = None
    error: msgspec.Raw = NOTHING

    @property
    def is_odd(self) -> bool:
        """Whether it may mean more than is declared here: an error, a whole answer, news."""
        if self.type == "content_block_delta":
            return self.delta is None or self.delta.type not in DELTAS or self._has_error
        if self.type == "content_block_start":
            block = self.content_block
            return block is None or type(block.get("type")) is not str or self._has_error
        return self.type not in KNOWN or self._has_error

    @property
    def _has_error(self) -> bool:
        return bool(self.error) and self.error != _NULL


decode_event = msgspec.json.Decoder(Event).decode
"""Raises `ValueError` or `RecursionError` for what is no event to the letter."""
