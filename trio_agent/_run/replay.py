"""Reading a whole log back from its store."""

from collections.abc import Sequence
from typing import Final

from .._errors import LogDamaged
from .._log.store import Store
from .._messages import AnyMessage
from .transcript import Transcript

_PAGE: Final = 1024


async def replay(
    store: Store, run_id: str, messages: Sequence[AnyMessage] = ()
) -> tuple[Transcript, int]:
    """Fold a log behind `messages` into a transcript; returns it and the tail. A checkpoint.

    Raises:
        UnknownRun, CursorExpired: there is no such log, or no more.
        LogDamaged: it can't be read.
        StoreUnavailable: the store can't be read now.
    """
    transcript, tail = Transcript(messages), 0
    while entries := (await store.read(run_id, tail, _PAGE)).entries:
        for entry in entries:
            if not entry.readable:
                raise LogDamaged(f"the log of run {run_id!r} is damaged")
            if entry.event is not None:
                transcript.add(entry.event)
        tail = entries[-1].offset
    return transcript, tail
