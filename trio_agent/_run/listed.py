"""Runs as they stand in lists, here and at a server's clients."""

from collections.abc import Mapping
from typing import Any

import msgspec

from .._events import ErrorDetail, RunError, RunFinish
from .._log.run_info import RunInfo
from .run import RunStatus


class ListedRun(msgspec.Struct, frozen=True, rename="camel"):
    """A run in a list."""

    id: str
    agent: str
    """The agent's name."""
    status: RunStatus
    """How it ended, or `active`, or `waiting` if it sleeps until somebody answers."""
    created_at: int
    """Unix time in milliseconds."""
    metadata: Mapping[str, Any] = {}
    """What was given at the start."""
    owner: str | None = None
    """The principal whose run it is, None where nobody is asked."""
    error: ErrorDetail | None = None
    """Why it failed, if it did."""
    thread: str | None = None
    """The thread that it is a part of, if it is one."""
    follows: str | None = None
    """The run of that thread whose turn comes before it."""


class RunPage(msgspec.Struct, frozen=True):
    """A piece of a list of runs, newest first."""

    runs: tuple[ListedRun, ...]
    next: str | None
    """What to pass as `before` for the next page; None behind the last one, which is empty."""


def listed(info: RunInfo) -> ListedRun:
    """Show what a store knows of a run."""
    record = info.record
    status: RunStatus = "waiting" if info.parked else "active"
    error: ErrorDetail | None = None
    match info.last and info.last.event:
        case RunFinish(run=run):
            status = run.finish_reason
        case RunError(error=detail):
            status, error = "error", detail
    return ListedRun(
        id=record.run_id,
        agent=record.agent,
        status=status,
        created_at=record.created_at,
        metadata=record.metadata,
        owner=record.owner,
        error=error,
        thread=record.thread,
        follows=record.follows,
    )
