"""A transcript within a budget: its newest messages in their order, none of them changed.

What a provider wants together stays together: an answer and the results of its calls are one
block, which stays or goes as a whole. System messages always stay, and so do two blocks: the last
that the user said, and the last of all, since a model that does not see the results of its calls
calls again. What else stays is newer than all that goes, and begins with what the user said; where
the user's last word is too far away for that, it stands before the newest blocks alone.
"""

from collections.abc import Callable
from typing import Final

from .._log.plain import encode_json
from .._messages import (
    AnyMessage,
    AssistantMessage,
    Content,
    Prepare,
    SystemMessage,
    Text,
    ToolMessage,
    UserMessage,
)

_BYTES: Final = 4
"""Bytes of UTF-8 in a token: about what English takes; other scripts are not far off."""
_MESSAGE: Final = 4
"""Tokens of a message or a call, beside what it says."""
_FILE: Final = 1000
"""Tokens of a file, of which nobody here knows more: those of a middling image."""


def trim_messages(max_tokens: int, *, count: Callable[[AnyMessage], int] | None = None) -> Prepare:
    """Make a `prepare` for an agent that keeps the newest messages within a budget.

    An answer of the model and the results of its calls stay or go together, and what stays begins
    with a message of the user. System messages, the user's last message and what came last stay in
    any case: if they alone are over the budget, it is up to the provider to refuse them.

    Args:
        max_tokens: the budget, for messages only: instructions, tools and the answer come on top.
        count: the tokens of one message. By default they are estimated: 4 bytes of text for each,
            1000 for a file.

    Raises:
        ValueError: the budget is below 1.
    """
    if max_tokens < 1:
        raise ValueError(f"max_tokens is at least 1, not {max_tokens}")
    counted = estimate if count is None else count

    def trim(messages: tuple[AnyMessage, ...]) -> tuple[AnyMessage, ...]:
        kept = _kept(messages, max_tokens, counted)
        return tuple(message for place, message in enumerate(messages) if place in kept)

    return trim


def _kept(
    messages: tuple[AnyMessage, ...], budget: int, count: Callable[[AnyMessage], int]
) -> set[int]:
    """Return the places of what stays. What is too old is not even counted."""
    blocks = _blocks(messages)
    by_user = {n for n, message in enumerate(messages) if isinstance(message, UserMessage)}
    kept = {n for n, message in enumerate(messages) if isinstance(message, SystemMessage)}
    kept.update(*blocks[-1:], [max(by_user)] if by_user else [])
    left = budget - sum(count(messages[place]) for place in kept)
    newest: list[list[int]] = []
    for block in reversed(blocks):
        if block[0] not in kept:
            left -= sum(count(messages[place]) for place in block)
            if left < 0:
                break
        newest.append(block)
    else:
        return set(range(len(messages)))
    if any(block[0] in by_user for block in newest):
        while newest[-1][0] not in by_user:
            newest.pop()
    return kept.union(*newest)


def _blocks(messages: tuple[AnyMessage, ...]) -> list[list[int]]:
    """Return the places of what stays or goes together."""
    blocks: list[list[int]] = []
    for place, message in enumerate(messages):
        if isinstance(message, ToolMessage) and blocks:
            blocks[-1].append(place)
        elif not isinstance(message, SystemMessage):
            blocks.append([place])
    return blocks


def estimate(message: AnyMessage) -> int:
    """Estimate the tokens of a message."""
    tokens = _MESSAGE + _of_content(message.content)
    if isinstance(message, AssistantMessage):
        tokens += _of_text(message.reasoning)
        for call in message.tool_calls:
            size = len(call.name) + len(encode_json(call.input))
            tokens += _MESSAGE + -(-size // _BYTES)
    if isinstance(message, ToolMessage):
        tokens += _FILE * len(message.files)
    return tokens


def _of_content(content: Content) -> int:
    if isinstance(content, str):
        return _of_text(content)
    return sum(_of_text(part.text) if isinstance(part, Text) else _FILE for part in content)


def _of_text(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // _BYTES)
