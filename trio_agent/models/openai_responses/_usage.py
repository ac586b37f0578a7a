"""Tokens, as providers count them."""

from typing import Any

from ..._events import Usage
from .._provider._loose import count


def read_usage(value: Any) -> Usage:
    """Return what a response says that it cost; nothing of what it doesn't say."""
    input_tokens = _count(value, "input_tokens", "prompt_tokens")
    output_tokens = _count(value, "output_tokens", "completion_tokens")
    return Usage(
        input_tokens,
        output_tokens,
        _count(value, "total_tokens") or input_tokens + output_tokens,
        _count(_of(value, "input_tokens_details"), "cached_tokens"),
        _count(_of(value, "output_tokens_details"), "reasoning_tokens"),
    )


def _count(value: Any, *names: str) -> int:
    counts = (count(_of(value, name)) for name in names)
    return next((count for count in counts if count is not None), 0)


def _of(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
