"""The turns of a thread as messages: what a run adds, and what was said before it.

A turn has all that its run was given and that came of it, with what providers want back and with
the data of files: who goes on from it needs nothing else. It is one JSON array, written once.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from .._errors import LogDamaged, TooLarge, UnknownRun, UnknownThread
from .._log.plain import UNREADABLE, encode_json
from .._log.run_info import RunRecord
from .._log.store import Store
from .._log.thread import Turn
from .._messages import AnyMessage
from .transcript import Transcript

_PAGE: Final = 1000

_decode = msgspec.json.Decoder(tuple[AnyMessage, ...]).decode


def encode_turn(transcript: Transcript) -> bytes:
    """Encode what a run that has ended adds to its thread; nothing if its model said nothing."""
    added = transcript.added
    return encode_json(added) if added else b""


def decode_turn(thread: str, turn: Turn) -> tuple[AnyMessage, ...]:
    """Return the messages of a turn.

    Raises:
        LogDamaged: they can't be read.
    """
    try:
        return _decode(turn.data)
    except UNREADABLE:
        raise LogDamaged(f"what run {turn.run_id!r} said in {thread!r} can't be read") from None


def no_turn(thread: str, run_id: str) -> ValueError:
    """Make the error of a run that nothing can follow."""
    return ValueError(
        f"run {run_id!r} has no turn in the thread {thread!r}: it is of another, or said nothing"
    )


async def read_history(
    store: Store, record: RunRecord, max_bytes: int | None = None
) -> tuple[AnyMessage, ...]:
    """Read what was said in its thread before a run. A checkpoint.

    Args:
        store: where the thread is.
        record: of the run.
        max_bytes: of turns that are read at most.

    Raises:
        TooLarge: there is more.
        UnknownThread, UnknownRun: the thread is there no more, or has no such turn.
        LogDamaged: it can't be read.
        StoreUnavailable: the store can't be read now.
    """
    turns: list[Sequence[AnyMessage]] = []
    last, size = record.follows, 0
    while record.thread is not None and last is not None:
        for turn in await store.turns(record.owner, record.thread, last, _PAGE):
            size += len(turn.data)
            if max_bytes is not None and size > max_bytes:
                raise TooLarge(
                    f"what was said in the thread {record.thread!r} has more than {max_bytes}"
                    " bytes: begin another thread"
                )
            turns.append(decode_turn(record.thread, turn))
            last = turn.follows
    return tuple(message for turn in reversed(turns) for message in turn)


async def history_left(store: Store, record: RunRecord) -> tuple[AnyMessage, ...]:
    """As `read_history`, but nothing where the thread was removed. A checkpoint."""
    try:
        return await read_history(store, record)
    except (UnknownThread, UnknownRun):
        return ()
