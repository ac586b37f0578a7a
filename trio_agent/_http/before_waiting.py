"""Doing something just before an await really waits."""

from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.frozen
class BeforeWaiting(Generic[T]):
    """Awaits `awaitable`, and calls `do` each time before it waits.

    A reader that gets several pieces out of one read of a socket can so hand them on together,
    and without a delay: nobody else can tell it that the next piece is not there yet.

    Args:
        awaitable: anything that can be awaited.
        do: must neither raise nor await. It runs within the wait, which has begun.
    """

    awaitable: Awaitable[T]
    do: Callable[[], None]

    def __await__(self) -> Generator[Any, Any, T]:
        steps: Any = self.awaitable.__await__()
        try:
            message = next(steps)
            while True:
                self.do()
                try:
                    answer = yield message
                except BaseException as exc:  # noqa: ASYNC103 - it is raised in the awaitable
                    message = steps.throw(exc)
                else:
                    message = steps.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result
