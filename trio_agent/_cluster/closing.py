"""Closing the log of a run that nobody goes on with. It takes no agent.

Whatever is in it, it gets an end: a log that can't be read gets an error, behind what is there.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from .._errors import CursorExpired, LogDamaged, UnknownBlob, UnknownRun
from .._events import AnyEvent, ErrorDetail, RunError
from .._log.log import Append, Appended, Entry
from .._log.store import Lease, Store
from .._messages import AnyMessage, UserMessage
from .._run.files import without_files
from .._run.machine import Machine
from .._run.private import said_before
from .._run.rebuild import rebuild
from .._run.turns import encode_turn

_LOST: Final = UserMessage("(what was said here can't be read any more)")


async def close_log(store: Store, lease: Lease, code: str, message: str) -> Appended:
    """Append the terminal `error` to a log, and before it a result for each open tool call.

    A checkpoint.

    Raises:
        StoreUnavailable: the store can't take it now.
    """
    return await _close(
        store, lease, lambda machine, at: machine.fail(code, message, at), code, message
    )


async def cancel_log(store: Store, lease: Lease, reason: str) -> Appended:
    """As `close_log`, but it ends as a cancelled run does, if it can be read."""
    return await _close(
        store,
        lease,
        lambda machine, at: machine.finish("cancelled", at, reason=reason),
        "cancelled",
        reason,
    )


async def _close(
    store: Store,
    lease: Lease,
    end: Callable[[Machine, int], Sequence[AnyEvent]],
    code: str,
    message: str,
) -> Appended:
    at = time.time_ns() // 1_000_000
    try:
        # What else its record says is of no matter here, and may be lost.
        machine = Machine(lease.run_id, "", await _given(store, lease.run_id), max_steps=1)
        turn = b""
        try:
            tail = (await rebuild(store, lease.run_id, machine)).tail
            if machine.done:
                return Appended.CLOSED
            for call in machine.story.ready:
                machine.abandoned(call.id)
            events = end(machine, at)
            turn = encode_turn(machine.story.transcript)
        except LogDamaged:
            # Calls before a hole may have their results in it: they get no second ones.
            tail = (await store.info(lease.run_id)).tail
            events = [RunError(at=at, error=ErrorDetail(code, message))]
        entries = [Entry.of(tail + number, event) for number, event in enumerate(events, 1)]
        append = Append(lease.run_id, lease.fence, entries, turn=turn)
        [outcome] = await store.append([append])
    except (UnknownRun, CursorExpired):  # or nothing of it can be read
        return Appended.UNKNOWN
    return outcome


async def _given(store: Store, run_id: str) -> tuple[AnyMessage, ...]:
    """Return what a run was given, if its thread is to keep it.

    What can't be read has a note in its place: who goes on from the thread needs to know that the
    model has answered somebody.
    """
    said: tuple[AnyMessage, ...] = ()
    with suppress(LogDamaged):
        if (await store.info(run_id)).record.thread is None:
            return ()
        try:
            said = await said_before(store, run_id)
        except UnknownBlob:
            # A name that leads nowhere would stop all runs behind this one.
            said = without_files(await said_before(store, run_id, files=False))
    return said or (_LOST,)
