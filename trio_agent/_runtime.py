"""The runtime owns the nursery in which runs live, the store, and the limits."""

import hashlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final

import attrs
import msgspec
import trio
from attrs.validators import ge, gt

from ._config import AgentConfig
from ._errors import LimitExceeded, StoreUnavailable, UnknownRun
from ._feed import Feed
from ._limits import OnDisconnect
from ._memory import MemoryStore
from ._messages import AnyMessage, UserMessage, unpaired_calls
from ._model_pool import ModelPool
from ._nursery import open_plain_nursery
from ._performer import Job, Performer
from ._run import Run
from ._store import Lease, Retention, RunRecord, Store
from ._writer import RunLog, Writer

logger = logging.getLogger("trio_agent")

_RENEWAL: Final = 3.0
"""Seconds between two renewals of leases."""

_DRAINED: Final = "the runtime was drained"


@attrs.frozen(kw_only=True)
class RuntimeLimits:
    """The bounds of a runtime."""

    max_streams: int = attrs.field(default=1000, validator=ge(1))
    """Active runs; one more is refused with `LimitExceeded`."""
    max_log_bytes: int = attrs.field(default=64 << 20, validator=ge(1024))
    """Bytes of one run's log; a run that needs more ends with `error` `log-limit`."""
    retention: Retention = Retention()
    """Which finished runs are kept."""
    closing_bound: float = attrs.field(default=5.0, validator=gt(0))
    """Seconds that closing events may take when everything is being cancelled."""
    store_patience: float = attrs.field(default=5.0, validator=ge(0))
    """Seconds that a store may be away before runs and subscribers are told."""
    tool_threads: int = attrs.field(default=40, validator=ge(1))
    """Sync tools that run at once."""


@attrs.frozen
class RuntimeStatistics:
    """How busy a runtime is."""

    active: int
    """Runs that are going on."""
    retained: int
    """Finished runs that can still be read."""
    viewers: int
    """Open subscriptions."""


@attrs.define(eq=False)
class _Live:
    run: Run
    log: RunLog
    # Cancelling it ends the run and closes its buffer; retention is a deadline on it.
    buffer: trio.CancelScope = attrs.field(factory=trio.CancelScope)


class Runtime:
    """Where runs live. Made by `open_runtime`."""

    def __init__(
        self,
        store: Store,
        limits: RuntimeLimits,
        writer: Writer,
        models: ModelPool,
        nursery: trio.Nursery,
    ) -> None:
        self.store = store
        self.limits = limits
        self._writer = writer
        self._models = models
        self._nursery = nursery
        self._live: dict[str, _Live] = {}
        self._active = 0
        self._accepting = True
        self._closing = False
        self._cancelling = False
        self._drained = trio.Event()
        # Who finds a run by its key must find it alive, not on its way from the store.
        self._by_key = trio.Lock()
        self._idle = trio.lowlevel.ParkingLot()
        self._tool_limiter = trio.CapacityLimiter(limits.tool_threads)

    @property
    def accepting(self) -> bool:
        """Whether new runs are started still."""
        return self._accepting

    async def start(
        self,
        agent: AgentConfig,
        prompt: str | None = None,
        *,
        messages: Sequence[AnyMessage] = (),
        on_disconnect: OnDisconnect = "continue",
        owner: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """Start a run; it lives in the runtime, whatever becomes of you. A checkpoint.

        Args:
            agent: what to run.
            prompt: what the user says; behind `messages`, if both are given.
            messages: an earlier transcript, such as `Result.messages`.
            on_disconnect: what becomes of the run when nobody watches.
            owner: the principal whose run it is.
            metadata: JSON of yours, shown wherever the run is listed.
            idempotency_key: with the same key and owner, you get the run that was started first.

        Raises:
            LimitExceeded: `max_streams` runs are active, or the runtime is draining.
            ValueError: nothing was said, or a tool call of the transcript has no result.
            StoreUnavailable: the store can't take the run.
        """
        said = (*messages, UserMessage(prompt)) if prompt is not None else tuple(messages)
        if not said:
            raise ValueError("give a prompt or messages")
        if problem := unpaired_calls(said):
            raise ValueError(problem)
        if not self._accepting:
            raise LimitExceeded("the runtime is draining: it starts no more runs")
        if self._active >= self.limits.max_streams:
            raise LimitExceeded(f"{self._active} runs are active, which is the limit")
        record = RunRecord(
            run_id=secrets.token_hex(16),
            epoch=secrets.token_hex(4),
            agent=agent.name,
            created_at=time.time_ns() // 1_000_000,
            owner=owner,
            metadata=dict(metadata or {}),
            idempotency_key=idempotency_key,
            private=_private_record(agent, said, on_disconnect),
        )
        # The place is taken before the wait, so that no two runs get the last one.
        self._active += 1
        try:
            async with self._by_key if idempotency_key is not None else nullcontext():
                created = await self.store.create(record)
                if created.lease is not None:
                    return self._spawn(agent, said, record, created.lease, on_disconnect)
        except BaseException:
            self._leave()
            raise
        self._leave()
        return self.run(created.run_id)

    def _spawn(
        self,
        agent: AgentConfig,
        messages: tuple[AnyMessage, ...],
        record: RunRecord,
        lease: Lease,
        on_disconnect: OnDisconnect,
    ) -> Run:
        feed = Feed(record.run_id, record.epoch)
        run = Run(agent.name, feed, self.store, on_disconnect=on_disconnect)
        log = RunLog(feed, self.store, lease, self._writer, max_bytes=self.limits.max_log_bytes)
        job = Job(
            agent=agent,
            messages=messages,
            open_model=self._models.get,
            tool_limiter=self._tool_limiter,
            closing_bound=self.limits.closing_bound,
        )
        live = self._live[run.id] = _Live(run, log)
        self._nursery.start_soon(self._keep, live, Performer(job, run, log), name=f"run {run.id}")
        if self._cancelling:
            run.request_cancel(_DRAINED)
        return run

    async def _keep(self, live: _Live, performer: Performer) -> None:
        try:
            with live.buffer:
                try:
                    await performer.perform()
                finally:
                    self._leave()
                await self._expire()
                if not self._closing:
                    live.buffer.deadline = trio.current_time() + self.limits.retention.seconds
                    await trio.sleep_forever()
            await self._expire()
        finally:
            self._live.pop(live.run.id, None)

    async def _expire(self) -> None:
        try:
            removed = await self.store.expire(self.limits.retention)
        except StoreUnavailable as exc:
            logger.warning("finished runs could not be removed: %s", exc)
            return
        for run_id in removed:
            self._forget(run_id)

    def _forget(self, run_id: str) -> None:
        if (live := self._live.pop(run_id, None)) is not None:
            live.buffer.cancel(reason="no longer kept")

    def _leave(self) -> None:
        self._active -= 1
        if not self._active:
            self._idle.unpark_all()

    def run(self, run_id: str) -> Run:
        """Find a run that lives here, or that finished not long ago.

        Raises:
            UnknownRun: there is none with this id.
        """
        try:
            return self._live[run_id].run
        except KeyError:
            raise UnknownRun(run_id) from None

    async def check_model(self, agent: AgentConfig) -> None:
        """Open an agent's model and see whether it can be reached. A checkpoint.

        Raises:
            ModelError: it can't be opened or reached.
        """
        await (await self._models.get(agent.model)).check()

    async def delete(self, run_id: str) -> None:
        """Remove a finished run now. A checkpoint.

        Raises:
            LimitExceeded: the run is active.
            UnknownRun: there is none with this id.
        """
        await self.store.delete(run_id)
        self._forget(run_id)

    def close(self) -> None:
        """Start no more runs, and keep none that has finished. What is active goes on."""
        self._accepting = False
        self._closing = True
        for live in self._live.values():
            if live.run.done:
                live.buffer.cancel(reason="the runtime closes")

    async def drain(self, grace: float) -> None:
        """Start no more runs and wait for the active ones; cancel them after `grace` seconds.

        Returns when all are gone; finished runs can be read until the runtime closes. A
        checkpoint; if cancelled, runs are still refused.
        """
        self._accepting = False
        with trio.move_on_after(grace):
            await self._wait_idle()
        self._cancelling = True
        for live in self._live.values():
            live.run.request_cancel(_DRAINED)
        await self._wait_idle()
        self._drained.set()

    async def wait_drained(self) -> None:
        """Wait until somebody has drained the runtime. A checkpoint."""
        await self._drained.wait()

    async def _wait_idle(self) -> None:
        await trio.lowlevel.checkpoint()
        while self._active:
            await self._idle.park()

    async def renew_leases(self) -> None:
        """Keep what runs here for as long as it runs. Never returns."""
        while True:
            await trio.sleep(_RENEWAL)
            logs = {live.log.lease: live.log for live in self._live.values() if not live.run.done}
            try:
                for lease in await self.store.renew(list(logs)):
                    logs[lease].lose()
            except StoreUnavailable as exc:
                logger.warning("leases could not be renewed: %s", exc)

    def statistics(self) -> RuntimeStatistics:
        """Count runs and subscriptions."""
        viewers = sum(live.run.feed.viewers for live in self._live.values())
        retained = sum(live.run.done for live in self._live.values())
        return RuntimeStatistics(self._active, retained, viewers)


@asynccontextmanager
async def open_runtime(
    *, store: Store | None = None, limits: RuntimeLimits | None = None
) -> AsyncIterator[Runtime]:
    """Open a runtime. Leaving the block waits for the runs in it, as a nursery does.

    If the block raises or is cancelled, its runs are cancelled: each still writes its terminal
    event, within `closing_bound` seconds.

    Args:
        store: where logs are kept; in memory by default.
        limits: bounds on runs, logs and time.

    Raises:
        StoreUnavailable: the store can't be opened.
    """
    store = MemoryStore() if store is None else store
    limits = RuntimeLimits() if limits is None else limits
    writer = Writer(store, patience=limits.store_patience)
    # From the outside in: who is needed for longest is cancelled last. When everything is
    # cancelled at once, the closing events still find a living writer.
    async with store.open(), open_plain_nursery() as services:
        writing = trio.CancelScope(shield=True)
        services.start_soon(_write, writer, writing)
        try:
            async with open_plain_nursery() as keepers:
                async with open_plain_nursery() as runs:
                    runtime = Runtime(store, limits, writer, ModelPool(keepers), runs)
                    keepers.start_soon(runtime.renew_leases)
                    yield runtime
                    runtime.close()
                keepers.cancel_scope.cancel(reason="all runs are gone")
        finally:
            writer.close()
            writing.deadline = trio.current_time() + limits.closing_bound


async def _write(writer: Writer, scope: trio.CancelScope) -> None:
    with scope:
        await writer.run()
    if scope.cancelled_caught:
        logger.error("the store did not take the last events in time: they are lost")


def _private_record(
    agent: AgentConfig, messages: tuple[AnyMessage, ...], on_disconnect: OnDisconnect
) -> bytes:
    return msgspec.json.encode(
        {
            "messages": messages,
            "fingerprint": hashlib.sha256(agent.fingerprint()).hexdigest(),
            "options": agent.options,
            "onDisconnect": getattr(on_disconnect, "seconds", on_disconnect),
        }
    )
