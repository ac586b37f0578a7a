"""The tokens of an answer, out of the counts that come with its chunks.

Each count is the newest one that was told: what isn't counted, or not any more, stays as it was.

Sources: the OpenAI API reference, "Completion usage"; DeepSeek's "Context caching" and Kimi's
reference for what they call cached tokens.
"""

from ..._events import Usage
from ._chunk import Counts, Details

_NO_DETAILS = Details()


def newer_usage(usage: Usage, counts: Counts) -> Usage:
    """Return what was counted so far, with these counts."""
    prompt = _first(counts.prompt_tokens, counts.input_tokens, usage.input_tokens)
    completion = _first(counts.completion_tokens, counts.output_tokens, usage.output_tokens)
    told = (counts.prompt_tokens, counts.input_tokens, counts.completion_tokens)
    if not any((*told, counts.output_tokens, counts.total_tokens)):
        return usage
    of_prompt = counts.prompt_tokens_details or _NO_DETAILS
    of_completion = counts.completion_tokens_details or _NO_DETAILS
    return Usage(
        prompt,
        completion,
        counts.total_tokens or prompt + completion,
        _first(
            of_prompt.cached_tokens,
            counts.prompt_cache_hit_tokens,
            counts.cached_tokens,
            usage.cached_input_tokens,
        ),
        _first(of_completion.reasoning_tokens, usage.reasoning_tokens),
    )


def _first(*counts: int | None) -> int:
    return next((count for count in counts if count is not None), 0)
