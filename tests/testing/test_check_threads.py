"""The kit finds stores whose threads are taken, freed or moved otherwise than they should be."""

from collections.abc import Sequence
from contextlib import suppress

import attrs
import pytest
import trio
import trio.testing
from store_kit import check_broken

from trio_agent._errors import ThreadBusy, ThreadMoved, UnknownThread
from trio_agent._log.inbox import Delivered
from trio_agent._log.log import Append, Appended
from trio_agent._log.run_info import RunInfo, RunRecord
from trio_agent._log.store import Created, Lease
from trio_agent._log.thread import ThreadCursor, ThreadInfo, Turn
from trio_agent.stores._memory import MemoryStore
from trio_agent.stores._memory_threads import _Thread
from trio_agent.testing._check_threads import THREAD_CHECKS


class Opened(MemoryStore):
    """A store that lets itself be broken."""

    def thread_of(self, record: RunRecord) -> _Thread | None:
        if record.thread is None:
            return None
        return self._threads._threads.get((record.owner, record.thread))

    def thread_with(self, run_id: str) -> _Thread | None:
        run = self._runs.get(run_id)
        return None if run is None else self.thread_of(run.record)

    def free(self, run_id: str) -> None:
        if (thread := self.thread_with(run_id)) is not None:
            thread.active = None

    def add_turn(self, run_id: str, data: bytes) -> None:
        if (thread := self.thread_with(run_id)) is not None:
            thread.turns[run_id] = Turn(run_id, None, data)


class NoticesNobody(Opened):
    async def create(self, record: RunRecord) -> Created:
        if (thread := self.thread_of(record)) is not None:
            thread.active = None
        return await super().create(record)


class TellsOfWhoIsRefused(Opened):
    async def create(self, record: RunRecord) -> Created:
        try:
            return await super().create(record)
        except ThreadBusy as exc:
            raise ThreadBusy(exc.thread, record.run_id) from None


class CreatesForWhoIsRefused(Opened):
    async def create(self, record: RunRecord) -> Created:
        try:
            return await super().create(record)
        except ThreadBusy:
            await super().create(attrs.evolve(record, thread=None))  # noqa: ASYNC120 - a fault of it
            raise


class TouchesForWhoIsRefused(Opened):
    async def create(self, record: RunRecord) -> Created:
        try:
            return await super().create(record)
        except ThreadBusy:
            if (thread := self.thread_of(record)) is not None:
                thread.updated_at += 1
            raise


class KeepsTheKeyOfWhoIsRefused(Opened):
    async def create(self, record: RunRecord) -> Created:
        try:
            return await super().create(record)
        except ThreadBusy as exc:
            self._by_key[record.owner, record.idempotency_key] = exc.run_id
            raise


class TakesAnOwner(Opened):
    """One run of an owner's at a time, whatever the thread."""

    async def create(self, record: RunRecord) -> Created:
        for thread in self._threads._threads.values():
            if record.thread is not None and thread.active and thread.owner == record.owner:
                raise ThreadBusy(record.thread, thread.active)
        return await super().create(record)


class LooksAndThenTakes(Opened):
    def __init__(self, *, lease: float) -> None:
        super().__init__(lease=lease)
        self.check_thread = self._threads.check
        self._threads.check = lambda record: None  # type: ignore[method-assign]

    async def create(self, record: RunRecord) -> Created:
        if self._lookup(record) is None:
            self.check_thread(record)
        return await super().create(record)


class ComparesNoHead(Opened):
    async def create(self, record: RunRecord) -> Created:
        thread = self.thread_of(record)
        head = None if thread is None else thread.head
        return await super().create(attrs.evolve(record, head=head))


class ComparesNoNewHead(Opened):
    async def create(self, record: RunRecord) -> Created:
        if self.thread_of(record) is None:
            record = attrs.evolve(record, head=None)
        return await super().create(record)


class ComparesWhatIsNamed(Opened):
    """Takes no head for any head."""

    async def create(self, record: RunRecord) -> Created:
        if (thread := self.thread_of(record)) is not None and record.head is None:
            record = attrs.evolve(record, head=thread.head)
        return await super().create(record)


class TakesAndThenCompares(Opened):
    async def create(self, record: RunRecord) -> Created:
        try:
            return await super().create(record)
        except ThreadMoved:
            self._threads.begin(record)
            raise


class TakesWhatIsThereAndThenCompares(Opened):
    async def create(self, record: RunRecord) -> Created:
        try:
            return await super().create(record)
        except ThreadMoved:
            if self.thread_of(record) is not None:
                self._threads.begin(record)
            raise


class CreatesAndThenCompares(Opened):
    async def create(self, record: RunRecord) -> Created:
        try:
            return await super().create(record)
        except ThreadMoved:
            await super().create(attrs.evolve(record, thread=None, idempotency_key=None))  # noqa: ASYNC120 - a fault of it
            raise


class BusyBeforeTheKey(Opened):
    async def create(self, record: RunRecord) -> Created:
        with suppress(ThreadMoved):
            self._threads.check(record)
        return await super().create(record)


class HeadBeforeTheKey(Opened):
    async def create(self, record: RunRecord) -> Created:
        with suppress(ThreadBusy):
            self._threads.check(record)
        return await super().create(record)


class LooksUpNoThreads(Opened):
    async def lookup(self, record: RunRecord) -> str | None:
        return None if record.thread is not None else await super().lookup(record)


class FreesWithAnyEvent(Opened):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        self.free(append.run_id)
        return outcome


class AddsTurnsAllTheTime(Opened):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        if not append.terminal and (thread := self.thread_with(append.run_id)) is not None:
            self.add_turn(append.run_id, b"{}")
            thread.head = append.run_id
        return outcome


class FreesWhatIsReleased(Opened):
    async def release(self, lease: Lease) -> None:
        await super().release(lease)
        self.free(lease.run_id)


class FreesWhoSleeps(Opened):
    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        parked = await super().park(lease, seen, seconds)
        self.free(lease.run_id)
        return parked


class FreesWhoIsWoken(Opened):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        outcome = await super().deliver(run_id, key, data)
        self.free(run_id)
        return outcome


class FreesWhatIsCancelled(Opened):
    async def request_cancel(self, run_id: str, reason: str) -> None:
        await super().request_cancel(run_id, reason)
        self.free(run_id)


class FreesForAFormer(Opened):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        if outcome is Appended.FENCED and append.terminal:
            self.free(append.run_id)
        return outcome


class AddsTurnsOfAFormer(Opened):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        if outcome is Appended.FENCED and append.turn:
            self.add_turn(append.run_id, append.turn)
        return outcome


class EndsBehindAGap(Opened):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        if outcome is Appended.GAP and append.turn:
            self._threads.end(self._runs[append.run_id].record, append.turn)
        return outcome


class NeverFrees(Opened):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        if append.terminal and (thread := self.thread_with(append.run_id)) is not None:
            thread.active = append.run_id
        return outcome


class FreesLate(Opened):
    """When anything is appended behind it."""

    ended: str | None = None

    def _append(self, append: Append) -> Appended:
        if self.ended is not None:
            self.free(self.ended)
        outcome = super()._append(append)
        if append.terminal and (thread := self.thread_with(append.run_id)) is not None:
            thread.active = self.ended = append.run_id
        return outcome


class FreesWithTurnsOnly(Opened):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        thread = self.thread_with(append.run_id)
        if append.terminal and not append.turn and thread is not None:
            thread.active = append.run_id
        return outcome


class KeepsWhatIsEmpty(Opened):
    def _append(self, append: Append) -> Appended:
        before = self.thread_with(append.run_id)
        outcome = super()._append(append)
        if before is not None and self.thread_with(append.run_id) is None:
            self._threads._threads[before.owner, before.name] = before
        return outcome


class ListsWhatIsEmpty(Opened):
    gone: tuple[_Thread, ...] = ()

    def _append(self, append: Append) -> Appended:
        before = self.thread_with(append.run_id)
        outcome = super()._append(append)
        if before is not None and self.thread_with(append.run_id) is None:
            self.gone += (before,)
        return outcome

    async def threads(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        return [*await super().threads(owner, before, limit), *(each.info() for each in self.gone)]


class RemovesTheRunOfWhatIsEmpty(Opened):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        run = self._runs.get(append.run_id)
        if run is not None and run.log.closed and run.record.thread and not append.turn:
            self._remove(append.run_id)
        return outcome


class MovesWithoutATurn(Opened):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        thread = self.thread_with(append.run_id)
        if outcome is Appended.COMMITTED and append.terminal and thread is not None:
            thread.head = append.run_id
        return outcome


class LosesWhatIsFollowed(Opened):
    async def create(self, record: RunRecord) -> Created:
        return await super().create(attrs.evolve(record, follows=None))


class KeepsTheHeadAsSeen(Opened):
    async def create(self, record: RunRecord) -> Created:
        created = await super().create(record)
        run = self._runs[created.run_id]
        run.record = attrs.evolve(run.record, head=record.head)
        return created


class TellsNoThread(Opened):
    async def info(self, run_id: str) -> RunInfo:
        info = await super().info(run_id)
        return attrs.evolve(info, record=attrs.evolve(info.record, thread=None))


class CountsTurnsTwice(Opened):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        if append.turn and append.run_id in self._runs:
            self._runs[append.run_id].log.size += len(append.turn)
        return outcome


class TellsSeconds(Opened):
    async def thread(self, owner: str | None, thread: str) -> ThreadInfo:
        info = await super().thread(owner, thread)
        return attrs.evolve(info, updated_at=info.updated_at // 1000)


class KnowsAllThreads(Opened):
    async def thread(self, owner: str | None, thread: str) -> ThreadInfo:
        try:
            return await super().thread(owner, thread)
        except UnknownThread:
            return ThreadInfo(thread, owner, None, None, 0, 0, 0)


class ListsNobodyActive(Opened):
    async def threads(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        found = await super().threads(owner, before, limit)
        return [attrs.evolve(info, active=None) for info in found]


class KeepsTheFirstHead(Opened):
    def _append(self, append: Append) -> Appended:
        thread = self.thread_with(append.run_id)
        head = None if thread is None else thread.head
        outcome = super()._append(append)
        if thread is not None and head is not None:
            thread.head = head
        return outcome


class BranchesLeaveTheHead(Opened):
    def _append(self, append: Append) -> Appended:
        thread = self.thread_with(append.run_id)
        head = None if thread is None else thread.head
        outcome = super()._append(append)
        if thread is not None and self._runs[append.run_id].record.follows != head:
            thread.head = head
        return outcome


BROKEN: dict[type[MemoryStore], str] = {
    NoticesNobody: "a thread has one run at a time",
    TellsOfWhoIsRefused: "is told which run is active",
    CreatesForWhoIsRefused: "who finds it busy creates nothing",
    TouchesForWhoIsRefused: "who finds it busy changes nothing",
    KeepsTheKeyOfWhoIsRefused: "create returns the id of the new run, in threads, too",
    TakesAnOwner: "is active in the thread 'other'",
    LooksAndThenTakes: "of several runs that begin at once, one gets the thread",
    ComparesNoHead: "a new thread has no head",
    ComparesNoNewHead: "a new thread has no head",
    ComparesWhatIsNamed: "has seen the thread's head",
    TakesAndThenCompares: "who has seen another head makes no thread",
    TakesWhatIsThereAndThenCompares: "is active in the thread 't'",
    CreatesAndThenCompares: "who has seen another head creates nothing",
    BusyBeforeTheKey: "also if the thread is busy",
    HeadBeforeTheKey: "also if the thread has moved",
    LooksUpNoThreads: "lookup looks at no thread",
    FreesWithAnyEvent: "an event that is not the last does not free",
    AddsTurnsAllTheTime: "an event that is not the last adds no turn",
    FreesWhatIsReleased: "who lets go of a run does not free",
    FreesWhoSleeps: "a run that sleeps does not free",
    FreesWhoIsWoken: "a cancel request does not free",
    FreesWhatIsCancelled: "a cancel request does not free",
    FreesForAFormer: "a former holder does not free",
    AddsTurnsOfAFormer: "a former holder adds no turn",
    EndsBehindAGap: "an end behind a gap does not free",
    NeverFrees: "the end of a run frees its thread",
    FreesLate: "the end of a run frees its thread",
    FreesWithTurnsOnly: "a run that adds no turn frees its thread, too",
    KeepsWhatIsEmpty: "a thread that has no turns is there no more",
    ListsWhatIsEmpty: "a thread that has no turns is in no list",
    RemovesTheRunOfWhatIsEmpty: "was removed",
    MovesWithoutATurn: "leaves the head",
    LosesWhatIsFollowed: "a run keeps what it follows",
    KeepsTheHeadAsSeen: "the head that was seen is not kept",
    TellsNoThread: "a run keeps its thread",
    CountsTurnsTwice: "a turn is no part of its run",
    TellsSeconds: "Unix time in milliseconds",
    KnowsAllThreads: "there is no thread before its first run",
    ListsNobodyActive: "lists tell of it",
    KeepsTheFirstHead: "has seen the thread's head|has the head",
    BranchesLeaveTheHead: "whatever it follows",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_a_broken_store_is_found(
    broken: type[MemoryStore], autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises(Exception, match=BROKEN[broken]):
        await check_broken(broken, THREAD_CHECKS)
