"""The runs that live in this process, from their start until they are kept no more.

A run's place is taken before anything is awaited for it, and given back when all of the run is
gone. A finished run stays readable here until retention, a deletion or the end of the runtime
closes its buffer; but what was said to it and by it is held only while somebody else holds the run.
What serves all runs survives whatever goes wrong in it.
"""

import secrets
from typing import Final
from weakref import ref

import trio

from .._cluster.closing import close_log
from .._cluster.follower import Follower
from .._cluster.presence import Presence
from .._cluster.reaper import reap
from .._errors import LimitExceeded
from .._instrument.instruments import Instruments
from .._limits import RuntimeLimits
from .._log.feed import Feed
from .._log.log import Appended
from .._log.run_info import RunInfo, RunRecord
from .._log.store import Lease, Store, Watch
from .._log.trouble import Trouble
from .._log.writer import RunLog, Writer
from .._messages import AnyMessage
from .._run.job import Job, Order
from .._run.live_run import LiveRun
from .._run.performer import Performer
from ..tools._threads import ToolThreads
from .pool import ModelPool, SourcePool

_RENEWAL: Final = 0.3
"""Time between two renewals of leases, in terms of what they hold."""

_EXPIRY: Final = 60.0
"""Seconds between two looks for finished runs that are to be removed, whether runs end or not."""

_DRAINED: Final = "the runtime was drained"


class _Live:
    def __init__(self, run: LiveRun, log: RunLog) -> None:
        self.feed: Feed = log.feed
        self.active: tuple[LiveRun, RunLog] | None = run, log
        self.abandoned: tuple[str, ...] = ()
        # Cancelling it ends the run and closes its buffer; retention is a deadline on it.
        self.buffer = trio.CancelScope()
        self._run = ref(run)

    @property
    def run(self) -> LiveRun | None:
        """The run; None when it has ended and nobody holds it."""
        return self._run()

    def end(self) -> None:
        if self.active is not None:
            run, _ = self.active
            self.abandoned = tuple(run.abandoned)
            self.active = None


class LiveRuns:
    """Starts runs in a nursery, and keeps what the store knows of them up to date.

    Args:
        store: where their logs are.
        limits: bounds on runs, logs and time.
        writer: commits what they say.
        watch: a watch of the store that nobody else uses.
        models: the models that they ask.
        sources: the sources of tools that they share.
        instruments: what is told of them.
        nursery: where they live.
    """

    def __init__(
        self,
        store: Store,
        limits: RuntimeLimits,
        writer: Writer,
        watch: Watch,
        models: ModelPool,
        sources: SourcePool,
        instruments: Instruments,
        nursery: trio.Nursery,
    ) -> None:
        self.accepting: bool = True
        """Whether new runs are started still; see `refuse`."""
        self.active: int = 0
        """Runs that are going on, or about to start."""
        self.presence: Presence = Presence(store, secrets.token_hex(8))
        self.follower: Follower = Follower(store, watch, self._on_news)
        self._store = store
        self._limits = limits
        self._writer = writer
        self._models = models
        self._sources = sources
        self._instruments = instruments
        self._nursery = nursery
        self._live: dict[str, _Live] = {}
        self._closing = False
        self._cancelling = False
        self._renewal = _RENEWAL * store.lease
        self._idle = trio.lowlevel.ParkingLot()
        self._places = trio.lowlevel.ParkingLot()
        self._expiring = Trouble("finished runs could not be removed")
        self._renewing = Trouble("leases could not be renewed")
        self._cutting = Trouble("the log of run %s was cut short and could not be closed")
        self._tool_threads = ToolThreads(limits.tool_threads)

    @property
    def viewers(self) -> int:
        """Open subscriptions."""
        return sum(live.feed.viewers for live in self._live.values())

    @property
    def retained(self) -> int:
        """Finished runs that can still be read here."""
        return sum(live.active is None for live in self._live.values())

    def get(self, run_id: str) -> LiveRun | None:
        """Return a run that lives here, or that finished here not long ago and is held still."""
        live = self._live.get(run_id)
        return None if live is None else live.run

    def feed(self, info: RunInfo) -> Feed:
        """Return the feed of a run that is not here, or not any more."""
        live = self._live.get(info.record.run_id)
        if live is not None and live.feed.closed and live.feed.epoch == info.record.epoch:
            return live.feed
        return self.follower.feed(info)

    def abandoned(self, run_id: str) -> tuple[str, ...]:
        """Return the calls of a run that ended here whose threads were let go."""
        live = self._live.get(run_id)
        return () if live is None else live.abandoned

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

    async def wait_for_place(self) -> None:
        """As `take_place`, but wait while others have all places. A checkpoint.

        Raises:
            LimitExceeded: no more runs are started.
        """
        await trio.lowlevel.checkpoint()
        while self.accepting and self.active >= self._limits.max_streams:
            await self._places.park()
        self.take_place()

    def give_place_back(self) -> None:
        """Count one active run less."""
        self.active -= 1
        self._places.unpark()
        if not self.active:
            self._idle.unpark_all()

    def spawn(
        self, order: Order, messages: tuple[AnyMessage, ...], record: RunRecord, lease: Lease
    ) -> LiveRun:
        """Let a run that was created and has its place begin."""
        feed = Feed(record.run_id, record.epoch)
        run = LiveRun(record, feed, self._store, on_disconnect=order.on_disconnect)
        feed.on_use.append(self.presence.viewers_changed)
        log = RunLog(feed, self._store, lease, self._writer, max_bytes=self._limits.max_log_bytes)
        job = Job(
            order=order,
            messages=messages,
            use_model=self._models.use,
            use_source=self._sources.use,
            tool_threads=self._tool_threads,
            instruments=self._instruments,
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
        run_id = live.feed.run_id
        assert live.active is not None
        run, log = live.active
        try:
            with live.buffer:
                try:
                    await performer.perform()
                finally:
                    live.end()
                    self.follower.discard_own(run_id)
                    self.give_place_back()
                if log.cut_short:
                    await self._close_cut_log(log.lease)
                kept = not run.lost
                # Nothing here holds what was said any more.
                del performer, run, log
                await self._expire()
                if kept and not self._closing:
                    live.buffer.deadline = trio.current_time() + self._limits.retention.seconds
                    await trio.sleep_forever()
            await self._expire()
        finally:
            self._live.pop(run_id, None)

    async def _close_cut_log(self, lease: Lease) -> None:
        # The store came back without what it had acknowledged. Whoever saw that can't go on.
        try:
            if await self._store.renew_epoch(lease, secrets.token_hex(4)) is Appended.COMMITTED:
                message = "the store lost the end of this run's log"
                await close_log(self._store, lease, "log-lost", message)
        except Exception as exc:
            self._cutting.tell(exc, lease.run_id)

    async def _on_news(self, run_id: str) -> None:
        """See what the store knows of one of our runs."""
        known = self.presence.known_viewers(run_id)
        info = await self._store.info(run_id)
        live = self._live.get(run_id)
        if live is None or live.active is None:
            return
        run, log = live.active
        # What we tell meanwhile may be counted or not: then rather count too many than too few.
        known = min(known, self.presence.known_viewers(run_id))
        if info.fence != log.lease.fence:
            log.stop_as_lost()
        elif info.cancel_reason is not None:
            run.request_cancel(info.cancel_reason)
        else:
            run.set_viewers_elsewhere(max(0, info.viewers - known))

    async def _expire(self) -> None:
        try:
            removed = await self._store.expire(self._limits.retention)
        except Exception as exc:
            self._expiring.tell(exc)
            return
        for run_id in removed:
            self.forget(run_id)

    def forget(self, run_id: str) -> None:
        """A run was removed from the store: close its buffer, if there is one."""
        if (live := self._live.pop(run_id, None)) is not None:
            live.buffer.cancel(reason="no longer kept")

    def refuse(self) -> None:
        """Start no more runs."""
        self.accepting = False
        self._places.unpark_all()

    def close(self) -> None:
        """Start no more runs, and keep none that has finished. What is active goes on."""
        self.refuse()
        self._closing = True
        for live in self._live.values():
            if live.active is None:
                live.buffer.cancel(reason="the runtime closes")

    def send_viewers_elsewhere(self) -> None:
        """Those who watch here go on at other servers, which is no leaving."""
        self.presence.leave()
        for run, _ in self._active():
            run.on_disconnect = "continue"

    def cancel_all(self) -> None:
        """Cancel all runs, those that are about to start, too."""
        self._cancelling = True
        for run, _ in self._active():
            run.request_cancel(_DRAINED)

    def _active(self) -> list[tuple[LiveRun, RunLog]]:
        return [live.active for live in self._live.values() if live.active is not None]

    async def wait_idle(self) -> None:
        """Wait until no run is active. A checkpoint."""
        await trio.lowlevel.checkpoint()
        while self.active:
            await self._idle.park()

    async def serve(self) -> None:
        """Do what is to be done beside the runs. Never returns."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._renew_leases)
            nursery.start_soon(self._expire_now_and_then)
            nursery.start_soon(self.follower.run)
            nursery.start_soon(self.presence.run)
            nursery.start_soon(reap, self._store, self._live.__contains__, self._renewal)

    async def _renew_leases(self) -> None:
        while True:
            await trio.sleep(self._renewal)
            try:
                await self._renew()
            except Exception as exc:
                self._renewing.tell(exc)

    async def _renew(self) -> None:
        self.presence.refresh()
        active = self._active()
        for run, _ in active:
            if run.viewers_elsewhere:
                # Viewers whose process dies are forgotten by the store without news.
                self.follower.add_own(run.id)
        logs = {log.lease: log for _, log in active}
        for lease in await self._store.renew(list(logs)):
            logs[lease].stop_as_lost()

    async def _expire_now_and_then(self) -> None:
        while True:
            await self._expire()
            await trio.sleep(_EXPIRY)
