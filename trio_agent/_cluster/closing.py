"""Closing the log of a run whose worker is gone."""

import time
from typing import Final

from .._errors import CursorExpired, UnknownRun
from .._events import AnyEvent, ErrorDetail, RunError, ToolOutcome, ToolResult
from .._log.log import Append, Appended, Entry
from .._log.store import Lease, Store
from .._run.replay import replay

_UNKNOWN: Final = "the worker was lost during this call: its outcome is unknown"


async def close_log(store: Store, lease: Lease, code: str, message: str) -> Appended:
    """Append the terminal `error` to a log, and before it a result for each open tool call.

    A checkpoint.

    Raises:
        StoreUnavailable: the store can't take it now.
    """
    try:
        transcript, tail = await replay(store, lease.run_id)
    except (UnknownRun, CursorExpired):
        return Appended.UNKNOWN
    at = time.time_ns() // 1_000_000
    events: list[AnyEvent] = [
        ToolResult(at=at, tool=ToolOutcome(call.id, call.name, call.input, _UNKNOWN, "unknown"))
        for call in transcript.calls
    ]
    events.append(RunError(at=at, error=ErrorDetail(code, message)))
    entries = [Entry.of(tail + number, event) for number, event in enumerate(events, 1)]
    [outcome] = await store.append([Append(lease.run_id, lease.fence, entries)])
    return outcome
