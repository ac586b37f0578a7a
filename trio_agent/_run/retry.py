"""Asking a model again: the one layer of retries, and only while nothing was said."""

import random
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Final

import trio

from .._errors import ModelError
from ..models._parts import ModelFinish

_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 8.0


async def generate_with_retries(
    generate: Callable[[], Awaitable[ModelFinish]],
    is_silent: Callable[[], bool],
    on_retry: Callable[[ModelError, float], object],
    *,
    retries: int,
    window: float,
) -> ModelFinish:
    """Let the model answer; ask again if it fails in a way that may pass.

    Nothing is repeated unless `is_silent`: what was said can't be taken back. Delays double from
    half a second, with jitter; a provider's `retry_after` is respected. There are at most
    `retries` repetitions, and the last begins within `window` seconds. `on_retry` is told of the
    failure and the delay before each.

    Raises:
        ModelError: the last failure.
    """
    last_begin = trio.current_time() + window
    for attempt in count():
        try:
            return await generate()
        except ModelError as exc:
            delay = pause(attempt, exc)
            too_late = trio.current_time() + delay > last_begin
            if not (exc.retryable and is_silent()) or attempt >= retries or too_late:
                raise
            on_retry(exc, delay)
        await trio.sleep(delay)
    raise AssertionError("unreachable")


def pause(attempt: int, failure: ModelError) -> float:
    """Return the seconds before a model is asked again that has failed so often before."""
    delay: float = min(_FIRST_DELAY * 2**attempt, _LONGEST_DELAY) * random.uniform(0.5, 1)  # noqa: S311
    return max(delay, failure.retry_after or 0)
