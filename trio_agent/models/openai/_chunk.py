"""One chunk of a streamed chat completion, as far as it is read.

Source: the OpenAI API reference, "The chat completion chunk object". What is not declared here is
skipped without being looked at. `decode_chunk` is strict and fast; what it refuses, and what
providers mean by it, is the matter of `_lenient`.
"""

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""What every JSON reader can represent."""

NOTHING = msgspec.Raw()
"""What errors are before they are looked at: they may be anything."""
_NULL = msgspec.Raw(b"null")


class Function(msgspec.Struct):
    """What a fragment says about the function: its name, a piece of the arguments."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct):
    """A fragment of a tool call."""

    index: Count | None = None
    id: str | None = None
    function: Function | None = None


class Delta(msgspec.Struct):
    """What is new in an answer. Some providers send the reasoning under both names."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    """How a call was written before there were `tool_calls`."""


class Counts(msgspec.Struct):
    """Tokens, as the provider counts them."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    input_tokens: Count | None = None
    """As others call the prompt's."""
    output_tokens: Count | None = None


class Choice(msgspec.Struct):
    """One of several answers."""

    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    usage: Counts | None = None
    error: msgspec.Raw = NOTHING


class Chunk(msgspec.Struct):
    """One event of the stream."""

    choices: list[Choice] | None = None
    usage: Counts | None = None
    error: msgspec.Raw = NOTHING

    @property
    def is_odd(self) -> bool:
        """Whether it may mean more than is declared here: an error, a whole answer, nothing."""
        if self.error and self.error != _NULL:
            return True
        if not self.choices:
            return self.usage is None
        choice = self.choices[0]
        return choice.delta is None or (bool(choice.error) and choice.error != _NULL)


decode_chunk = msgspec.json.Decoder(Chunk).decode
"""Raises `ValueError` or `RecursionError` for what is no chunk to the letter."""
