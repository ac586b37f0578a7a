"""What rows say, if they say it: one that is damaged is an error of its run or thread only.

SQLite keeps any value in any column, and a file may have been edited, cut or restored in parts. So
every row of a run or a thread is checked before it is believed.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

import msgspec

from ..._errors import LogDamaged
from ..._log.cursor import valid_run_id
from ..._log.inbox import Delivery, first_deliveries
from ..._log.log import PAGE_BYTES, Entry
from ..._log.run_info import RunRecord
from ..._log.thread import Turn
from . import _clock as clock

logger = logging.getLogger("trio_agent")

_Row = TypeVar("_Row", bound=msgspec.Struct)

_Kind: TypeAlias = Literal["run", "thread"]

_Natural = Annotated[int, msgspec.Meta(ge=0)]
_Epoch = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,32}\Z")]

LARGEST: Final = (1 << 63) - 1
"""SQLite takes no larger numbers."""

_TOLD: Final = 1000
"""Damaged ones that are remembered, so that each is warned of once."""


class RunRow(msgspec.Struct, array_like=True):
    """What is looked up and what changes."""

    number: _Natural
    fence: _Natural
    leased: int
    tail: _Natural
    size: _Natural
    finished: int
    cancel_reason: str | None
    due_at: float
    handed_over: int
    delivered: _Natural
    inbox_size: _Natural
    torn: int
    in_thread: int

    @property
    def due(self) -> bool:
        """Whether it is to be claimed, if nobody holds it."""
        return self.due_at <= clock.now()


class RecordRow(msgspec.Struct, array_like=True):
    """What stays as it is."""

    epoch: _Epoch
    agent: str
    created_at: _Natural
    owner: str | None
    metadata: str
    idempotency_key: str | None
    digest: str
    thread: str | None
    follows: str | None


class ThreadRow(msgspec.Struct, array_like=True):
    """A thread, but for who is active in it."""

    number: _Natural
    name: str
    owner: str | None
    head: str | None
    turns: _Natural
    size: _Natural
    updated_at: _Natural


class _TurnRow(msgspec.Struct, array_like=True):
    number: _Natural
    run_id: str
    follows: str | None
    data: bytes


_decode_metadata = msgspec.json.Decoder(dict[str, Any]).decode


def text(data: bytes) -> str | bytes:
    """Read a TEXT; what is no UTF-8 stays bytes, so that it fails where its row is read."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def as_run(run_id: str, row: tuple[Any, ...]) -> RunRow:
    """Read a row of `runs`.

    Raises:
        LogDamaged: it is none.
    """
    return _as(RunRow, run_id, row)


def as_record(run_id: str, row: tuple[Any, ...] | None) -> RunRecord:
    """Read a row of `records`.

    Raises:
        LogDamaged: there is none, or it is none.
    """
    known = _as(RecordRow, run_id, row)
    try:
        metadata = _decode_metadata(known.metadata)
    except (ValueError, RecursionError):
        raise damaged(run_id) from None
    return RunRecord(
        run_id=run_id,
        epoch=known.epoch,
        agent=known.agent,
        created_at=known.created_at,
        owner=known.owner,
        metadata=metadata,
        idempotency_key=known.idempotency_key,
        digest=known.digest,
        thread=known.thread,
        follows=known.follows,
    )


def as_page(run_id: str, rows: Iterable[tuple[Any, Any]], after: int, last: int) -> list[Entry]:
    """Read rows of `entries` behind `after`, up to the size of a page; `last` is terminal.

    Ends before a row that is missing or damaged.

    Raises:
        LogDamaged: the first one is.
    """
    entries: list[Entry] = []
    size = 0
    for expected, (offset, data) in enumerate(rows, after + 1):
        if offset != expected or not isinstance(data, bytes):
            break
        size += len(data)
        if size > PAGE_BYTES and entries:
            break
        entries.append(Entry(offset, data, offset == last))
    if not entries:
        raise damaged(run_id)
    return entries


def as_deliveries(
    run_id: str, rows: Iterable[tuple[Any, Any, Any]], after: int, limit: int
) -> Sequence[Delivery]:
    """Read rows of `inbox` behind `after`, as many as are returned at once.

    Ends before a row that is missing or damaged.

    Raises:
        LogDamaged: the first one is.
    """
    found = first_deliveries(_deliveries(rows, after), limit)
    if not found:
        raise damaged(run_id)
    return found


def _deliveries(rows: Iterable[tuple[Any, Any, Any]], after: int) -> Iterator[Delivery]:
    for expected, (number, key, data) in enumerate(rows, after + 1):
        if number != expected or not isinstance(key, str) or not isinstance(data, bytes):
            return
        yield Delivery(number, key, data)


def as_data(run_id: str, row: tuple[Any]) -> bytes:
    """Read the data of a row of `privates`, `blobs` or `inbox`.

    Raises:
        LogDamaged: it is none.
    """
    [data] = row
    if not isinstance(data, bytes):
        raise damaged(run_id)
    return data


def as_thread(name: str, row: tuple[Any, ...]) -> ThreadRow:
    """Read a row of `threads`.

    Raises:
        LogDamaged: it is none.
    """
    return _as(ThreadRow, name, row, kind="thread")


def as_turn(name: str, row: tuple[Any, ...] | None) -> tuple[int, Turn]:
    """Read a row of `turns`, of the thread with this name; its number comes with it.

    Raises:
        LogDamaged: there is none, or it is none.
    """
    known = _as(_TurnRow, name, row, kind="thread")
    return known.number, Turn(known.run_id, known.follows, known.data)


def _as(to: type[_Row], name: str, row: tuple[Any, ...] | None, *, kind: _Kind = "run") -> _Row:
    try:
        return msgspec.convert(row, to, builtin_types=(bytes,))
    except msgspec.ValidationError:
        raise damaged(name, kind) from None


def damaged(name: str, kind: _Kind = "run") -> LogDamaged:
    """Make the error of a run, or of a thread, that can't be read."""
    return LogDamaged(f"what is stored of {kind} {name!r} is damaged")


def listable(run_id: object) -> bool:
    """Whether this is the id of a run; if not, that is warned of."""
    if isinstance(run_id, str) and valid_run_id(run_id):
        return True
    warn(run_id)
    return False


@lru_cache(maxsize=_TOLD)
def warn(which: object, kind: _Kind = "run") -> None:
    """Warn, once, of a damaged run, or thread, that is left out.

    A thread is called by its number: its name may be what somebody said.
    """
    logger.warning("what is stored of %s %.80r is damaged: lists leave it out", kind, which)
