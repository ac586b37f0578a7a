"""The calls that a run waits for, as its log has them.

A run that sleeps has said last which calls those are. What was asked stands not far before, so
that the log is read from its end.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from trio_agent import RunWaiting, ToolAsked
from trio_agent.abc import RunInfo, Store

_PAGE: Final = 256
_ASKED: Final = b'{"type":"tool-request"'


class OpenCall(msgspec.Struct, frozen=True, rename="camel"):
    """A call that somebody is to answer."""

    call_id: str
    tool: str
    input: Any
    kind: str
    deadline: int | None
    """Unix time in milliseconds, None where it is waited for as long as it takes."""


async def open_calls(store: Store, info: RunInfo) -> Sequence[OpenCall]:
    """Return what a run that sleeps waits for, in the order in which it was asked. A checkpoint.

    Raises:
        UnknownRun, CursorExpired: there is no such run, or no more.
        StoreUnavailable: the store can't tell.
    """
    run_id = info.record.run_id
    page = await store.read(run_id, info.tail - 1, 1)
    last = page.entries[0].event if page.entries else None
    if not isinstance(last, RunWaiting):
        return []
    found: dict[str, OpenCall] = {}
    end = info.tail
    while end and not found.keys() >= set(last.calls):
        begin = max(0, end - _PAGE)
        found = {**await _asked(store, run_id, begin, end), **found}
        end = begin
    return [call for call in found.values() if call.call_id in last.calls]


async def _asked(store: Store, run_id: str, after: int, end: int) -> dict[str, OpenCall]:
    found: dict[str, OpenCall] = {}
    while after < end and (entries := (await store.read(run_id, after, end - after)).entries):
        for entry in entries:
            after = entry.offset
            if entry.data.startswith(_ASKED) and isinstance(event := entry.event, ToolAsked):
                call = event.tool
                found[call.id] = OpenCall(
                    call.id, call.name, call.input, event.kind, event.deadline
                )
    return found
