"""Doing something just before an await really waits."""

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any, Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.frozen
class BeforeWaiting(Generic[T]):
    """Awaits `awaitable`; if it has to wait, calls `do` once before.

    A reader that gets several pieces out of one read of a socket can so hand them on together,
    and without a delay: nobody else can tell it that the next piece is not there yet.

    Args:
        awaitable: anything that can be awaited, such as `anext(iterator)`.
        do: must neither raise nor await. It runs within the wait, which has begun.
    """

    awaitable: Awaitable[T]
    do: Callable[[], None]

    def __await__(self) -> Generator[Any, Any, T]:
        steps: Any = self.awaitable.__await__()
        step = partial(next, steps)
        waits = False
        while True:
            try:
                message = step()
            except StopIteration as done:
                result: T = done.value
                return result
            if not waits:
                waits = True
                self.do()
            try:
                answer = yield message
            except BaseException as exc:  # noqa: ASYNC103 - it is raised in the awaitable
                step = partial(steps.throw, exc)
            else:
                step = partial(steps.send, answer)
