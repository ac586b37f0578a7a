"""A nursery whose body's own exception comes out as it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


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
