"""The store that keeps logs in Valkey or Redis, for many processes.

A run's log is a stream whose entries have their offsets as ids; what is known of the run is a hash
beside it. Every act on one run is one script (`_valkey_scripts`), so that it is atomic, and can be
repeated when a connection broke before its reply. Leases run on the server's clock.

**Idempotency keys** live in another slot than the run, so that a creation takes several acts:

1. *Draft* the run. Nobody sees a draft, and it ends by itself.
2. *Propose* it for its key. The first proposal has the key. Who finds another's proposal reveals
   its draft (whoever does it, it is the same) and has found the run. If there is nothing to
   reveal, then that run was removed, or its creator was away for longer than a draft lives: the
   proposal is replaced, by compare and set. Each attempt has a new token, so that a proposal that
   was replaced never looks like the one that was looked at.
3. *Reveal* the draft, and keep the proposal for as long as the run.

A crash leaves a draft and a proposal that end by themselves, or a proposal whose draft the next
caller with the key reveals. Before a run is removed, its proposal is given an end: from then on it
either names a run that exists or is replaced.
"""

import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import attrs
import msgspec
import trio

from ._errors import CursorExpired, LimitExceeded, UnknownRun
from ._log import Append, Appended, Entry
from ._nursery import open_plain_nursery
from ._store import Created, Lease, Page, Retention, RunInfo, RunRecord, Store, Watch
from ._valkey_client import ValkeyClient, ValkeyConnector, require_glide
from ._valkey_keys import Keys, RunKeys
from ._valkey_scripts import (
    APPEND,
    CLAIM,
    DRAFT,
    FORGET,
    HOLDER,
    INFO,
    KEEP,
    LIST,
    ORPHANS,
    PROPOSE,
    READ,
    RELEASE,
    REMOVABLE,
    REMOVE,
    RENEW,
    RENEW_EPOCH,
    REQUEST_CANCEL,
    REVEAL,
    SET_VIEWERS,
    SURVEY,
    Call,
)
from ._valkey_url import parse_valkey_url
from ._valkey_watch import NewsDesk

_DRAFT: Final = "60000"
"""Milliseconds that a draft lives."""

_PROPOSAL: Final = "300000"
"""Milliseconds that a proposal lives that nobody keeps: longer than its draft."""

_TOMBSTONE: Final = "3600000"
"""Milliseconds that a removed run is known."""

_SURVEYED: Final = 100
"""Finished runs of each partition that are looked at in one go."""


class ValkeyStore(Store):
    """Keeps logs in Valkey (7.2 or newer) or Redis (6.2 or newer), standalone or a cluster.

    The server should keep its data on disk (``appendonly yes``) and must not evict keys
    (``maxmemory-policy noeviction``, the default). A cluster's clocks should agree. While a
    connection is lost, operations wait for it, and are repeated if need be.

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
        self._lease = lease
        self._patience = patience
        self._opened: tuple[ValkeyClient, NewsDesk] | None = None

    def __repr__(self) -> str:
        return f"<ValkeyStore {self._connector.address}>"

    @asynccontextmanager
    async def _open(self) -> AsyncIterator["ValkeyStore"]:
        if self._opened is not None:
            raise RuntimeError("this store is open already")
        async with self._connector.open() as connection, open_plain_nursery() as nursery:
            client = ValkeyClient(connection, self._connector.address, patience=self._patience)
            await client.call(Call(HOLDER, [self._keys.idempotency(None, "")]))
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
                yield self
            finally:
                self._opened = None
                nursery.cancel_scope.cancel(reason="the store is closed")

    def open(self) -> AbstractAsyncContextManager["ValkeyStore"]:
        """Connect for as long as the context lasts.

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

    @property
    def _milliseconds(self) -> str:
        return str(round(self._lease * 1000))

    async def create(self, record: RunRecord) -> Created:
        if record.idempotency_key is None:
            await self._draft_and(record, self._reveal(record.run_id, record.owner))
            return Created(record.run_id, Lease(record.run_id, 1))
        key = self._keys.idempotency(record.owner, record.idempotency_key)
        holder = await self._client.call(Call(HOLDER, [key]))
        while True:
            if holder is not None:
                run_id = _proposed(holder)
                if await self._client.call(self._reveal(run_id, record.owner)):
                    return Created(run_id, None)
            proposal = await self._draft_and(record)
            stale = b"" if holder is None else holder
            holder = await self._client.call(Call(PROPOSE, [key], [stale, proposal, _PROPOSAL]))
            if holder == proposal:
                reveal = self._reveal(record.run_id, record.owner)
                revealed, _ = await self._client.call_all([reveal, Call(KEEP, [key], [proposal])])
                if revealed:
                    return Created(record.run_id, Lease(record.run_id, 1))

    async def _draft_and(self, record: RunRecord, *calls: Call) -> bytes:
        """Draft a run, then do the calls in its slot; return how it is proposed for its key."""
        keys = self._keys.of_run(record.run_id)
        token = secrets.token_hex(_TOKEN)
        public = attrs.asdict(attrs.evolve(record, private=b""))
        hash_ = {
            "record": msgspec.json.encode({**public, "private": None}),
            "private": record.private,
            "epoch": record.epoch,
            "member": _member(record),
        }
        ...
