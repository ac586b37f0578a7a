"""What the replies of scripts mean."""

from typing import Any, Final

import msgspec

from ..._errors import CursorExpired, LogDamaged, UnknownRun
from ..._log.log import Entry
from ..._log.run_info import RunInfo, RunRecord
from ..._log.store import Page

UNREADABLE: Final = (msgspec.MsgspecError, RecursionError, TypeError, ValueError)
"""What decoding raises if the record is none, or is nested too deeply."""


def present(run_id: str, reply: Any) -> Any:
    """Return the reply of a call about a run that must exist.

    Raises:
        UnknownRun: there is none.
        CursorExpired: there was one.
        LogDamaged: its log is lost.
    """
    if reply == b"unknown":
        raise UnknownRun(run_id)
    if reply == b"expired":
        raise CursorExpired(f"the log of run {run_id!r} was removed")
    if reply == b"damaged":
        raise LogDamaged(f"the log of run {run_id!r} is lost")
    return reply


def as_page(run_id: str, after: int, reply: Any) -> Page:
    """Return what was read. Raises as `present`."""
    tail, closed, found = present(run_id, reply)
    tail, closed = int(tail), closed == b"1"
    entries = [
        Entry(offset, data, closed and offset == tail)
        for offset, data in enumerate(found, after + 1)
    ]
    return Page(entries, tail, closed)


def as_info(run_id: str, reply: Any) -> RunInfo:
    """Return what is known of a run. Raises as `present`, also if its record can't be read."""
    known, last, state, viewers = present(run_id, reply)
    record, epoch, tail, size, fence, cancel, digest, delivered, torn, _, thread, follows = known
    try:
        public = RunRecord(
            run_id=run_id,
            epoch=epoch.decode(),
            digest="" if digest is None else digest.decode(),
            thread=None if thread is None else thread.decode(),
            follows=None if follows is None else follows.decode(),
            **msgspec.json.decode(record),
        )
    except UNREADABLE:
        raise LogDamaged(f"the record of run {run_id!r} can't be read") from None
    return RunInfo(
        record=public,
        tail=int(tail),
        size=int(size),
        last=None if last is None else Entry(int(tail), last, terminal=True),
        fence=int(fence),
        leased=state == b"leased",
        cancel_reason=None if cancel is None else cancel.decode(),
        viewers=viewers,
        parked=state == b"parked",
        delivered=int(delivered or 0),
        torn=torn is not None,
    )
