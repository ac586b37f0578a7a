"""Reading a whole log back from its store, with what is kept beside it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .._errors import LogDamaged
from .._events import ModelFinished
from .._log.log import Entry
from .._log.plain import UNREADABLE
from .._log.store import Store
from .._messages import AnyMessage
from .kept import decode_kept
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
        kept = await _kept_beside(store, run_id, entries)
        for entry in entries:
            if entry.event is not None:
                transcript.add(entry.event, kept.get(entry.offset))
        tail = entries[-1].offset
    return transcript, tail


async def _kept_beside(
    store: Store, run_id: str, entries: Sequence[Entry]
) -> Mapping[int, Mapping[str, Any]]:
    """Return what providers want back with the answers that end in these entries."""
    offsets = [entry.offset for entry in entries if isinstance(entry.event, ModelFinished)]
    kept: dict[int, Mapping[str, Any]] = {}
    while offsets:
        privates = await store.read_private(run_id, offsets)
        for offset, private in zip(offsets, privates, strict=False):
            if private:
                try:
                    kept[offset] = decode_kept(private)
                except UNREADABLE:
                    raise LogDamaged(f"what is kept of run {run_id!r} is damaged") from None
        offsets = offsets[len(privates) :]
    return kept
