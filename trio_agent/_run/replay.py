"""Reading a whole log back from its store, with what is kept beside it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from .._errors import LogDamaged
from .._events import AnyEvent, ModelFinished, StepStart
from .._log.log import Entry
from .._log.plain import UNREADABLE
from .._log.store import Store
from .._messages import AnyMessage
from .kept import decode_kept
from .transcript import Transcript

_PAGE: Final = 1024


@attrs.frozen
class Kept:
    """What is private beside an event."""

    data: bytes = b""
    provider: Mapping[str, Any] | None = None
    """Of a `ModelFinished`: what its provider wants back."""


@attrs.frozen
class Read:
    """What was read."""

    tail: int
    size: int
    """Bytes of JSON, and of what is private."""


_NOTHING: Final = Kept()


async def replay(
    store: Store, run_id: str, messages: Sequence[AnyMessage] = ()
) -> tuple[Transcript, int]:
    """Fold a log behind `messages` into a transcript; returns it and the tail. A checkpoint.

    Raises:
        As `read_back`.
    """
    transcript = Transcript(messages)
    try:
        read = await read_back(
            store, run_id, lambda event, _, kept: transcript.add(event, kept.provider)
        )
    except KeyError:
        raise LogDamaged(f"the log of run {run_id!r} does not make sense") from None
    return transcript, read.tail


async def read_back(store: Store, run_id: str, add: Callable[[AnyEvent, int, Kept], None]) -> Read:
    """Give `add` each event of a log, its offset, and what is kept beside it. A checkpoint.

    Events of types that this version doesn't know are left out.

    Raises:
        UnknownRun, CursorExpired: there is no such log, or no more.
        LogDamaged: it can't be read.
        StoreUnavailable: the store can't be read now.
    """
    tail = size = 0
    while entries := (await store.read(run_id, tail, _PAGE)).entries:
        for entry in entries:
            if not entry.readable:
                raise LogDamaged(f"the log of run {run_id!r} is damaged")
        kept = await _kept_beside(store, run_id, entries)
        for entry in entries:
            beside = kept.get(entry.offset, _NOTHING)
            size += len(entry.data) + len(beside.data)
            if entry.event is not None:
                add(entry.event, entry.offset, beside)
        tail = entries[-1].offset
    return Read(tail, size)


async def _kept_beside(store: Store, run_id: str, entries: Sequence[Entry]) -> Mapping[int, Kept]:
    having = {
        entry.offset: entry.event
        for entry in entries
        if isinstance(entry.event, ModelFinished | StepStart)
    }
    offsets = list(having)
    kept: dict[int, Kept] = {}
    while offsets:
        privates = await store.read_private(run_id, offsets)
        for offset, private in zip(offsets, privates, strict=False):
            if private:
                kept[offset] = _kept(run_id, having[offset], private)
        offsets = offsets[len(privates) :]
    return kept


def _kept(run_id: str, event: AnyEvent | None, private: bytes) -> Kept:
    if not isinstance(event, ModelFinished):
        return Kept(private)
    try:
        return Kept(private, decode_kept(private))
    except UNREADABLE:
        raise LogDamaged(f"what is kept of run {run_id!r} is damaged") from None
