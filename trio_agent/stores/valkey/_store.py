"""The store that keeps logs in Valkey or Redis, for many processes.

A run's log is a stream whose entries have their offsets as ids; what is known of the run is a hash
beside it. Every act on one run is one script (`_scripts`), so that it is atomic, and can be
repeated when a connection broke before its reply. Leases run on the server's clock.
"""

import logging
from collections.abc import AsyncIterator, Hashable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import chain
from typing import Any, Final

import trio

from ..._errors import CursorExpired, LimitExceeded, LogDamaged, StoreUnavailable, UnknownRun
from ..._limits import Retention
from ..._log.inbox import Delivered, Delivery
from ..._log.log import Append, Appended
from ..._log.run_info import RunInfo, RunRecord, first_runs
from ..._log.store import PAGE_BYTES, Created, Lease, Page, Store, Watch
from ..._log.thread import ThreadCursor, ThreadInfo, Turn
from ..._log.trouble import Trouble
from ..._nursery import open_plain_nursery
from . import _beside as beside
from ._calls import Calls, member_of, run_of_member, run_of_proposal
from ._client import ValkeyClient, ValkeyConnector, require_glide
from ._creation import create
from ._inbox import as_delivered, as_deliveries, deliver, read_inbox
from ._keys import Keys
from ._leases import LeaseCalls, as_lease, as_orphans
from ._owned import OwnedCalls
from ._removal import expire, remove
from ._replies import as_info, as_page, present
from ._script import Call
from ._scripts import HOLDER
from ._thread_removal import delete_thread
from ._threads import ThreadCalls, as_thread, as_threads
from ._turns import read_turns, stage, staged_at
from ._url import parse_valkey_url
from ._watch import NewsDesk

logger = logging.getLogger("trio_agent")

_LISTED: Final = 16
"""Runs that are looked at at once for a list: the end of each may be large."""


class ValkeyStore(Store):
    """Keeps logs in Valkey (7.2 or newer) or Redis (6.2 or newer), standalone or a cluster.

    The server should keep its data on disk (``appendonly yes``) and must not evict keys
    (``maxmemory-policy noeviction``, the default). A cluster's clocks should agree. While a
    connection is lost, operations wait for it, and are repeated if need be.

    An open store has one connection (to each node), and while it is watched one more, in a
    cluster 16.

    Args:
        url: ``valkey://[[user]:password@]host[:port][/db]``; ``valkeys://`` with TLS, also as
            ``redis://`` and ``rediss://``. Options: ``?cluster=true`` (the host is any of its
            nodes) and ``?cacert=PATH`` (PEM certificates to trust instead of the system's).
        lease: seconds that a claim holds without being renewed.
        prefix: what all keys begin with; stores with different ones don't see each other.
        patience: seconds within which an operation succeeds or raises `StoreUnavailable`.
        request_timeout: seconds that one attempt to connect or to get an answer may take.

    Raises:
        ModuleNotFoundError: the ``valkey`` extra is not installed.
        ValueError: the URL or the prefix is none.
    """

    def __init__(
        self,
        url: str,
        *,
        lease: float = 10.0,
        prefix: str = "trio-agent",
        patience: float = 5.0,
        request_timeout: float = 1.0,
    ) -> None:
        require_glide()
        if min(lease, patience, request_timeout) <= 0:
            raise ValueError("lease, patience and request_timeout are more than 0 seconds")
        self._connector = ValkeyConnector(parse_valkey_url(url), request_timeout)
        self._keys = Keys(prefix)
        self._calls = Calls(self._keys, lease=lease)
        self._leases = LeaseCalls(self._keys, lease=lease)
        self._owned = OwnedCalls(self._keys)
        self._threads = ThreadCalls(self._keys)
        self._lease = lease
        self._patience = patience
        self._append_patience = min(patience, 2 * request_timeout)
        self._damage = Trouble("a run was left out of a list")
        self._opened: tuple[ValkeyClient, NewsDesk] | None = None

    def __repr__(self) -> str:
        return f"<ValkeyStore {self._connector.address}>"

    @property
    def lease(self) -> float:
        return self._lease

    @property
    def shared(self) -> bool:
        return True

    @property
    def durable(self) -> bool:
        return True

    def partition(self, run_id: str) -> Hashable:
        # One server is there for all or for none.
        return self._keys.of_run(run_id).partition.tag if self._connector.address.cluster else None

    def new_run_id(self, owner: str | None, thread: str | None) -> str:
        run_id = super().new_run_id(owner, thread)
        if thread is not None:
            partition = self._keys.of_thread(owner, thread).partition
            while self._keys.of_run(run_id).partition != partition:
                run_id = super().new_run_id(owner, thread)
        return run_id

    @asynccontextmanager
    async def _open(self) -> AsyncIterator["ValkeyStore"]:
        if self._opened is not None:
            raise RuntimeError("this store is open already")
        async with self._connector.open() as connection, open_plain_nursery() as nursery:
            client = ValkeyClient(connection, self._connector.address, patience=self._patience)
            await client.call_all(self._leases.orphans())
            desk = NewsDesk(
                client,
                self._connector,
                self._keys,
                nursery,
                lease=self._lease,
                patience=self._patience,
            )
            nursery.start_soon(desk.keep_following)
            self._opened = client, desk
            try:
                await self._warn()
                yield self
            finally:
                self._opened = None
                nursery.cancel_scope.cancel(reason="the store is closed")

    async def _warn(self) -> None:
        # What is wrong with a server that can be reached may be mended while we run.
        try:
            await self.check()
        except StoreUnavailable as exc:
            logger.warning("%s", exc)

    async def check(self) -> None:
        """See whether a run would be taken now, and kept: on all nodes of a cluster.

        Raises:
            StoreUnavailable: the server can't be reached within `patience`, refuses us, is full
                or read-only, or evicts keys.
        """
        policies = await self._client.call_all(self._calls.check())
        for policy in policies:
            if policy not in (b"noeviction", b""):
                raise StoreUnavailable(
                    f"{self._connector.address} evicts keys, and with them runs"
                    f" (maxmemory-policy {policy.decode()}): set maxmemory-policy noeviction"
                )

    def open(self) -> AbstractAsyncContextManager["ValkeyStore"]:
        """Connect for as long as the context lasts.

        A server that evicts keys or is full is warned about in the log; see `check`.

        Raises:
            StoreUnavailable: the server can't be reached, or refuses us; the message says why.
            RuntimeError: it is open already.
        """
        return self._open()

    @property
    def _client(self) -> ValkeyClient:
        return self._open_parts()[0]

    def _open_parts(self) -> tuple[ValkeyClient, NewsDesk]:
        if self._opened is None:
            raise RuntimeError("open the store first: async with store.open()")
        return self._opened

    async def create(self, record: RunRecord) -> Created:
        return await create(self._client, self._calls, self._keys, record)

    async def lookup(self, record: RunRecord) -> str | None:
        client, calls = self._client, self._calls
        if record.idempotency_key is None:
            await trio.lowlevel.checkpoint()
            return None
        key = self._keys.idempotency(record.owner, record.idempotency_key)
        holder: bytes | None = await client.call(Call(HOLDER, [key]))
        if holder is None:
            return None
        run_id = run_of_proposal(holder)
        try:
            info = as_info(run_id, await client.call(calls.info(run_id)))
        except (UnknownRun, CursorExpired):
            return None  # It is not created yet, or it was removed.
        record.check_repeats(info.record.digest)
        return run_id

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        # For two attempts: who appends repeats it, and others wait behind it.
        client, keys, patience = self._client, self._keys, self._append_patience
        calls: list[Call] = []
        for append in batch:
            staged = staged_at(keys, append)
            if staged is not None:
                await stage(client, keys, append, staged, patience)
            calls.append(self._calls.append(append, staged))
        replies = await client.call_all(calls, patience=patience)
        if b"unstaged" in replies:
            raise StoreUnavailable("a piece of a turn is there no more")
        return [Appended(reply.decode()) for reply in replies]

    async def read(self, run_id: str, after: int, limit: int) -> Page:
        return as_page(
            run_id, after, await self._client.call(self._calls.read(run_id, after, limit))
        )

    async def read_private(self, run_id: str, offsets: Sequence[int]) -> Sequence[bytes]:
        call = beside.read_private(self._keys.of_run(run_id), offsets)
        return beside.as_privates(run_id, await self._client.call(call))

    async def read_blob(self, run_id: str, digest: str) -> bytes:
        keys = self._keys.of_run(run_id)
        pieces: list[bytes] = []
        more = True
        while more:
            reply = await self._client.call(beside.read_piece(keys, digest, len(pieces)))
            piece, more = beside.as_piece(run_id, digest, reply)
            pieces.append(piece)
        return b"".join(pieces)

    async def info(self, run_id: str) -> RunInfo:
        return as_info(run_id, await self._client.call(self._calls.info(run_id)))

    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        client, calls = self._client, self._calls
        bound = b"+"
        if before is not None:
            info = as_info(before, await client.call(calls.info(before)))
            bound = b"(" + member_of(info.record)
        found: list[RunInfo] = []
        size = 0
        while size <= PAGE_BYTES and (wanted := min(limit - len(found), _LISTED)):
            pages = await client.call_all(calls.list(owner, bound, wanted, thread))
            members = sorted(chain.from_iterable(pages), reverse=True)[:wanted]
            if not members:
                break
            bound = b"(" + members[-1]
            run_ids = [run_of_member(member) for member in members]
            replies = await client.call_all([calls.info(each) for each in run_ids])
            listed = list(self._listed(run_ids, replies))
            size += sum(info.listed_size for info in listed)
            found += listed
        return first_runs(found, limit)

    def _listed(self, run_ids: Sequence[str], replies: Sequence[Any]) -> Iterator[RunInfo]:
        for run_id, reply in zip(run_ids, replies, strict=True):
            try:
                yield as_info(run_id, reply)
            except LogDamaged as exc:
                self._damage.tell(exc)
            except (UnknownRun, CursorExpired):
                pass  # It was removed in this moment, or evicted.

    async def thread(self, owner: str | None, thread: str) -> ThreadInfo:
        return as_thread(owner, thread, await self._client.call(self._threads.info(owner, thread)))

    async def threads(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        replies = await self._client.call_all(self._threads.list(owner, before, limit))
        return as_threads(owner, limit, replies)

    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        return await read_turns(self._client, self._keys, owner, thread, last, limit)

    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        return await delete_thread(self._client, self._calls, self._keys, owner, thread)

    async def claim(self, run_id: str) -> Lease | None:
        return as_lease(run_id, await self._client.call(self._leases.claim(run_id)))

    async def renew(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        held = await self._client.call_all([self._leases.renew(lease) for lease in leases])
        return [lease for lease, holds in zip(leases, held, strict=True) if not holds]

    async def release(self, lease: Lease) -> None:
        await self._client.call(self._leases.release(lease))

    async def renew_epoch(self, lease: Lease, epoch: str) -> Appended:
        reply = await self._client.call(self._calls.renew_epoch(lease, epoch))
        return Appended(reply.decode())

    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        return bool(await self._client.call(self._leases.park(lease, seen, seconds)))

    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        call = deliver(self._keys.of_run(run_id), key, data)
        return as_delivered(run_id, data, await self._client.call(call))

    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        call = read_inbox(self._keys.of_run(run_id), after, limit)
        return as_deliveries(run_id, after, await self._client.call(call))

    async def orphans(self, after: str, limit: int) -> Sequence[str]:
        replies = await self._client.call_all(self._leases.orphans())
        return as_orphans(after, limit, replies)

    async def request_cancel(self, run_id: str, reason: str) -> None:
        present(run_id, await self._client.call(self._calls.request_cancel(run_id, reason)))

    async def set_viewers(self, run_id: str, worker: str, count: int) -> None:
        present(run_id, await self._client.call(self._calls.set_viewers(run_id, worker, count)))

    def watch(self) -> AbstractAsyncContextManager[Watch]:
        return self._open_parts()[1].watch()

    async def delete(self, run_id: str) -> None:
        [reply] = await remove(self._client, self._calls, [run_id])
        if present(run_id, reply) == b"active":
            raise LimitExceeded("the run is active: cancel it first")

    async def expire(self, retention: Retention) -> Sequence[str]:
        return await expire(self._client, self._calls, self._threads, self._owned, retention)
