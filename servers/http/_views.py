"""Runs as clients see them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from trio_agent import Cursor, RunError, RunFinish, Usage
from trio_agent.abc import RunInfo

from .._shared.open_calls import OpenCall


class RunView(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A run as clients see it."""

    id: str
    agent: str
    status: str
    created_at: int
    cursor: str
    viewers: int
    events: str
    """Where its events are."""
    thread: str | None = None
    follows: str | None = None
    metadata: dict[str, Any] = {}
    error: dict[str, str] | None = None
    # What it waits for, and what came of it: only where one run is looked at.
    waiting: tuple[OpenCall, ...] = ()
    text: str | None = None
    output: Any = msgspec.UNSET
    steps: int | None = None
    finish_reason: str | None = None
    reason: str | None = None
    usage: Usage | None = None
    own_usage: Usage | None = None


def view_of(info: RunInfo, root: str) -> RunView:
    """Show a run; links begin with `root`, the path below which the app is mounted."""
    record = info.record
    status, error = "waiting" if info.parked else "active", None
    match info.last and info.last.event:
        case RunFinish(run=run):
            status = run.finish_reason
        case RunError(error=detail):
            status, error = "error", {"code": detail.code, "message": detail.message}
    return RunView(
        id=record.run_id,
        agent=record.agent,
        status=status,
        created_at=record.created_at,
        cursor=str(Cursor(record.run_id, record.epoch, info.tail)),
        viewers=info.viewers,
        events=f"{root}/runs/{record.run_id}/events",
        thread=record.thread,
        follows=record.follows,
        metadata=dict(record.metadata),
        error=error,
    )


def whole_view_of(info: RunInfo, root: str, waiting: Sequence[OpenCall] = ()) -> RunView:
    """Show a run as `view_of`, and what it waits for, or what came of it if it has ended."""
    view = msgspec.structs.replace(view_of(info, root), waiting=tuple(waiting))
    match info.last and info.last.event:
        case RunFinish(run=run):
            return msgspec.structs.replace(
                view,
                text=run.text,
                output=run.output,
                steps=run.steps,
                finish_reason=run.finish_reason,
                reason=run.reason,
                usage=run.usage,
                own_usage=run.own_usage,
            )
        case RunError(usage=usage):
            return msgspec.structs.replace(view, usage=usage)
    return view
