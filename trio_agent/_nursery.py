"""What tasks that serve somebody need: a nursery, and a place for their trouble.

Such a task serves all runs of a runtime or a store, so that nothing that goes wrong in it, a bug
included, may end it: it tells its `Trouble`, and goes on after a while.
"""

import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from ._errors import StoreUnavailable

logger = logging.getLogger("trio_agent")

_QUIET: Final = 60.0
"""Seconds in which the same trouble is not logged again."""


@asynccontextmanager
async def open_plain_nursery() -> AsyncIterator[trio.Nursery]:
    """Open a nursery for tasks that serve the body and never raise by themselves.

    An `Exception` of the body cancels the tasks and is raised as it is, not in a group: to the
    user of a context manager our nursery is a detail. Whatever else goes wrong is grouped, as
    in every nursery.
    """
    failure: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            except Exception as exc:
                failure = exc
                nursery.cancel_scope.cancel(reason="the body failed")
    except BaseException as exc:  # noqa: ASYNC103 - or it is raised in a group
        if failure is None:
            raise
        # A cancellation is told again at the next checkpoint; the body's failure would be lost.
        if not _is_cancelled(exc):
            both = [failure, exc]
            raise BaseExceptionGroup("both body and closing", both) from None  # noqa: ASYNC104
    if failure is not None:
        raise failure


def _is_cancelled(exc: BaseException) -> bool:
    if isinstance(exc, BaseExceptionGroup):
        return exc.split(trio.Cancelled)[1] is None
    return isinstance(exc, trio.Cancelled)


class Trouble:
    """Logs one kind of trouble: at once, and while it lasts, once a minute.

    Args:
        what: what could not be done; with places, as in `logging`, for what `tell` is given.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._told: dict[type[Exception], float] = {}

    def tell(self, failure: Exception, *places: object) -> None:
        """Log why, with a traceback unless the store is to blame. For tasks of Trio."""
        kind, now = type(failure), trio.current_time()
        if now - self._told.get(kind, -math.inf) < _QUIET:
            return
        self._told[kind] = now
        if isinstance(failure, StoreUnavailable):
            logger.warning(f"{self._what}: %s", *places, failure)
        else:
            logger.error(f"{self._what}: a bug", *places, exc_info=failure)
