"""The runs that live in this process, from their start until they are kept no more.

A run's place is taken before anything is awaited for it, and given back when all of the run is
gone. A finished run stays readable here until retention, a deletion or the end of the runtime
closes its buffer.
"""

import logging
import secrets
from typing import Final

import attrs
import trio

from .._cluster.closing import close_log
from .._cluster.follower import Follower
from .._cluster.presence import Presence
from .._cluster.reaper import reap
from .._config import AgentConfig
from .._errors import LimitExceeded, StoreUnavailable
from .._limits import OnDisconnect, RuntimeLimits
from .._log.feed import Feed
from .._log.log import Appended
from .._log.store import Lease, RunRecord, Store, Watch
from .._log.writer import RunLog, Writer
from .._messages import AnyMessage
from .._run.live_run import LiveRun
from .._run.performer import Job, Performer
from ..tools._threads import ToolThreads
from .model_pool import ModelPool

logger = logging.getLogger("trio_agent")

_RENEWAL: Final = 0.3
"""Time between two renewals of leases, in terms of what they hold."""

_DRAINED: Final = "the runtime was drained"


@attrs.define(eq=False)
class _Live:
    run: LiveRun
    log: RunLog
    # Cancelling it ends the run and closes its buffer; retention is a deadline on it.
    buffer: trio.CancelScope = attrs.field(factory=trio.CancelScope)


class LiveRuns:
    """Starts runs in a nursery, and keeps what the store knows of them up to date.

    Args:
        store: where their logs are.
        limits: bounds on runs, logs and time.
        writer: commits what they say.
        watch: a watch of the store that nobody else uses.
        models: the models that they ask.
        nursery: where they live.
    """

    def __init__(
        self,
        store: Store,
        limits: RuntimeLimits,
        writer: Writer,
        watch: Watch,
        models: ModelPool,
        nursery: trio.Nursery,
    ) -> None:
        self.accepting: bool = True
        """Whether new runs are started still."""
        self.active: int = 0
        """Runs that are going on, or about to start."""
        self.presence: Presence = Presence(store, secrets.token_hex(8))
        self.follower: Follower = Follower(store, watch, self._on_news)
        self._store = store
        self._limits = limits
        self._writer = writer
        self._models = models
        self._nursery = nursery
        self._live: dict[str, _Live] = {}
        self._closing = False
        self._cancelling = False
        self._renewal = _RENEWAL * store.lease
        self._idle = trio.lowlevel.ParkingLot()
        self._tool_threads = ToolThreads(limits.tool_threads)

    @property
    def viewers(self) -> int:
        """Open subscriptions."""
        return sum(live.log.feed.viewers for live in self._live.values())

    @property
    def retained(self) -> int:
        """Finished runs that can still be read here."""
        return sum(live.run.done for live in self._live.values())

    def get(self, run_id: str) -> LiveRun | None:
        """Return a run that lives here, or that finished here not long ago."""
        live = self._live.get(run_id)
        return None if live is None else live.run

    def take_place(self) -> None:
        """Count one more active run; `give_place_back` if it does not start.

        Raises:
            LimitExceeded: `max_streams` runs are active, or no more are started.
        """
        if not self.accepting:
            raise LimitExceeded("the runtime is draining: it starts no more runs")
        if self.active >= self._limits.max_streams:
            raise LimitExceeded(f"{self.active} runs are active, which is the limit")
        self.active += 1

    def give_place_back(self) -> None:
        """Count one active run less."""
        self.active -= 1
        if not self.active:
            self._idle.unpark_all()

    def spawn(
        self,
        agent: AgentConfig,
        messages: tuple[AnyMessage, ...],
        record: RunRecord,
        lease: Lease,
        on_disconnect: OnDisconnect,
    ) -> LiveRun:
        """Let a run that was created and has its place begin."""
        feed = Feed(record.run_id, record.epoch)
        run = LiveRun(record, feed, self._store, on_disconnect=on_disconnect)
        feed.on_use.append(self.presence.viewers_changed)
        log = RunLog(feed, self._store, lease, self._writer, max_bytes=self._limits.max_log_bytes)
        job = Job(
            agent=agent,
            messages=messages,
            use_model=self._models.use,
            tool_threads=self._tool_threads,
            closing_bound=self._limits.closing_bound,
        )
        live = self._live[run.id] = _Live(run, log)
        self.follower.add_own(run.id)
        self._nursery.start_soon(
            self._run_and_retain, live, Performer(job, run, log), name=f"run {run.id}"
        )
        if not self.accepting and self._store.shared:
            run.on_disconnect = "continue"
        if self._cancelling:
            run.request_cancel(_DRAINED)
        return run

    async def _run_and_retain(self, live: _Live, performer: Performer) -> None:
        try:
            with live.buffer:
                try:
                    await performer.perform()
                finally:
                    self.follower.discard_own(live.run.id)
                    self.give_place_back()
                if live.log.cut_short:
                    await self._close_cut_log(live.log.lease)
                await self._expire()
                if not (self._closing or live.run.lost):
                    live.buffer.deadline = trio.current_time() + self._limits.retention.seconds
                    await trio.sleep_forever()
            await self._expire()
        finally:
            self._live.pop(live.run.id, None)

    async def _close_cut_log(self, lease: Lease) -> None:
        # The store came back without what it had acknowledged. Whoever saw that can't go on.
        try:
            if await self._store.renew_epoch(lease, secrets.token_hex(4)) is Appended.COMMITTED:
                message = "the store lost the end of this run's log"
                await close_log(self._store, lease, "log-lost", message)
        except StoreUnavailable as exc:
            logger.warning("a log that was cut short could not be closed: %s", exc)

    async def _on_news(self, run_id: str) -> None:
        """See what the store knows of one of our runs."""
        known = self.presence.known_viewers(run_id)
        info = await self._store.info(run_id)
        live = self._live.get(run_id)
        if live is None:
            return
        # What we tell meanwhile may be counted or not: then rather count too many than too few.
        known = min(known, self.presence.known_viewers(run_id))
        if info.fence != live.log.lease.fence:
            live.log.stop_as_lost()
        elif info.cancel_reason is not None:
            live.run.request_cancel(info.cancel_reason)
        else:
            live.run.set_viewers_elsewhere(max(0, info.viewers - known))

    async def _expire(self) -> None:
        try:
            removed = await self._store.expire(self._limits.retention)
        except StoreUnavailable as exc:
            logger.warning("finished runs could not be removed: %s", exc)
            return
        for run_id in removed:
            self.forget(run_id)

    def forget(self, run_id: str) -> None:
        """A run was removed from the store: close its buffer, if there is one."""
        if (live := self._live.pop(run_id, None)) is not None:
            live.buffer.cancel(reason="no longer kept")

    def close(self) -> None:
        """Start no more runs, and keep none that has finished. What is active goes on."""
        self.accepting = False
        self._closing = True
        for live in self._live.values():
            if live.run.done:
                live.buffer.cancel(reason="the runtime closes")

    def send_viewers_elsewhere(self) -> None:
        """Those who watch here go on at other servers, which is no leaving."""
        self.presence.leave()
        for live in self._live.values():
            live.run.on_disconnect = "continue"

    def cancel_all(self) -> None:
        """Cancel all runs, those that are about to start, too."""
        self._cancelling = True
        for live in self._live.values():
            live.run.request_cancel(_DRAINED)

    async def wait_idle(self) -> None:
        """Wait until no run is active. A checkpoint."""
        await trio.lowlevel.checkpoint()
        while self.active:
            await self._idle.park()

    async def serve(self) -> None:
        """Do what is to be done beside the runs. Never returns."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._renew_leases)
            nursery.start_soon(self.follower.run)
            nursery.start_soon(self.presence.run)
            nursery.start_soon(reap, self._store, self._live.__contains__, self._renewal)

    async def _renew_leases(self) -> None:
        while True:
            await trio.sleep(self._renewal)
            self.presence.refresh()
            active = [live for live in self._live.values() if not live.run.done]
            for live in active:
                if live.run.viewers_elsewhere:
                    # Viewers whose process dies are forgotten by the store without news.
                    self.follower.add_own(live.run.id)
            logs = {live.log.lease: live.log for live in active}
            try:
                for lease in await self._store.renew(list(logs)):
                    logs[lease].stop_as_lost()
            except StoreUnavailable as exc:
                logger.warning("leases could not be renewed: %s", exc)
