"""The kit finds stores whose runs sleep otherwise than they should, and odd lists of orphans."""

from collections.abc import Sequence

import attrs
import pytest
import trio
import trio.testing
from store_kit import check_broken

from trio_agent._log.inbox import Delivered
from trio_agent._log.log import Append, Appended
from trio_agent._log.run_info import RunInfo
from trio_agent._log.store import Lease
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing._check_parking import PARKING_CHECKS, a_death_hands_nothing_over


class NeverParks(MemoryStore):
    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        await trio.lowlevel.checkpoint()
        return False


class ParksByReleasing(MemoryStore):
    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        parked = await super().park(lease, seen, seconds)
        if parked:
            self._wake(lease.run_id)
        return parked


class TellsOfSleepAsHeld(MemoryStore):
    async def info(self, run_id: str) -> RunInfo:
        info = await super().info(run_id)
        return attrs.evolve(info, leased=info.leased or info.parked)


class ListsWhoSleep(MemoryStore):
    async def orphans(self, after: str, limit: int) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        return sorted(
            run_id
            for run_id, run in self._runs.items()
            if run_id > after and not run.log.closed and (run.parked or run.leased_until <= now)
        )[:limit]


class ClaimsWhoSleep(MemoryStore):
    async def claim(self, run_id: str) -> Lease | None:
        run = self._get(run_id)
        if run.parked:
            self._wake(run_id)
        return await super().claim(run_id)


class SpendsNothing(MemoryStore):
    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        parked = await super().park(lease, seen, seconds)
        if parked:
            self._runs[lease.run_id].log.fence -= 1
        return parked


class Former(MemoryStore):
    """Lets who has parked do what only the holder may."""

    def holds(self, lease: Lease) -> bool:
        run = self._runs.get(lease.run_id)
        return run is not None and run.parked and run.log.fence == lease.fence + 1


class FormerAppends(Former):
    def _append(self, append: Append) -> Appended:
        lease = Lease(append.run_id, append.fence)
        if self.holds(lease):
            append = Append(append.run_id, append.fence + 1, append.entries)
        return super()._append(append)


class FormerRenews(Former):
    async def renew(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        lost = await super().renew(leases)
        return [lease for lease in lost if not self.holds(lease)]


class FormerRenewsTheEpoch(Former):
    async def renew_epoch(self, lease: Lease, epoch: str) -> Appended:
        if self.holds(lease):
            lease = attrs.evolve(lease, fence=lease.fence + 1)
        return await super().renew_epoch(lease, epoch)


class FormerReleases(Former):
    async def release(self, lease: Lease) -> None:
        if self.holds(lease):
            self._wake(lease.run_id)
        await super().release(lease)


class FormerParks(Former):
    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        return self.holds(lease) or await super().park(lease, seen, seconds)


class FormersParks(MemoryStore):
    """Whatever the fence."""

    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        run = self._get(lease.run_id)
        if run.parked:
            return False
        return await super().park(Lease(lease.run_id, run.log.fence), seen, seconds)


class ListsNoSleep(MemoryStore):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        found = await super().find(owner, before, limit, thread)
        return [attrs.evolve(info, parked=False) for info in found]


class ParksInSilence(MemoryStore):
    quiet = False

    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        self.quiet = True
        try:
            return await super().park(lease, seen, seconds)
        finally:
            self.quiet = False

    def _changed(self, run_id: str, *, log: bool = False) -> None:
        if not self.quiet:
            super()._changed(run_id, log=log)


class ParksUnread(MemoryStore):
    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        return await super().park(lease, len(self._get(lease.run_id).inbox), seconds)


class ParksWhatIsCancelled(MemoryStore):
    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        run = self._get(lease.run_id)
        reason, run.cancel_reason = run.cancel_reason, None
        parked = await super().park(lease, seen, seconds)
        run.cancel_reason = reason
        return parked


class LooksAndThenParks(MemoryStore):
    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        run = self._get(lease.run_id)
        if run.log.closed or run.cancel_reason is not None or len(run.inbox) != seen:
            return False
        await trio.lowlevel.checkpoint()
        reason, run.cancel_reason = run.cancel_reason, None
        parked = await super().park(lease, len(run.inbox), seconds)
        run.cancel_reason = reason
        return parked


class ParksAndThenRefuses(MemoryStore):
    """Lets go of a run that it does not park."""

    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        parked = await super().park(lease, seen, seconds)
        if not parked:
            await self.release(lease)
        return parked


class ParksWhatIsClosed(MemoryStore):
    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        return self._get(lease.run_id).log.closed or await super().park(lease, seen, seconds)


class WakesBy(MemoryStore):
    """Only what is delivered wakes, or only a cancel request."""

    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        run = self._get(run_id)
        until = run.leased_until
        outcome = await super().deliver(run_id, key, data)
        if run.parked:
            run.leased_until = until
        return outcome


class SleepsOnWhenCancelled(MemoryStore):
    async def request_cancel(self, run_id: str, reason: str) -> None:
        run = self._get(run_id)
        until = run.leased_until
        await super().request_cancel(run_id, reason)
        if run.parked:
            run.leased_until = until


class WakesForNothing(MemoryStore):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        outcome = await super().deliver(run_id, key, data)
        if not self._runs[run_id].log.closed:
            self._wake(run_id)
        return outcome


class WakesOutOfSight(MemoryStore):
    """Who is woken is due, and no orphan."""

    def _wake(self, run_id: str) -> None:
        super()._wake(run_id)
        if self._runs[run_id].parked:
            del self._wakeful[run_id]

    def _append(self, append: Append) -> Appended:
        run = self._runs.get(append.run_id)
        if run is not None and not run.log.closed:
            self._wakeful[append.run_id] = run
        return super()._append(append)


class WakesWhoIsAwake(MemoryStore):
    """A delivery ends a lease, too, if its run was parked before."""

    slept: frozenset[str] = frozenset()

    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        parked = await super().park(lease, seen, seconds)
        if parked:
            self.slept |= {lease.run_id}
        return parked

    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        outcome = await super().deliver(run_id, key, data)
        if run_id in self.slept and not self._runs[run_id].parked:
            self._runs[run_id].leased_until = trio.current_time()
        return outcome


class ParksOnce(MemoryStore):
    """A run that was woken before is woken for ever."""

    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        return await super().park(lease, seen, 0.0 if seen > 2 else seconds)


class SleepsForEver(MemoryStore):
    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        return await super().park(lease, seen, None)


class SleepsALittle(MemoryStore):
    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        return await super().park(lease, seen, None if seconds is None else min(seconds, 2))


class NoTimeIsEver(MemoryStore):
    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        return await super().park(lease, seen, seconds or None)


class SleepsForALease(MemoryStore):
    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        return await super().park(lease, seen, self.lease if seconds is None else seconds)


class ParksLikeTheDead(MemoryStore):
    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        parked = await super().park(lease, seen, seconds)
        if parked:
            self._runs[lease.run_id].handed_over = False
        return parked


class ReleasesLikeTheDead(MemoryStore):
    async def claim(self, run_id: str) -> Lease | None:
        slept = self._runs[run_id].parked if run_id in self._runs else False
        lease = await super().claim(run_id)
        return lease if slept or lease is None else attrs.evolve(lease, handed_over=False)


class IsNeverHeld(MemoryStore):
    """Forgets that somebody has claimed what was handed over."""

    async def claim(self, run_id: str) -> Lease | None:
        lease = await super().claim(run_id)
        if lease is not None:
            self._runs[run_id].handed_over = lease.handed_over
        return lease


class NobodyDies(MemoryStore):
    async def claim(self, run_id: str) -> Lease | None:
        lease = await super().claim(run_id)
        return None if lease is None else attrs.evolve(lease, handed_over=True)


class OldestFirst(MemoryStore):
    async def orphans(self, after: str, limit: int) -> Sequence[str]:
        found = set(await super().orphans(after, 1000))
        return [run_id for run_id in self._runs if run_id in found][:limit]


class SortsLikePeople(MemoryStore):
    async def orphans(self, after: str, limit: int) -> Sequence[str]:
        found = await super().orphans("", 1000)
        found = [run_id for run_id in found if run_id.lower() > after.lower()]
        return sorted(found, key=str.lower)[:limit]


class ListsAll(MemoryStore):
    async def orphans(self, after: str, limit: int) -> Sequence[str]:
        return await super().orphans(after, 1000)


class StartsFromTheFirst(MemoryStore):
    """Looks at the first only, and leaves out what it has shown."""

    async def orphans(self, after: str, limit: int) -> Sequence[str]:
        found = await super().orphans("", limit)
        return [run_id for run_id in found if run_id > after]


class KnowsItsPlace(MemoryStore):
    async def orphans(self, after: str, limit: int) -> Sequence[str]:
        known = not after or after in self._runs
        return await super().orphans(after, limit) if known else []


BROKEN: dict[type[MemoryStore], str] = {
    NeverParks: "who has read all can park",
    ParksByReleasing: "a parked run sleeps",
    TellsOfSleepAsHeld: "nobody holds a parked run",
    ListsWhoSleep: "a parked run is no orphan",
    ClaimsWhoSleep: "can't be claimed before it is due",
    SpendsNothing: "who has parked can't append",
    FormerAppends: "who has parked can't append",
    FormerRenews: "does not bring a lease back",
    FormerRenewsTheEpoch: "can't renew the epoch",
    FormerReleases: "does not disturb a parked run",
    FormerParks: "can't park again",
    FormersParks: "a former holder can't park",
    ListsNoSleep: "lists tell of sleep",
    ParksInSilence: "parking is news",
    ParksUnread: "who has not read all can't park",
    ParksWhatIsCancelled: "a run to be cancelled can't be parked",
    LooksAndThenParks: "nobody sleeps with something unread",
    ParksAndThenRefuses: "who is refused holds the run",
    ParksWhatIsClosed: "a closed log can't be parked",
    WakesBy: "a delivery makes a parked run due",
    SleepsOnWhenCancelled: "a cancel request makes a parked run due",
    WakesForNothing: "what is not new wakes nobody",
    WakesOutOfSight: "makes a parked run an orphan",
    WakesWhoIsAwake: "takes the run from nobody",
    ParksOnce: "parked again sleeps again",
    SleepsForEver: "the end of its time makes a parked run due",
    SleepsALittle: "an orphan|no less than it should",
    NoTimeIsEver: "no time at all makes a parked run due",
    ParksLikeTheDead: "who parks a run hands it over",
    ReleasesLikeTheDead: "who releases a run hands it over",
    OldestFirst: "in the order of their ids",
    SortsLikePeople: "in the order of their ids",
    ListsAll: "orphans are at most `limit`",
    StartsFromTheFirst: "pages of orphans follow each other",
    KnowsItsPlace: "need not be an orphan",
}

DYING: dict[type[MemoryStore], str] = {
    SleepsForALease: "a sleep is no lease",
    IsNeverHeld: "hands nothing over",
    NobodyDies: "hands nothing over",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_a_broken_store_is_found(
    broken: type[MemoryStore], autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises(AssertionError, match=BROKEN[broken]):
        await check_broken(broken, PARKING_CHECKS)


@pytest.mark.parametrize("broken", DYING, ids=lambda broken: broken.__name__)
async def test_a_store_that_is_broken_where_leases_end_is_found(
    broken: type[MemoryStore], autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises(AssertionError, match=DYING[broken]):
        await a_death_hands_nothing_over(broken(lease=5), 5)
