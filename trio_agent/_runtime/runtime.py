"""The runtime owns the nursery in which runs live, the store, and the limits."""

import logging
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final

import attrs
import trio

from .._cluster.closing import close_log
from .._cluster.follower import Follower
from .._cluster.presence import Presence
from .._cluster.reaper import reap
from .._config import AgentConfig
from .._errors import LimitExceeded, StoreUnavailable, UnknownRun
from .._limits import OnDisconnect, RuntimeLimits
from .._log.feed import Feed
from .._log.log import Appended
from .._log.store import Lease, RunRecord, Store, Watch
from .._log.writer import RunLog, Writer
from .._messages import AnyMessage, UserMessage, unpaired_calls
from .._run.live_run import LiveRun
from .._run.performer import Job, Performer
from .._run.record import make_record
from .._run.run import Run
from .._run.stored_run import StoredRun
from .map import Input, Mapped, map_runs
from .model_pool import ModelPool

logger = logging.getLogger("trio_agent")

_RENEWAL: Final = 0.3
"""Time between two renewals of leases, in terms of what they hold."""

_DRAINED: Final = "the runtime was drained"


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
    run: LiveRun
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
        watch: Watch,
        models: ModelPool,
        nursery: trio.Nursery,
    ) -> None:
        self.store = store
        self.limits = limits
        self._writer = writer
        self._follower = Follower(store, watch, self._look)
        self._presence = Presence(store, secrets.token_hex(8))
        self._models = models
        self._nursery = nursery
        self._live: dict[str, _Live] = {}
        self._active = 0
        self._accepting = True
        self._closing = False
        self._cancelling = False
        self._renewal = _RENEWAL * store.lease
        self._draining = trio.Event()
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
        record = make_record(
            agent,
            said,
            on_disconnect,
            owner=owner,
            metadata=metadata or {},
            idempotency_key=idempotency_key,
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
        return await self.find(created.run_id)

    def _spawn(
        self,
        agent: AgentConfig,
        messages: tuple[AnyMessage, ...],
        record: RunRecord,
        lease: Lease,
        on_disconnect: OnDisconnect,
    ) -> Run:
        feed = Feed(record.run_id, record.epoch)
        run = LiveRun(agent.name, feed, self.store, on_disconnect=on_disconnect)
        feed.on_use.append(self._presence.viewers_changed)
        log = RunLog(feed, self.store, lease, self._writer, max_bytes=self.limits.max_log_bytes)
        job = Job(
            agent=agent,
            messages=messages,
            use_model=self._models.use,
            tool_limiter=self._tool_limiter,
            closing_bound=self.limits.closing_bound,
        )
        live = self._live[run.id] = _Live(run, log)
        self._follower.add_own(run.id)
        self._nursery.start_soon(self._keep, live, Performer(job, run, log), name=f"run {run.id}")
        if not self._accepting and self.store.shared:
            run.on_disconnect = "continue"
        if self._cancelling:
            run.request_cancel(_DRAINED)
        return run

    async def _keep(self, live: _Live, performer: Performer) -> None:
        try:
            with live.buffer:
                try:
                    await performer.perform()
                finally:
                    self._follower.discard_own(live.run.id)
                    self._leave()
                if live.log.cut_short:
                    await self._close_cut_log(live.log.lease)
                await self._expire()
                if not (self._closing or live.run.lost):
                    live.buffer.deadline = trio.current_time() + self.limits.retention.seconds
                    await trio.sleep_forever()
            await self._expire()
        finally:
            self._live.pop(live.run.id, None)

    async def _close_cut_log(self, lease: Lease) -> None:
        # The store came back without what it had acknowledged. Whoever saw that can't go on.
        try:
            if await self.store.renew_epoch(lease, secrets.token_hex(4)) is Appended.COMMITTED:
                message = "the store lost the end of this run's log"
                await close_log(self.store, lease, "log-lost", message)
        except StoreUnavailable as exc:
            logger.warning("a log that was cut short could not be closed: %s", exc)

    async def _look(self, run_id: str) -> None:
        """See what the store knows of one of our runs."""
        told = self._presence.told(run_id)
        info = await self.store.info(run_id)
        live = self._live.get(run_id)
        if live is None:
            return
        # What we tell meanwhile may be counted or not: then rather count too many than too few.
        told = min(told, self._presence.told(run_id))
        if info.fence != live.log.lease.fence:
            live.log.lose()
        elif info.cancel_reason is not None:
            live.run.request_cancel(info.cancel_reason)
        else:
            live.run.watched_elsewhere(max(0, info.viewers - told))

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

    def map(
        self,
        agent: AgentConfig,
        inputs: Iterable[Input],
        *,
        concurrency: int = 8,
        deadline: float | None = None,
    ) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[Mapped]]:
        """Run an agent over many inputs and yield a channel of what came of each, as it comes.

        ``async with runtime.map(agent, prompts) as results: async for mapped in results``. Inputs
        are taken as places become free; a slow receiver holds up the next ones. Leaving the
        block cancels what is running.

        Args:
            agent: what to run.
            inputs: prompts or transcripts.
            concurrency: runs at one time; never more than `max_streams`.
            deadline: seconds for each run, which then finishes with `timeout`; by default the
                agent's own.

        Raises:
            ValueError: when entered, if there is no concurrency.
        """
        concurrency = min(concurrency, self.limits.max_streams)
        return map_runs(self.start, agent, inputs, concurrency=concurrency, deadline=deadline)

    def run(self, run_id: str) -> LiveRun:
        """Return a run that lives here, or that finished here not long ago.

        Raises:
            UnknownRun: there is none with this id; `find` looks into the store.
        """
        try:
            return self._live[run_id].run
        except KeyError:
            raise UnknownRun(run_id) from None

    async def find(self, run_id: str) -> Run:
        """Find a run, wherever it lives or lived, by its id. A checkpoint.

        Raises:
            UnknownRun: the store has none with this id.
            CursorExpired: not any more.
            StoreUnavailable: the store can't tell.
        """
        if (live := self._live.get(run_id)) is not None and not live.run.lost:
            await trio.lowlevel.checkpoint()
            return live.run
        info = await self.store.info(run_id)
        feed = self._follower.feed(info)
        if info.active and self._presence.viewers_changed not in feed.on_use:
            feed.on_use.append(self._presence.viewers_changed)
        return StoredRun(info, feed, self.store, self._presence.request_cancel)

    async def check_model(self, agent: AgentConfig) -> None:
        """Open an agent's model and see whether it can be reached. A checkpoint.

        Raises:
            ModelError: it can't be opened or reached.
        """
        async with self._models.use(agent.model) as model:
            await model.check()

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
        if self.store.shared:
            # Those who watch here are sent to other servers, which is no leaving.
            self._presence.leave()
            for live in self._live.values():
                live.run.on_disconnect = "continue"
        self._draining.set()
        with trio.move_on_after(grace):
            await self._wait_idle()
        self._cancelling = True
        for live in self._live.values():
            live.run.request_cancel(_DRAINED)
        await self._wait_idle()
        self._drained.set()

    async def wait_draining(self) -> None:
        """Wait until somebody begins to drain the runtime. A checkpoint."""
        await self._draining.wait()

    async def wait_drained(self) -> None:
        """Wait until somebody has drained the runtime. A checkpoint."""
        await self._drained.wait()

    async def _wait_idle(self) -> None:
        await trio.lowlevel.checkpoint()
        while self._active:
            await self._idle.park()

    async def keep(self) -> None:
        """Do what a runtime does beside its runs. Never returns."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._renew_leases)
            nursery.start_soon(self._follower.run)
            nursery.start_soon(self._presence.run)
            nursery.start_soon(reap, self.store, self._live.__contains__, self._renewal)

    async def _renew_leases(self) -> None:
        while True:
            await trio.sleep(self._renewal)
            self._presence.refresh()
            active = [live for live in self._live.values() if not live.run.done]
            for live in active:
                if live.run.viewers_elsewhere:
                    # Viewers whose process dies are forgotten by the store without news.
                    self._follower.add_own(live.run.id)
            logs = {live.log.lease: live.log for live in active}
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
