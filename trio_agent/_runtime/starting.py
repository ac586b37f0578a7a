"""Starting runs: from what was asked for to a run that is in the store and lives here.

What was started already under an idempotency key is found, also where there is no place for more,
and needs nothing of what it was asked for with.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from typing import Any, Final
from weakref import WeakValueDictionary

import attrs
import trio

from .._cluster.closing import cancel_log
from .._errors import (
    CursorExpired,
    FenceLost,
    LimitExceeded,
    StoreUnavailable,
    ThreadBusy,
    ThreadMoved,
    TooLarge,
    UnknownBlob,
    UnknownRun,
)
from .._limits import RuntimeLimits
from .._log.run_info import RunRecord
from .._log.store import Created, Lease, Store
from .._messages import AnyMessage, UserMessage, unpaired_calls
from .._run.branch import NO_BRANCH, Branch
from .._run.files import checked, files_of, put_in
from .._run.job import Order
from .._run.rebuild import new_machine
from .._run.record import make_record
from .._run.run import Run
from .._run.settings import RunSettings
from .conversations import NOTHING_BEFORE, Conversations
from .live_runs import LiveRuns

_NO_SETTINGS: Final = RunSettings()


@attrs.frozen
class _Wish:
    """A run that is to start."""

    order: Order
    said: tuple[AnyMessage, ...]
    branch: Branch
    make: Callable[[tuple[AnyMessage, ...]], RunRecord]
    """Makes its record, of what was said."""
    record: RunRecord


class Starting:
    """Starts the runs of a runtime.

    Args:
        store: where they are created.
        limits: bounds on their files.
        live: where they live.
        conversations: the threads that they may be a part of.
        find: finds one that was started before.
    """

    def __init__(
        self,
        store: Store,
        limits: RuntimeLimits,
        live: LiveRuns,
        conversations: Conversations,
        find: Callable[[str], Awaitable[Run[Any]]],
    ) -> None:
        self._store = store
        self._limits = limits
        self._live = live
        self._conversations = conversations
        self._find = find
        # Who finds a run by its key must find it alive, not on its way from the store.
        self._by_key: WeakValueDictionary[tuple[str | None, str], trio.Lock] = WeakValueDictionary()

    async def start(
        self,
        order: Order,
        said: tuple[AnyMessage, ...],
        settings: RunSettings,
        branch: Branch,
        metadata: Mapping[str, Any] | None,
        idempotency_key: str | None,
    ) -> Run[Any]:
        """Start a run, or find it; see `Runtime.start`. A checkpoint."""
        wish = self._wish(
            order,
            said,
            branch,
            settings=settings,
            metadata=metadata,
            idempotency_key=idempotency_key,
        )
        if branch.thread is not None:
            return await self._start_in_thread(wish)
        if _names_files(said) and (known := await self._known(wish)) is not None:
            # What was started already has its files, and those of the earlier run may be gone.
            return known
        return await self._start_at_once(wish)

    def _wish(
        self, order: Order, said: tuple[AnyMessage, ...], branch: Branch, **more: Any
    ) -> _Wish:
        self._check_size(_size_of(said))
        owner = None if order.principal is None else order.principal.id

        def make(said: tuple[AnyMessage, ...]) -> RunRecord:
            run_id = self._store.new_run_id(owner, branch.thread)
            return make_record(order, said, run_id=run_id, branch=branch, **more)

        # Which files they are, messages say without their data.
        return _Wish(order, said, branch, make, make(said))

    async def _start_in_thread(self, wish: _Wish) -> Run[Any]:
        """Start a run behind what was said in its thread, which stands still from then on."""
        while True:
            # What was started already is in the thread, wherever that is by now.
            if (known := await self._known(wish)) is not None:
                return known
            outcome = await self._start_if_free(wish)
            if isinstance(outcome, Run):
                return outcome
            # It may be the one that is to be found: somebody else asks for the same.
            if outcome is not None and await self._known(wish) is None:
                if wish.branch.on_busy == "reject":
                    raise outcome
                # For nothing, if none is started here any more.
                self._live.places.check_open()
                await self._cancel(outcome.run_id)
            wish = attrs.evolve(wish, record=wish.make(wish.said))

    async def _start_if_free(self, wish: _Wish) -> Run[Any] | ThreadBusy | None:
        """Start it, or return who is active in its thread; None if that has moved."""
        try:
            return await self._start_at_once(wish)
        except ThreadBusy as busy:
            return busy
        except ThreadMoved:
            return None

    async def _cancel(self, run_id: str) -> None:
        # Gone, or with another worker by now: it is looked for again.
        with suppress(UnknownRun, CursorExpired, FenceLost):
            await (await self._find(run_id)).cancel("another run was to begin in its thread")

    async def _known(self, wish: _Wish) -> Run[Any] | None:
        """Return what was started with this idempotency key, if there is one."""
        if wish.record.idempotency_key is None:
            return None
        async with self._turn(wish.record):
            run_id = await self._store.lookup(wish.record)
        return None if run_id is None else await self._find(run_id)

    async def _start_at_once(self, wish: _Wish) -> Run[Any]:
        # The place is taken before the wait, so that no two runs get the last one; and before what
        # was said is read, which may be much.
        try:
            self._live.places.take()
        except LimitExceeded as exc:
            refusal = exc
        else:
            return await self._start(wish)
        # What was started already needs none.
        if (known := await self._known(wish)) is not None:
            return known
        if wish.branch.on_busy == "cancel":
            try:
                await self._conversations.look(wish.record, wish.branch)
            except ThreadBusy as busy:
                if busy.run_id in self._live:  # It will give back its place.
                    raise
        raise refusal

    async def start_in_turn(self, order: Order, said: tuple[AnyMessage, ...]) -> Run[Any]:
        """Start a run as soon as there is a place. A checkpoint."""
        wish = self._wish(order, said, NO_BRANCH, settings=_NO_SETTINGS)
        await self._live.places.wait()
        return await self._start(wish)

    async def _start(self, wish: _Wish) -> Run[Any]:
        """Start a run that has its place."""
        order, said, record = wish.order, wish.said, wish.record
        try:
            if _names_files(said):
                said = await self._with_files(said, record.owner)
                record = wish.make(said)
            before = NOTHING_BEFORE
            if wish.branch.thread is not None:
                before = await self._conversations.look(record, wish.branch)
            record = before.over(record)
            async with self._turn(record):
                created = await self._create(record)
                if created.lease is not None:
                    machine = new_machine(
                        record.run_id,
                        order.agent,
                        (*before.messages, *said),
                        retractable=order.retractable,
                        before=len(before.messages),
                    )
                    return self._live.begin(order, machine, record, created.lease)
        except BaseException:
            self._live.places.give_back()
            raise
        self._live.places.give_back()
        return await self._find(created.run_id)

    async def _create(self, record: RunRecord) -> Created:
        try:
            return await self._store.create(record)
        except trio.Cancelled:
            # Perhaps it is created. Nobody would know, and its thread would not be free.
            with trio.move_on_after(self._limits.closing_bound, shield=True):
                await self._let_go(Lease(record.run_id, 1), record)
            raise

    async def _let_go(self, lease: Lease, record: RunRecord) -> None:
        with suppress(StoreUnavailable, UnknownRun, CursorExpired):
            if record.idempotency_key is None:
                await cancel_log(self._store, lease, "its start was cancelled")
            else:  # Whoever asks again finds it at work.
                await self._store.release(lease)

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
