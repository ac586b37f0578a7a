"""The kit finds stores whose turns are lost, doubled or mixed up, and odd lists of threads."""

from collections.abc import Sequence
from itertools import islice

import attrs
import pytest
import trio
import trio.testing
from store_kit import check_broken

from trio_agent._errors import ThreadBusy, UnknownRun, UnknownThread
from trio_agent._limits import Retention
from trio_agent._log.inbox import Delivered
from trio_agent._log.log import PAGE_BYTES, Append, Appended
from trio_agent._log.run_info import RunInfo, RunRecord
from trio_agent._log.store import Created
from trio_agent._log.thread import ThreadCursor, ThreadInfo, Turn
from trio_agent.stores._memory import MemoryStore
from trio_agent.stores._memory_threads import _back, _Thread
from trio_agent.testing._check_turns import TURN_CHECKS

DAY = 86_400_000


class Opened(MemoryStore):
    """A store that lets itself be broken."""

    def thread_with(self, run_id: str) -> _Thread | None:
        run = self._runs.get(run_id)
        if run is None or run.record.thread is None:
            return None
        return self._threads._threads.get((run.record.owner, run.record.thread))


class OldestTurnFirst(Opened):
    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        return list(reversed(await super().turns(owner, thread, last, limit)))


class OneTurnMore(Opened):
    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        return await super().turns(owner, thread, last, limit + 1)


class OneTurnForEver(Opened):
    """Tells of the first turn when it is asked for less than all."""

    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        found = await super().turns(owner, thread, last, 1000)
        return found[-limit:]


class TurnsAreALine(Opened):
    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        await super().turns(owner, thread, last, limit)
        every = list(self._threads._threads[owner, thread].turns.values())
        while every[-1].run_id != last:
            every.pop()
        return every[::-1][:limit]


class FollowsTheHead(Opened):
    async def create(self, record: RunRecord) -> Created:
        return await super().create(attrs.evolve(record, follows=record.head))


class ChangesBytes(Opened):
    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        found = await super().turns(owner, thread, last, limit)
        return [attrs.evolve(turn, data=turn.data.strip(b"\0")) for turn in found]


class KnowsAllTurns(Opened):
    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        try:
            return await super().turns(owner, thread, last, limit)
        except UnknownRun:
            return []


class KnowsAllThreads(Opened):
    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        try:
            return await super().turns(owner, thread, last, limit)
        except UnknownThread:
            return []


class FindsTurnsAnywhere(Opened):
    """Knows a turn by its run alone."""

    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        try:
            return await super().turns(owner, thread, last, limit)
        except UnknownRun:
            for key, other in self._threads._threads.items():
                if last in other.turns:
                    return self._threads.turns(*key, last, limit)
            raise


class CountsTheWay(Opened):
    async def thread(self, owner: str | None, thread: str) -> ThreadInfo:
        info = await super().thread(owner, thread)
        turns = self._threads._threads[owner, thread].turns
        return attrs.evolve(info, turns=len(list(_back(turns, info.head))))


class MeasuresTheLast(Opened):
    async def thread(self, owner: str | None, thread: str) -> ThreadInfo:
        info = await super().thread(owner, thread)
        if info.head is None:
            return info
        last = self._threads._threads[owner, thread].turns[info.head]
        return attrs.evolve(info, size=len(last.data))


class TurnsGoWithTheirRun(Opened):
    async def delete(self, run_id: str) -> None:
        thread = self.thread_with(run_id)
        await super().delete(run_id)
        if thread is not None:
            gone = thread.turns.pop(run_id)
            for turn in list(thread.turns.values()):
                if turn.follows == run_id:
                    thread.turns[turn.run_id] = attrs.evolve(turn, follows=gone.follows)


class TurnsExpireWithTheirRun(Opened):
    async def expire(self, retention: Retention) -> Sequence[str]:
        every = {run_id: self.thread_with(run_id) for run_id in self._runs}
        removed = await super().expire(retention)
        for run_id in removed:
            if (thread := every[run_id]) is not None:
                thread.turns[run_id] = attrs.evolve(thread.turns[run_id], data=b"")
        return removed


class ThreadsExpireWithTheirRuns(Opened):
    async def expire(self, retention: Retention) -> Sequence[str]:
        removed = await super().expire(retention)
        for key in list(self._threads._threads):
            if not any(
                run.log.closed and run.record.in_thread(*key) for run in self._runs.values()
            ):
                del self._threads._threads[key]
        return removed


class RunsInThreadsStay(Opened):
    async def expire(self, retention: Retention) -> Sequence[str]:
        every = self._finished
        self._finished = type(every)(
            (run_id, run) for run_id, run in every.items() if run.record.thread is None
        )
        removed = await super().expire(retention)
        self._finished |= every
        for run_id in removed:
            self._finished.pop(run_id, None)
        return removed


class Repeated(Opened):
    """Does something when an end is repeated."""

    def repeat(self, append: Append, thread: _Thread) -> None:
        raise NotImplementedError

    def _append(self, append: Append) -> Appended:
        run = self._runs.get(append.run_id)
        closed = run is not None and run.log.closed
        outcome = super()._append(append)
        thread = self.thread_with(append.run_id)
        if closed and outcome is Appended.COMMITTED and append.turn and thread is not None:
            self.repeat(append, thread)
        return outcome


class RefusesToRepeat(Opened):
    def _append(self, append: Append) -> Appended:
        run = self._runs.get(append.run_id)
        if run is not None and run.log.closed and append.turn:
            return Appended.CLOSED
        return super()._append(append)


class AddsAgain(Repeated):
    def repeat(self, append: Append, thread: _Thread) -> None:
        thread.turns[f"{append.run_id} again"] = Turn(append.run_id, None, append.turn)


class CountsAgain(Repeated):
    def repeat(self, append: Append, thread: _Thread) -> None:
        thread.size += len(append.turn)


class FreesAgain(Repeated):
    def repeat(self, append: Append, thread: _Thread) -> None:
        thread.active = None


class MovesBack(Repeated):
    def repeat(self, append: Append, thread: _Thread) -> None:
        thread.head = append.run_id


class UpdatesAgain(Repeated):
    def repeat(self, append: Append, thread: _Thread) -> None:
        self._threads._touch(thread)


class EndsTwice(Opened):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        if outcome is Appended.CLOSED and append.turn:
            self._threads.end(self._runs[append.run_id].record, append.turn)
        return outcome


class OneTurnInABatch(Opened):
    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        first = next((each.run_id for each in batch if each.turn), None)
        return await super().append(
            [
                each
                if each.run_id == first
                else Append(each.run_id, each.fence, each.entries, each.private)
                for each in batch
            ]
        )


class FreesOneOfABatch(Opened):
    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        outcomes = await super().append(batch)
        first = next((each.run_id for each in batch if each.turn), None)
        for each in batch:
            thread = self.thread_with(each.run_id)
            if each.turn and each.run_id != first and thread is not None:
                thread.active = each.run_id
        return outcomes


class NoPages(Opened):
    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        await super().turns(owner, thread, last, limit)
        return list(islice(_back(self._threads._threads[owner, thread].turns, last), limit))


class NoPageForWhatIsBig(Opened):
    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        found = await super().turns(owner, thread, last, limit)
        return [turn for turn in found if len(turn.data) <= PAGE_BYTES]


class CutsWhatIsBig(Opened):
    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        found = await super().turns(owner, thread, last, limit)
        return [attrs.evolve(turn, data=turn.data[:PAGE_BYTES]) for turn in found]


class NobodyIsAnybody(Opened):
    """Takes "" for nobody."""

    async def create(self, record: RunRecord) -> Created:
        return await super().create(attrs.evolve(record, owner=record.owner or None))


class JoinsNames(Opened):
    async def create(self, record: RunRecord) -> Created:
        for (owner, name), thread in self._threads._threads.items():
            other = (owner, name) != (record.owner, record.thread)
            same = f"{owner}:{name}" == f"{record.owner}:{record.thread}"
            if record.thread and other and same and thread.active is not None:
                raise ThreadBusy(record.thread, thread.active)
        return await super().create(record)


class NobodySeesAll(Opened):
    async def threads(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        if owner is None:
            return [each.info() for each in self._threads._threads.values()]
        return await super().threads(owner, before, limit)


class FindsByName(Opened):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        if thread is None:
            return await super().find(owner, before, limit)
        found = await super().find(None, before, 1000)
        return [info for info in found if info.record.thread == thread][:limit]


class FindsWithoutName(Opened):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        return await super().find(owner, before, limit, None if owner == "me" else thread)


class FindsForNobody(Opened):
    """Where there is no owner, a thread is anybody's."""

    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        if owner is not None:
            return await super().find(owner, before, limit, thread)
        found = await super().find(None, before, limit)
        return [info for info in found if thread in (None, info.record.thread)]


class FindsOldestFirst(Opened):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        found = await super().find(owner, before, limit, thread)
        return found if thread is None else list(reversed(found))


class FindsOneMore(Opened):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        return await super().find(owner, before, limit + (thread is not None), thread)


class FindsFromTheFirst(Opened):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        return await super().find(owner, before if thread is None else None, limit, thread)


class FindsOtherThings(Opened):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        found = await super().find(owner, before, limit, thread)
        return [attrs.evolve(info, viewers=int(thread is not None)) for info in found]


class RemovesByName(Opened):
    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        removed = await super().delete_thread(owner, thread)
        for key in [key for key in self._threads._threads if key[1] == thread]:
            self._threads.remove(key)
        return removed


class RemovesWhatIsNotThere(Opened):
    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        try:
            return await super().delete_thread(owner, thread)
        except UnknownThread:
            return []


class ListsByName(Opened):
    async def threads(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        found = await super().threads(owner, before, limit)
        return sorted(found, key=lambda info: info.thread)


class CoarseClock(Opened):
    """Everything happens in one moment."""

    async def thread(self, owner: str | None, thread: str) -> ThreadInfo:
        return self.coarse(await super().thread(owner, thread))

    def coarse(self, info: ThreadInfo) -> ThreadInfo:
        return attrs.evolve(info, updated_at=info.updated_at // DAY * DAY)

    def key(self, info: ThreadInfo) -> tuple[int, object]:
        return info.cursor

    async def threads(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        found = [self.coarse(info) for info in await super().threads(owner, None, 1000)]
        found.sort(key=self.key, reverse=True)
        return [info for info in found if self.is_behind(info, before)][:limit]

    def is_behind(self, info: ThreadInfo, before: ThreadCursor | None) -> bool:
        return before is None or info.cursor < before


class ListsLikePeople(CoarseClock):
    def key(self, info: ThreadInfo) -> tuple[int, object]:
        return info.updated_at, info.thread.lower()


class ListsLikeUtf16(CoarseClock):
    def key(self, info: ThreadInfo) -> tuple[int, object]:
        return info.updated_at, info.thread.encode("utf-16-be")


class SkipsTheMoment(CoarseClock):
    def is_behind(self, info: ThreadInfo, before: ThreadCursor | None) -> bool:
        return before is None or info.updated_at < before[0]


class ListsBeyond(Opened):
    async def threads(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        return await super().threads(owner, before, limit + 1)


class ListsFromTheFirst(Opened):
    async def threads(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        return await super().threads(owner, None, limit)


class ListsThePlaceAgain(Opened):
    async def threads(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        place = None if before is None else (before[0], f"{before[1]}\0")
        return await super().threads(owner, place, limit)


class KnowsItsPlace(Opened):
    async def threads(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        every = [info.cursor for info in await super().threads(owner, None, 1000)]
        if before not in (None, *every):
            return []
        return await super().threads(owner, before, limit)


class NewHeadsAreNoNews(Opened):
    """Lists tell of the head that was there when the run began."""

    async def threads(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        found = await super().threads(owner, before, limit)
        return [attrs.evolve(info, turns=min(info.turns, 1)) for info in found]


class BeginningIsNoUse(Opened):
    async def create(self, record: RunRecord) -> Created:
        thread = self._threads._threads.get((record.owner, record.thread or ""))
        at = 0 if thread is None else thread.updated_at
        created = await super().create(record)
        if thread is not None and created.lease is not None:
            thread.updated_at = at
        return created


class EndingIsNoUse(Opened):
    def _append(self, append: Append) -> Appended:
        thread = self.thread_with(append.run_id)
        at = 0 if thread is None else thread.updated_at
        outcome = super()._append(append)
        if thread is not None:
            thread.updated_at = at
        return outcome


class EndingWithoutATurnIsNoUse(Opened):
    def _append(self, append: Append) -> Appended:
        thread = self.thread_with(append.run_id)
        at = 0 if thread is None else thread.updated_at
        outcome = super()._append(append)
        if thread is not None and not append.turn:
            thread.updated_at = at
        return outcome


class UpdatesWithEveryEvent(Opened):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        thread = self.thread_with(append.run_id)
        if thread is not None and not append.terminal:
            self._threads._touch(thread)
        return outcome


class UpdatesWithDeliveries(Opened):
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        outcome = await super().deliver(run_id, key, data)
        if (thread := self.thread_with(run_id)) is not None:
            self._threads._touch(thread)
        return outcome


class UpdatesWithRemovals(Opened):
    async def delete(self, run_id: str) -> None:
        thread = self.thread_with(run_id)
        await super().delete(run_id)
        if thread is not None:
            self._threads._touch(thread)


BROKEN: dict[type[MemoryStore], str] = {
    OldestTurnFirst: "from the last back to the first",
    OneTurnMore: "turns are at most `limit`",
    OneTurnForEver: "turns are at most `limit`",
    TurnsAreALine: "turns are a tree",
    FollowsTheHead: "turns are a tree",
    ChangesBytes: "from the last back to the first",
    KnowsAllTurns: "has no turn in the thread is unknown",
    KnowsAllThreads: "there must be a thread",
    FindsTurnsAnywhere: "has no turn in the thread is unknown",
    CountsTheWay: "all turns are counted",
    MeasuresTheLast: "the size of a thread",
    TurnsGoWithTheirRun: "stays when its run is removed",
    TurnsExpireWithTheirRun: "stays when its run expires",
    ThreadsExpireWithTheirRuns: "there is no thread 't'",
    RunsInThreadsStay: "runs in threads expire as others do",
    RefusesToRepeat: "to repeat an end is a success",
    AddsAgain: "adds its turn once",
    CountsAgain: "adds its turn once",
    FreesAgain: "frees the thread from nobody else",
    MovesBack: "does not move the head back",
    EndsTwice: "a run that has ended adds nothing",
    OneTurnInABatch: "there is no thread 'a'",
    FreesOneOfABatch: "each end of a batch frees its thread",
    NoPages: "a page of turns is at most `PAGE_BYTES`",
    NoPageForWhatIsBig: "a page has at least one turn",
    CutsWhatIsBig: "pages of turns are whole",
    NobodyIsAnybody: "is active in the thread 't'",
    JoinsNames: "is active in the thread 'c'",
    NobodySeesAll: "an owner sees only his threads",
    FindsByName: "a thread's runs are those of one owner",
    FindsWithoutName: "newest first",
    FindsForNobody: "a thread's runs are those of one owner",
    FindsOldestFirst: "newest first",
    FindsOneMore: "a thread's runs are at most `limit`",
    FindsFromTheFirst: "a thread's runs are listed behind `before`",
    FindsOtherThings: "a thread's runs are told of as `info` does",
    RemovesByName: "there is no thread 't'",
    RemovesWhatIsNotThere: "removes none",
    ListsByName: "of one moment, the last by name comes first",
    ListsLikePeople: "of one moment, the last by name comes first",
    ListsLikeUtf16: "of one moment, the last by name comes first",
    SkipsTheMoment: "pages of threads follow each other",
    ListsBeyond: "threads are at most `limit`",
    ListsFromTheFirst: "pages of threads go on behind their place",
    ListsThePlaceAgain: "pages of threads go on behind their place",
    KnowsItsPlace: "a place in the list stays",
    NewHeadsAreNoNews: "lists tell of threads as `thread` does",
    CoarseClock: "the thread that was used last comes first",
    BeginningIsNoUse: "who begins a run uses its thread",
    EndingIsNoUse: "who ends a run uses its thread",
    EndingWithoutATurnIsNoUse: "that adds no turn, too",
    UpdatesWithEveryEvent: "is no news of its thread",
    UpdatesWithDeliveries: "is no news of its thread",
    UpdatesAgain: "not when an end is repeated or removed",
    UpdatesWithRemovals: "a thread outlives its runs|not when an end is repeated or removed",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_a_broken_store_is_found(
    broken: type[MemoryStore], autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises(Exception, match=BROKEN[broken]):
        await check_broken(broken, TURN_CHECKS)
