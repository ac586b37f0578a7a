"""Closing the log of a run whose worker is gone.

Whatever is in it, it gets an end: entries that can't be read are passed over.
"""

import time
from collections.abc import Collection, Mapping
from typing import Final

from .._errors import CursorExpired, LogDamaged, UnknownRun
from .._events import (
    AnyEvent,
    ErrorDetail,
    ModelFinished,
    Nested,
    RunError,
    StepFinish,
    ToolCall,
    ToolOutcome,
    ToolRequest,
    ToolResult,
    Usage,
)
from .._log.log import Append, Appended, Entry
from .._log.store import Lease, Store

_PAGE: Final = 1024
_UNKNOWN: Final = "the worker was lost during this call: its outcome is unknown"


async def close_log(store: Store, lease: Lease, code: str, message: str) -> Appended:
    """Append the terminal `error` to a log, and before it a result for each open tool call.

    A checkpoint.

    Raises:
        StoreUnavailable: the store can't take it now.
    """
    try:
        try:
            calls, usage, tail = await _left_open(store, lease.run_id)
        except LogDamaged:
            # Calls before a hole may have their results in it: they get no second ones.
            calls, usage, tail = (), Usage(), (await store.info(lease.run_id)).tail
    except (UnknownRun, CursorExpired):
        return Appended.UNKNOWN
    at = time.time_ns() // 1_000_000
    events: list[AnyEvent] = [
        ToolResult(at=at, tool=ToolOutcome(call.id, call.name, call.input, _UNKNOWN, "unknown"))
        for call in calls
    ]
    events.append(RunError(at=at, error=ErrorDetail(code, message), usage=usage))
    entries = [Entry.of(tail + number, event) for number, event in enumerate(events, 1)]
    [outcome] = await store.append([Append(lease.run_id, lease.fence, entries)])
    return outcome


async def _left_open(store: Store, run_id: str) -> tuple[Collection[ToolRequest], Usage, int]:
    """Return the calls without a result, what the answers cost, and the tail."""
    calls: dict[str, ToolRequest] = {}
    usages: dict[tuple[str, int], Usage] = {}
    tail = 0
    while entries := (await store.read(run_id, tail, _PAGE)).entries:
        for entry in entries:
            match entry.event if entry.readable else None:
                case ToolCall(tool=call):
                    calls[call.id] = call
                case ToolResult(tool=outcome):
                    calls.pop(outcome.id, None)
                case event:
                    usages |= _paid("", event)
        tail = entries[-1].offset
    return calls.values(), sum(usages.values(), Usage()), tail


def _paid(call: str, event: AnyEvent | None) -> Mapping[tuple[str, int], Usage]:
    """Return what a step of the agent in this call has cost, if an event says it."""
    match event:
        case Nested(call=inner, event=event):
            return _paid(inner, event)
        # Of both, a log of schema 1 has the second only.
        case (
            ModelFinished(step_number=step, usage=usage) | StepFinish(step_number=step, usage=usage)
        ):
            return {(call, step): usage}
    return {}
