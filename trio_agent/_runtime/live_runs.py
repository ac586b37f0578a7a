"""The runs that live in this process, from their start until they are kept no more.

A run's place is given back when all of the run is gone, or when it sleeps. A finished run stays
readable here until retention, a deletion or the end of the runtime closes its buffer; but what was
said to it and by it is held only while somebody else holds the run. What serves all runs survives
whatever goes wrong in it.
"""

import secrets
from collections.abc import Callable
from typing import Any, Final
from weakref import ref

import trio

from .._cluster.closing import close_log
from .._cluster.follower import Follower
from .._cluster.presence import Presence
from .._instrument.instruments import Instruments
from .._limits import Retention, RuntimeLimits
from .._log.feed import Feed
from .._log.log import Appended
from .._log.run_info import RunInfo, RunRecord
from .._log.store import Lease, Store, Watch
from .._log.trouble import Trouble
from .._log.writer import RunLog, Writer
from .._run.inbox import Inbox
from .._run.job import Job, Order
from .._run.live_run import LiveRun
from .._run.machine import Machine
from .._run.performer import Performer
from .._run.postbox import Postbox
from .._run.rebuild import Resumed
from .._run.stored_run import StoredRun
from ..tools._threads import ToolThreads
from .known_agents import KnownAgents
from .leases import Leases
from .places import Places
from .pool import ModelPool, SourcePool

_EXPIRY: Final = 60.0
"""Seconds between two looks for finished runs that are to be removed, whether runs end or not."""

_DRAINED: Final = "the runtime was drained"


class _Live:
    def __init__(self, run: LiveRun, log: RunLog, order: Order) -> None:
        self.feed: Feed = log.feed
        self.active: tuple[LiveRun, RunLog, Order] | None = run, log, order
        # Cancelling it ends the run and closes its buffer; retention is a deadline on it.
        self.buffer = trio.CancelScope()
        self._run = ref(run)

    @property
    def run(self) -> LiveRun | None:
        """The run; None when it has ended and nobody holds it."""
        return self._run()


class LiveRuns:
    """Lets runs begin and go on in a nursery, and keeps what the store knows of them up to date.

    Args:
        store: where their logs are.
        limits: bounds on runs, logs and time.
        writer: commits what they say.
        watch: a watch of the store that nobody else uses.
        models: the models that they ask.
        sources: the sources of tools that they share.
        known: who can go on with them.
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
        known: KnownAgents,
        instruments: Instruments,
        nursery: trio.Nursery,
    ) -> None:
        self.places: Places = Places(limits.max_streams)
        """How many may be active."""
        self.on_due: Callable[[str], None] = lambda _: None
        """Called with a run that somebody is to look at: it may be due."""
        self.presence: Presence = Presence(store, secrets.token_hex(8), self._due)
        self.follower: Follower = Follower(store, watch, self._on_news)
        self.postbox: Postbox = Postbox(store, self._due)
        self._store = store
        self._limits = limits
        self._retention = limits.retention
        if limits.retention is None and not store.durable:
            self._retention = Retention()
        self._writer = writer
        self._models = models
        self._sources = sources
        self._known = known
        self._instruments = instruments
        self._nursery = nursery
        self._live: dict[str, _Live] = {}
        self._leases = Leases(store)
        self.sleeping: set[str] = set()
        """Runs that sleep, and that nobody could answer after this process."""
        self._closing = False
        self._cancelling = False
        self._expiring = Trouble("finished runs could not be removed")
        self._cutting = Trouble("the log of run %s was cut short and could not be closed")
        self._tool_threads = ToolThreads(limits.tool_threads)

    def _due(self, run_id: str) -> None:
        self.on_due(run_id)

    @property
    def viewers(self) -> int:
        """Open subscriptions."""
        return sum(live.feed.viewers for live in self._live.values())

    @property
    def retained(self) -> int:
        """Finished runs that can still be read here."""
        return sum(live.active is None for live in self._live.values())

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._live

    def find(self, run_id: str) -> LiveRun | None:
        """Return a run that lives here, or that finished here not long ago and is held still."""
        live = self._live.get(run_id)
        run = None if live is None else live.run
        return None if run is None or run.lost else run

    def stored(self, info: RunInfo) -> StoredRun:
        """Return a run that is not here, or not any more."""
        record = info.record
        live = self._live.get(record.run_id)
        if live is not None and live.feed.closed and live.feed.epoch == record.epoch:
            feed = live.feed
        else:
            feed = self.follower.feed(info)
        if info.active and self.presence.viewers_changed not in feed.on_use:
            feed.on_use.append(self.presence.viewers_changed)
        return self._stored(record, feed, last=info.last, parked=info.parked)

    def _stored(self, record: RunRecord, feed: Feed, **known: Any) -> StoredRun:
        cancel = self.presence.request_cancel
        return StoredRun(record, feed, self._store, self.postbox, cancel, **known)

    def begin(self, order: Order, machine: Machine, record: RunRecord, lease: Lease) -> LiveRun:
        """Let a run that was created and has its place begin."""
        feed = Feed(record.run_id, record.epoch)
        inbox = Inbox(self._store, record.run_id)
        return self._let(order, machine, record, lease, feed, inbox, None)

    def go_on(
        self, order: Order, machine: Machine, info: RunInfo, lease: Lease, resumed: Resumed
    ) -> LiveRun:
        """Let a run that was claimed, was rebuilt and has its place go on."""
        feed = self.follower.take(info, resumed.tail)
        inbox = Inbox(self._store, feed.run_id, machine.story.taken)
        inbox.tell(info.delivered)
        self._known.forget(feed.run_id)
        self.sleeping.discard(feed.run_id)
        return self._let(order, machine, info.record, lease, feed, inbox, resumed)

    def _let(
        self,
        order: Order,
        machine: Machine,
        record: RunRecord,
        lease: Lease,
        feed: Feed,
        inbox: Inbox,
        resumed: Resumed | None,
    ) -> LiveRun:
        run = LiveRun(
            record,
            feed,
            self._store,
            self.postbox,
            inbox,
            on_disconnect=order.on_disconnect,
            retractable=order.retractable,
        )
        if self.presence.viewers_changed not in feed.on_use:
            feed.on_use.append(self.presence.viewers_changed)
        log = RunLog(
            feed,
            self._store,
            lease,
            self._writer,
            max_bytes=self._limits.max_log_bytes,
            size=0 if resumed is None else resumed.size,
        )
        job = Job(
            order=order,
            use_model=self._models.use,
            use_source=self._sources.use,
            tool_threads=self._tool_threads,
            instruments=self._instruments,
            closing_bound=self._limits.closing_bound,
        )
        performer = Performer(job, machine, run, log, self._store, self._on_news, resumed)
        live = self._live[run.id] = _Live(run, log, order)
        self.follower.add_own(run.id)
        self._nursery.start_soon(self._run_and_retain, live, performer, name=f"run {run.id}")
        if not self.places.open and self._store.shared:
            run.on_disconnect = "continue"
        if self._cancelling:
            self._stop(run, order)
        return run

    async def _run_and_retain(self, live: _Live, performer: Performer) -> None:
        run_id = live.feed.run_id
        assert live.active is not None
        run, log, order = live.active
        try:
            with live.buffer:
                try:
                    await performer.perform()
                finally:
                    # A store that is durable tells of it what there is to tell.
                    kept = not (
                        run.lost or performer.asleep or performer.handed_over or self._store.durable
                    )
                    live.active = None
                    self.follower.discard_own(run_id)
                    if performer.asleep:
                        self._put_to_sleep(run, log, order)
                    elif not (kept or run.lost or log.uncommitted):
                        # Who reads it here and who finds it later have the same feed.
                        self.follower.give(log.feed)
                    self.places.give_back()
                if log.cut_short:
                    await self._close_cut_log(log.lease)
                # Nothing here holds what was said any more.
                del performer, run, log, order
                await self._expire()
                if kept and self._retention is not None and not self._closing:
                    live.buffer.deadline = trio.current_time() + self._retention.seconds
                    await trio.sleep_forever()
            await self._expire()
        finally:
            if self._live.get(run_id) is live:
                del self._live[run_id]

    def _put_to_sleep(self, run: LiveRun, log: RunLog, order: Order) -> None:
        """Hand a run on: its feed to those who follow it, its order to who goes on with it."""
        del self._live[run.id]
        self._known.remember(run.id, order)
        if not self._store.durable:
            self.sleeping.add(run.id)
        self.follower.give(log.feed)
        shape = order.agent.shape
        run.hand_on(self._stored(run.record, log.feed, parked=True, shape=shape))
        self._due(run.id)  # what came since is seen again

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
        run, log, _ = live.active
        # What we tell meanwhile may be counted or not: then rather count too many than too few.
        known = min(known, self.presence.known_viewers(run_id))
        if info.fence != log.lease.fence:
            log.stop_as_lost()
            return
        run.inbox.tell(info.delivered)
        if info.cancel_reason is not None:
            run.request_cancel(info.cancel_reason)
        else:
            run.set_viewers_elsewhere(max(0, info.viewers - known))

    async def _expire(self) -> None:
        if self._retention is None:
            return
        try:
            removed = await self._store.expire(self._retention)
        except Exception as exc:
            self._expiring.tell(exc)
            return
        for run_id in removed:
            self.forget(run_id)

    def forget(self, run_id: str) -> None:
        """A run was removed from the store: close its buffer, if there is one."""
        if (live := self._live.pop(run_id, None)) is not None:
            live.buffer.cancel(reason="no longer kept")

    def close(self) -> None:
        """Start no more runs, and keep none that has finished. What is active goes on."""
        self.places.close()
        self._closing = True
        for live in self._live.values():
            if live.active is None:
                live.buffer.cancel(reason="the runtime closes")

    def send_viewers_elsewhere(self) -> None:
        """Those who watch here go on at other servers, which is no leaving."""
        self.presence.leave()
        for run, _, _ in self._active():
            run.on_disconnect = "continue"

    def stop_all(self) -> None:
        """Let no run go on here, nor those that are about to start.

        Who can go on with it elsewhere, or at the next start, does; the others are cancelled.
        """
        self._cancelling = True
        for run, _, order in self._active():
            self._stop(run, order)

    def _stop(self, run: LiveRun, order: Order) -> None:
        if self._store.durable and self._known.can_go_on(order):
            run.hand_over()
        else:
            run.request_cancel(_DRAINED)

    def _active(self) -> list[tuple[LiveRun, RunLog, Order]]:
        return [live.active for live in self._live.values() if live.active is not None]

    async def serve(self) -> None:
        """Do what is to be done beside the runs. Never returns."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._leases.renew, self._held)
            nursery.start_soon(self._expire_now_and_then)
            nursery.start_soon(self.follower.run)
            nursery.start_soon(self.presence.run)

    def _held(self) -> list[RunLog]:
        """Return the logs that are written here, before their leases are renewed."""
        self.presence.refresh()
        active = self._active()
        for run, _, _ in active:
            if run.viewers_elsewhere:
                # Viewers whose process dies are forgotten by the store without news.
                self.follower.add_own(run.id)
        return [log for _, log, _ in active]

    async def _expire_now_and_then(self) -> None:
        while True:
            await self._expire()
            await trio.sleep(_EXPIRY)
