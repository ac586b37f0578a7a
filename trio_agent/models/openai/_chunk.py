"""One chunk of a streamed chat completion, as far as it is read.

Source: the OpenAI API reference, "The chat completion chunk object". What is not declared here is
skipped without being looked at. `decode_chunk` is strict and fast; what it refuses, and what
providers mean by it, is the matter of `_lenient`.
"""

from typing import Annotated, Final

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""What every JSON reader can represent."""

NOTHING = msgspec.Raw()
"""What may be anything, before it is looked at."""
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
    extra_content: msgspec.Raw = NOTHING
    """What Google wants back beside the call."""


class Delta(msgspec.Struct):
    """What is new in an answer. Some providers send the reasoning under two names."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    """How a call was written before there were `tool_calls`."""
    reasoning_text: str | None = None
    thinking: str | None = None
    reasoning_in_content: str | None = None
    """What was a part of a content that is a list, "thinking" or by another name."""
    part_type: str | None = None
    """That name."""
    reasoning_details: msgspec.Raw = NOTHING
    """The reasoning as OpenRouter wants it back."""
    reasoning_opaque: str | None = None
    """The same of Copilot."""
    extra_content: msgspec.Raw = NOTHING


REASONING_NAMES: Final = (
    *("reasoning_content", "reasoning", "reasoning_text", "thinking"),
    "reasoning_in_content",
)
"""The names under which providers send reasoning, the first of two that count."""


class Details(msgspec.Struct):
    """What some of the tokens are."""

    cached_tokens: Count | None = None
    reasoning_tokens: Count | None = None


class Counts(msgspec.Struct):
    """Tokens, as the provider counts them."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    input_tokens: Count | None = None
    """As others call the prompt's."""
    output_tokens: Count | None = None
    prompt_cache_hit_tokens: Count | None = None
    """As DeepSeek calls those of the prompt that it had at hand."""
    cached_tokens: Count | None = None
    """As Kimi does."""
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None


class Choice(msgspec.Struct):
    """One of several answers."""

    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    usage: Counts | None = None
    error: msgspec.Raw = NOTHING


class Groq(msgspec.Struct):
    """What Groq has to say beside the standard."""

    usage: Counts | None = None
    error: str | None = None


class Chunk(msgspec.Struct):
    """One event of the stream."""

    choices: list[Choice] | None = None
    usage: Counts | None = None
    error: msgspec.Raw = NOTHING
    x_groq: Groq | None = None

    @property
    def is_odd(self) -> bool:
        """Whether it may mean more than is declared here: an error, a whole answer, nothing."""
        if self.error and self.error != _NULL:
            return True
        if not self.choices:
            return self.usage is None and self.x_groq is None
        choice = self.choices[0]
        return choice.delta is None or (bool(choice.error) and choice.error != _NULL)


decode_chunk = msgspec.json.Decoder(Chunk).decode
"""Raises `ValueError` or `RecursionError` for what is no chunk to the letter."""
