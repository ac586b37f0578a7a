"""Runs that nobody works on: they go on here, or are ended.

- Whoever goes on with a run has a place for it first, then claims it, and says so in its log before
  anything else, so that what kills one worker after the other is noticed.
- Who does not know the agent of a run leaves it to others for a while. Where there are none, or
  when they have had their time, it is ended: that takes no agent.
- A cancel comes before all. A log whose end may be lost is ended: its last tool may have run.
"""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

from .._cluster.closing import cancel_log, close_log
from .._cluster.reaper import Reaper
from .._errors import (
    CursorExpired,
    LimitExceeded,
    LogDamaged,
    StoreUnavailable,
    UnknownBlob,
    UnknownRun,
    UnknownThread,
)
from .._events import RunContinued, RunWaiting
from .._log.log import Append, Appended, Entry
from .._log.run_info import RunInfo
from .._log.store import Lease, Store
from .._run.job import Order
from .._run.private import read_private, said_before
from .._run.rebuild import new_machine, rebuild
from .._run.story import ANSWERED, HANDED_OVER, LOST
from .._run.turns import read_history
from .known_agents import KnownAgents
from .live_runs import LiveRuns

logger = logging.getLogger("trio_agent")

_OTHERS: Final = 6
"""How long others may take a run that is not known here, in terms of what a lease holds."""

_GONE: Final = "the process that worked on this run is gone"


class Takeover:
    """Takes runs over.

    Args:
        store: where they are.
        live: where they go on.
        known: who can go on with them.
        closing_bound: seconds within which a claim that came to nothing is given back.
    """

    def __init__(
        self, store: Store, live: LiveRuns, known: KnownAgents, *, closing_bound: float
    ) -> None:
        self._store = store
        self._live = live
        self._known = known
        self._closing_bound = closing_bound
        # Until when a run is left to others, in Trio's time.
        self._left: dict[str, float] = {}
        self.reaper: Reaper = Reaper(store, self._take, self._is_left)
        """Looks for them."""

    async def end_sleeping(self) -> None:
        """Cancel what sleeps here if nobody could answer it later. A checkpoint if there is any.

        Also when everything is being cancelled: within `closing_bound`.
        """
        with trio.move_on_after(self._closing_bound, shield=True):
            for run_id in tuple(self._live.sleeping):
                try:
                    await self._end_sleeping(run_id)
                except (UnknownRun, CursorExpired):
                    pass
                except StoreUnavailable as exc:
                    logger.error("run %s could not be cancelled: %s", run_id, exc)

    async def _end_sleeping(self, run_id: str) -> None:
        await self._store.request_cancel(run_id, "the runtime closes")
        info = await self._store.info(run_id)
        if info.active and not info.leased:
            await self._end(info)
        await self._live.follower.catch_up(run_id)

    def _is_left(self, run_id: str) -> bool:
        return run_id in self._live or self._left.get(run_id, 0) > trio.current_time()

    async def _take(self, run_id: str) -> None:
        if run_id in self._live or not self._live.places.open:
            return
        try:
            info = await self._store.info(run_id)
            if not info.active:
                self._known.forget(run_id)
            elif not (info.leased or info.parked):
                await self._take_due(info)
        except LogDamaged as exc:
            await self._end_damaged(run_id, exc)
        except (UnknownRun, CursorExpired):
            logger.info("run %s was removed meanwhile", run_id)

    async def _end_damaged(self, run_id: str, damage: LogDamaged) -> None:
        # Its log may be whole, and gets its end then.
        with suppress(UnknownRun, CursorExpired):
            async with self._claimed(run_id) as lease:
                if lease is not None:
                    logger.warning("run %s can't go on: %s", run_id, damage)
                    message = f"{_GONE}, and its record is damaged"
                    await close_log(self._store, lease, LOST, message)

    @asynccontextmanager
    async def _claimed(self, run_id: str) -> AsyncIterator[Lease | None]:
        """Claim a run, if that is possible. If what is done with it fails, it is let go of."""
        lease = await self._store.claim(run_id)
        try:
            yield lease
        except BaseException:
            if lease is not None:
                # Nobody could claim it where leases don't end by themselves.
                with trio.move_on_after(self._closing_bound, shield=True):
                    with suppress(Exception):
                        await self._store.release(lease)
            raise

    async def _take_due(self, info: RunInfo) -> None:
        run_id = info.record.run_id
        if info.cancel_reason is not None or info.torn:
            await self._end(info)
            return
        private = await read_private(self._store, run_id)
        order: Order | str = "what was kept of it can't be read"
        if private is not None:
            order = self._known.order(info.record, private)
        if isinstance(order, str):
            if self._waits_for_others(run_id):
                return
            await self._end(info, f"{_GONE}, and {order}")
            return
        with suppress(LimitExceeded):  # then others go on with it, or we do later
            self._live.places.take()
            try:
                taken = await self._go_on(info, order)
            except BaseException:
                self._live.places.give_back()
                raise
            if not taken:
                self._live.places.give_back()

    def _waits_for_others(self, run_id: str) -> bool:
        if not self._store.shared:
            return False
        now = trio.current_time()
        if len(self._left) > 10_000:
            self._left = {each: until for each, until in self._left.items() if until > now}
        until = self._left.setdefault(run_id, now + _OTHERS * self._store.lease)
        if until > now:
            return True
        del self._left[run_id]
        return False

    async def _end(self, info: RunInfo, message: str = _GONE) -> None:
        async with self._claimed(info.record.run_id) as lease:
            if lease is not None:
                await self._end_claimed(info, lease, message)

    async def _end_claimed(self, info: RunInfo, lease: Lease, message: str) -> None:
        if info.cancel_reason is not None:
            await cancel_log(self._store, lease, info.cancel_reason)
            return
        if info.torn:
            message = "the machine died, and may have lost the end of this run's log"
            outcome = await close_log(self._store, lease, "log-lost", message)
        else:
            outcome = await close_log(self._store, lease, LOST, message)
        logger.warning("run %s had nobody who works on it: %s", lease.run_id, outcome.value)

    async def _go_on(self, info: RunInfo, order: Order) -> bool:
        """Claim a run and let it go on; returns whether it does."""
        async with self._claimed(info.record.run_id) as lease:
            if lease is None:
                return False
            if not lease.handed_over and order.declared.on_worker_lost == "end":
                await self._end_claimed(info, lease, _GONE)
                return False
            return await self._rebuild(order, lease)

    async def _rebuild(self, order: Order, lease: Lease) -> bool:
        run_id = lease.run_id
        # What was known before the claim may be older.
        info = await self._store.info(run_id)
        if info.cancel_reason is not None or info.torn:
            await self._end_claimed(info, lease, _GONE)
            return False
        if info.tail:
            reason = await self._why(lease, info.tail)
            event = RunContinued(at=time.time_ns() // 1_000_000, reason=reason)
            append = Append(run_id, lease.fence, [Entry.of(info.tail + 1, event)])
            if await self._store.append([append]) != [Appended.COMMITTED]:
                return False
        try:
            before = await read_history(self._store, info.record)
            machine = new_machine(
                run_id,
                order.agent,
                (*before, *await said_before(self._store, run_id)),
                retractable=order.retractable,
                before=len(before),
            )
            resumed = await rebuild(self._store, run_id, machine)
        except (LogDamaged, UnknownBlob, UnknownThread, UnknownRun):
            await self._end_claimed(info, lease, f"{_GONE}, and its log can't be read")
            return False
        logger.info("run %s goes on here: %s", run_id, resumed.reason)
        self._live.go_on(order, machine, info, lease, resumed)
        return True

    async def _why(self, lease: Lease, tail: int) -> str:
        if not lease.handed_over:
            return LOST
        with suppress(LogDamaged):
            page = await self._store.read(lease.run_id, tail - 1, 1)
            if page.entries and isinstance(page.entries[0].event, RunWaiting):
                return ANSWERED
        return HANDED_OVER
