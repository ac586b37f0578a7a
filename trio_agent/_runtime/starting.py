"""Starting runs: from what was asked for to a run that is in the store and lives here.

What was started already under an idempotency key is found, also where there is no place for more,
and needs nothing of what it was asked for with.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any, Final
from weakref import WeakValueDictionary

import trio

from .._errors import CursorExpired, LimitExceeded, TooLarge, UnknownBlob, UnknownRun
from .._limits import RuntimeLimits
from .._log.run_info import RunRecord
from .._log.store import Store
from .._messages import AnyMessage, UserMessage, unpaired_calls
from .._run.files import checked, files_of, put_in
from .._run.job import Order
from .._run.rebuild import new_machine
from .._run.record import make_record
from .._run.run import Run
from .._run.settings import RunSettings
from .live_runs import LiveRuns

_NO_SETTINGS: Final = RunSettings()


class Starting:
    """Starts the runs of a runtime.

    Args:
        store: where they are created.
        limits: bounds on their files.
        live: where they live.
        find: finds one that was started before.
    """

    def __init__(
        self,
        store: Store,
        limits: RuntimeLimits,
        live: LiveRuns,
        find: Callable[[str], Awaitable[Run[Any]]],
    ) -> None:
        self._store = store
        self._limits = limits
        self._live = live
        self._find = find
        # Who finds a run by its key must find it alive, not on its way from the store.
        self._by_key: WeakValueDictionary[tuple[str | None, str], trio.Lock] = WeakValueDictionary()

    async def start(
        self,
        order: Order,
        said: tuple[AnyMessage, ...],
        settings: RunSettings,
        metadata: Mapping[str, Any] | None,
        idempotency_key: str | None,
    ) -> Run[Any]:
        """Start a run, or find it; see `Runtime.start`. A checkpoint."""
        make = partial(
            make_record,
            order,
            metadata=metadata,
            idempotency_key=idempotency_key,
            settings=settings,
        )
        self._check_size(_size_of(said))
        # Which files they are, messages say without their data.
        record = make(said)
        if idempotency_key is not None and _names_files(said):
            # What was started already has its files, and those of the earlier run may be gone.
            run_id = await self._store.lookup(record)
            if run_id is not None:
                return await self._find(run_id)
        # The place is taken before the wait, so that no two runs get the last one.
        try:
            self._live.places.take()
        except LimitExceeded as exc:
            refusal = exc
        else:
            return await self._start(order, said, record, make)
        # What was started already needs none.
        run_id = None if idempotency_key is None else await self._store.lookup(record)
        if run_id is None:
            raise refusal
        return await self._find(run_id)

    async def start_in_turn(self, order: Order, said: tuple[AnyMessage, ...]) -> Run[Any]:
        """Start a run as soon as there is a place. A checkpoint."""
        self._check_size(_size_of(said))
        make = partial(make_record, order, settings=_NO_SETTINGS)
        record = make(said)
        await self._live.places.wait()
        return await self._start(order, said, record, make)

    async def _start(
        self,
        order: Order,
        said: tuple[AnyMessage, ...],
        record: RunRecord,
        make: Callable[[tuple[AnyMessage, ...]], RunRecord],
    ) -> Run[Any]:
        """Start a run that has its place; `make` makes its record anew, with its files."""
        try:
            if _names_files(said):
                said = await self._with_files(said, record.owner)
                record = make(said)
            async with self._turn(record):
                created = await self._store.create(record)
                if created.lease is not None:
                    machine = new_machine(
                        record.run_id, order.agent, said, retractable=order.retractable
                    )
                    return self._live.begin(order, machine, record, created.lease)
        except BaseException:
            self._live.places.give_back()
            raise
        self._live.places.give_back()
        return await self._find(created.run_id)

    def _turn(self, record: RunRecord) -> AbstractAsyncContextManager[object]:
        if record.idempotency_key is None:
            return nullcontext()
        return self._by_key.setdefault((record.owner, record.idempotency_key), trio.Lock())

    async def _with_files(
        self, said: tuple[AnyMessage, ...], owner: str | None
    ) -> tuple[AnyMessage, ...]:
        """Return what was said with the files that earlier runs were given."""
        size = _size_of(said)

        async def read(run_id: str, digest: str) -> bytes:
            nonlocal size
            try:
                if owner is not None and (await self._store.info(run_id)).record.owner != owner:
                    raise UnknownBlob(run_id, digest)
                data = await self._store.read_blob(run_id, digest)
            except (UnknownBlob, UnknownRun, CursorExpired) as exc:
                message = f"there is no file {run_id}/{digest} any more: give its data"
                raise ValueError(message) from exc
            size += len(data)
            self._check_size(size)  # before the next one is read: a short message may name many
            return data

        return await put_in(said, read)

    def _check_size(self, size: int) -> None:
        if size > (most := self._limits.max_blob_bytes):
            raise TooLarge(f"the files of a run have at most {most} bytes together")


def what_was_said(
    prompt: str | None, messages: Sequence[AnyMessage] = ()
) -> tuple[AnyMessage, ...]:
    """Return the messages that a run begins with.

    Raises:
        ValueError: nothing was said, a tool call has no result, or a file is none.
    """
    said = (*messages, UserMessage(prompt)) if prompt is not None else tuple(messages)
    if not said:
        raise ValueError("give a prompt or messages")
    if problem := unpaired_calls(said):
        raise ValueError(problem)
    return checked(said)


def _size_of(said: Sequence[AnyMessage]) -> int:
    return sum(len(file.data or b"") for file in files_of(said))


def _names_files(said: Sequence[AnyMessage]) -> bool:
    """Whether there are files that earlier runs were given."""
    return any(file.blob is not None for file in files_of(said))
