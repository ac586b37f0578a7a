"""Stores in front of a store: to make it fail, slow, or cancelled at a place of your choice."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import trio

from .._errors import StoreUnavailable
from .._limits import Retention
from .._log.inbox import Delivered, Delivery
from .._log.log import Append, Appended
from .._log.run_info import RunInfo, RunRecord
from .._log.store import Created, Lease, Page, Store, Watch
from .._log.thread import ThreadCursor, ThreadInfo, Turn

T = TypeVar("T")


class StoreProxy(Store):
    """Passes everything on to another store, through `perform`.

    It hides `append_nowait`, so that a runtime takes the way that it takes for a store with I/O.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def perform(self, operation: str, act: Callable[[], Awaitable[T]]) -> T:  # noqa: ARG002
        """Perform one operation, which is called like the store's method."""
        return await act()

    @property
    def lease(self) -> float:
        return self._store.lease

    @property
    def shared(self) -> bool:
        return self._store.shared

    @property
    def durable(self) -> bool:
        return self._store.durable

    def partition(self, run_id: str) -> Hashable:
        return self._store.partition(run_id)

    def new_run_id(self, owner: str | None, thread: str | None) -> str:
        return self._store.new_run_id(owner, thread)

    def open(self) -> AbstractAsyncContextManager[object]:
        return self._store.open()

    async def create(self, record: RunRecord) -> Created:
        return await self.perform("create", lambda: self._store.create(record))

    async def lookup(self, record: RunRecord) -> str | None:
        return await self.perform("lookup", lambda: self._store.lookup(record))

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        return await self.perform("append", lambda: self._store.append(batch))

    async def read(self, run_id: str, after: int, limit: int) -> Page:
        return await self.perform("read", lambda: self._store.read(run_id, after, limit))

    async def read_private(self, run_id: str, offsets: Sequence[int]) -> Sequence[bytes]:
        return await self.perform("read_private", lambda: self._store.read_private(run_id, offsets))

    async def read_blob(self, run_id: str, digest: str) -> bytes:
        return await self.perform("read_blob", lambda: self._store.read_blob(run_id, digest))

    async def info(self, run_id: str) -> RunInfo:
        return await self.perform("info", lambda: self._store.info(run_id))

    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        return await self.perform("find", lambda: self._store.find(owner, before, limit, thread))

    async def thread(self, owner: str | None, thread: str) -> ThreadInfo:
        return await self.perform("thread", lambda: self._store.thread(owner, thread))

    async def threads(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        return await self.perform("threads", lambda: self._store.threads(owner, before, limit))

    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        return await self.perform("turns", lambda: self._store.turns(owner, thread, last, limit))

    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        return await self.perform("delete_thread", lambda: self._store.delete_thread(owner, thread))

    async def claim(self, run_id: str) -> Lease | None:
        return await self.perform("claim", lambda: self._store.claim(run_id))

    async def renew(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        return await self.perform("renew", lambda: self._store.renew(leases))

    async def release(self, lease: Lease) -> None:
        await self.perform("release", lambda: self._store.release(lease))

    async def renew_epoch(self, lease: Lease, epoch: str) -> Appended:
        return await self.perform("renew_epoch", lambda: self._store.renew_epoch(lease, epoch))

    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        return await self.perform("park", lambda: self._store.park(lease, seen, seconds))

    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        return await self.perform("deliver", lambda: self._store.deliver(run_id, key, data))

    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        return await self.perform("inbox", lambda: self._store.inbox(run_id, after, limit))

    async def orphans(self, after: str, limit: int) -> Sequence[str]:
        return await self.perform("orphans", lambda: self._store.orphans(after, limit))

    async def request_cancel(self, run_id: str, reason: str) -> None:
        await self.perform("request_cancel", lambda: self._store.request_cancel(run_id, reason))

    async def set_viewers(self, run_id: str, worker: str, count: int) -> None:
        await self.perform("set_viewers", lambda: self._store.set_viewers(run_id, worker, count))

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[Watch]:
        async with self._store.watch() as watch:
            yield watch

    async def delete(self, run_id: str) -> None:
        await self.perform("delete", lambda: self._store.delete(run_id))

    async def check(self) -> None:
        await self.perform("check", self._store.check)

    async def expire(self, retention: Retention) -> Sequence[str]:
        return await self.perform("expire", lambda: self._store.expire(retention))


class FaultyStore(StoreProxy):
    """A store that you can make slow, or send away."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.away: set[str] = set()
        """Operations that raise `StoreUnavailable` before they do anything."""
        self.forgetful: set[str] = set()
        """Operations that do it, and raise `StoreUnavailable` all the same."""
        self.delay: float = 0.0
        """Seconds that every operation takes."""
        self.calls: Counter[str] = Counter()
        """How often each operation was called."""

    async def perform(self, operation: str, act: Callable[[], Awaitable[T]]) -> T:
        """Perform the operation as it was ordered."""
        self.calls[operation] += 1
        if self.delay:
            await trio.sleep(self.delay)
        if operation in self.away:
            await trio.lowlevel.checkpoint()
            raise StoreUnavailable("the store is away")
        outcome = await act()
        if operation in self.forgetful:
            raise StoreUnavailable("the store did not answer")
        return outcome


class InterruptingStore(StoreProxy):
    """Calls `point` before and after every operation.

    With `Sweep.point` and ``cancel_sweep(..., steps=False)`` a scenario is cancelled at each
    operation: once before it is done, once when it is done already.
    """

    def __init__(self, store: Store, point: Callable[[], None]) -> None:
        super().__init__(store)
        self._point = point

    async def perform(self, operation: str, act: Callable[[], Awaitable[T]]) -> T:  # noqa: ARG002
        """Perform the operation between two points."""
        self._point()
        outcome = await act()
        self._point()
        return outcome
