"""A nursery that is a detail to its user, and what the groups of nurseries stand for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

_STOPS = (trio.Cancelled, KeyboardInterrupt)


def expect_trio() -> None:
    """See that this is a Trio task.

    Raises:
        RuntimeError: it is not: this is asyncio, or no event loop at all.
    """
    if not trio.lowlevel.in_trio_task():
        raise RuntimeError(
            "trio_agent runs on Trio: start your program with trio.run(main), not with "
            "asyncio.run(main()) or on an asyncio server such as uvicorn"
        )


@asynccontextmanager
async def open_plain_nursery() -> AsyncIterator[trio.Nursery]:
    """Open a nursery for tasks that serve the body and never raise by themselves.

    An exception of the body cancels the tasks and is raised as it is, not in a group: to the
    user of a context manager our nursery is a detail. `KeyboardInterrupt` and `SystemExit` are
    about the whole program: they come out as they are, whichever task they rose in. Whatever
    else goes wrong is grouped, as in every nursery.

    Raises:
        RuntimeError: this is no Trio task.
    """
    expect_trio()
    failure: Exception | KeyboardInterrupt | SystemExit | None = None
    end: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            except (Exception, KeyboardInterrupt, SystemExit) as exc:
                failure = exc
                nursery.cancel_scope.cancel(reason="the body failed")
    except BaseException as exc:  # noqa: ASYNC103 - or it is raised below
        # A cancellation is told again at the next checkpoint; the body's failure would be lost.
        if failure is None or not _is_cancelled(exc):
            end = exc
    raised = _outcome(failure, end)
    if raised is not None:
        # Raised within our caller's `except`, it would be told as a consequence of that.
        context = raised.__context__
        try:
            raise raised
        finally:
            raised.__context__ = context
            del failure, end, raised, context


def _outcome(failure: BaseException | None, end: BaseException | None) -> BaseException | None:
    if failure is not None and end is not None:
        end = BaseExceptionGroup("both body and closing", [failure, end])
    outcome = end if failure is None or end is not None else failure
    if outcome is None:
        return None
    told = [leaf for leaf in leaves(outcome) if not isinstance(leaf, trio.Cancelled)]
    for kind in (KeyboardInterrupt, SystemExit):
        for leaf in told:
            if isinstance(leaf, kind):
                others = [other for other in told if not isinstance(other, kind)]
                if others:
                    leaf.__context__ = BaseExceptionGroup("what failed besides", others)
                return leaf
    return outcome


def leaves(exc: BaseException) -> list[BaseException]:
    """The exceptions that a group holds, however deep; an exception that is no group is one."""
    if isinstance(exc, BaseExceptionGroup):
        return [leaf for inner in exc.exceptions for leaf in leaves(inner)]
    return [exc]


def split_stops(exc: BaseException) -> tuple[BaseException | None, list[BaseException]]:
    """Tell what has to go on, `Cancelled` and `KeyboardInterrupt`, from what failed."""
    if isinstance(exc, BaseExceptionGroup):
        stops, failures = exc.split(_STOPS)
        return stops, [] if failures is None else leaves(failures)
    return (exc, []) if isinstance(exc, _STOPS) else (None, [exc])


def _is_cancelled(exc: BaseException) -> bool:
    return all(isinstance(leaf, trio.Cancelled) for leaf in leaves(exc))
