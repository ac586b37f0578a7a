"""The kit finds stores that remove threads when they should not, or do not, or by halves."""

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import attrs
import pytest
import trio
import trio.testing
from store_kit import check_broken

from trio_agent._errors import ThreadBusy
from trio_agent._limits import Retention
from trio_agent._log.log import Append, Appended
from trio_agent._log.run_info import RunRecord
from trio_agent._log.store import Created
from trio_agent._log.surplus import Idle
from trio_agent.stores._memory import MemoryStore
from trio_agent.stores._memory_threads import Threads, _Key
from trio_agent.testing._check_thread_removal import REMOVAL_CHECKS


class LeavesItsRuns(MemoryStore):
    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        self._threads.remove((owner, thread))
        return [i for i, run in self._runs.items() if run.record.in_thread(owner, thread)]


class LeavesARun(MemoryStore):
    """Removes those only that have a turn."""

    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        turns = self._threads._get(owner, thread).turns
        kept = {i: run for i, run in self._finished.items() if i not in turns}
        removed = await super().delete_thread(owner, thread)
        for run_id, run in kept.items():
            self._runs[run_id] = self._finished[run_id] = run
        return removed


class TellsOfNone(MemoryStore):
    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        await super().delete_thread(owner, thread)
        return []


class TellsOfAllTurns(MemoryStore):
    """Tells of runs, too, that were removed before."""

    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        turns = list(self._threads._get(owner, thread).turns)
        return list({*turns, *await super().delete_thread(owner, thread)})


class RemovesInSilence(MemoryStore):
    quiet = False

    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        self.quiet = True
        try:
            return await super().delete_thread(owner, thread)
        finally:
            self.quiet = False

    def _changed(self, run_id: str, *, log: bool = False) -> None:
        if not self.quiet:
            super()._changed(run_id, log=log)


class RemovesAllOfAnOwner(MemoryStore):
    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        removed = await super().delete_thread(owner, thread)
        for run_id in [i for i, run in self._finished.items() if run.record.owner == owner]:
            self._remove(run_id)
        return removed


class EmptiesOnly(MemoryStore):
    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        kept = self._threads._get(owner, thread)
        removed = await super().delete_thread(owner, thread)
        kept.turns, kept.head = {}, None
        self._threads._threads[owner, thread] = kept
        return removed


class BringsTurnsBack(MemoryStore):
    """Leaves turns behind, for whoever takes the name next."""

    kept: tuple[str | None, object] = (None, None)

    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        turns = self._threads._get(owner, thread).turns
        removed = await super().delete_thread(owner, thread)
        self.kept = thread, turns
        return removed

    async def create(self, record: RunRecord) -> Created:
        created = await super().create(record)
        name, turns = self.kept
        if record.thread is not None and record.thread == name:
            self._threads._get(record.owner, name).turns = turns  # type: ignore[assignment]
        return created


class RemovesTheBusy(MemoryStore):
    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        self._threads._get(owner, thread).active = None
        return await super().delete_thread(owner, thread)


class RemovesTurnsAndThenRefuses(MemoryStore):
    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        try:
            return await super().delete_thread(owner, thread)
        except ThreadBusy:
            found = self._threads._get(owner, thread)
            found.turns = {run_id: attrs.evolve(turn) for run_id, turn in found.turns.items()}
            found.turns.clear()
            raise


class RemovesRunsAndThenRefuses(MemoryStore):
    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        try:
            return await super().delete_thread(owner, thread)
        except ThreadBusy:
            for run_id in [
                i for i, run in self._finished.items() if run.record.in_thread(owner, thread)
            ]:
                self._remove(run_id)
            raise


class HasThreads(MemoryStore):
    """Has others than a store should."""

    kind: type[Threads] = Threads

    def __init__(self, *, lease: float) -> None:
        super().__init__(lease=lease)
        self._threads = self.kind()


class TakesTheBusy(MemoryStore):
    async def expire(self, retention: Retention) -> Sequence[str]:
        every = [(thread, thread.active) for thread in self._threads._threads.values()]
        for thread, _ in every:
            thread.active = None
        removed = await super().expire(retention)
        for thread, active in every:
            thread.active = active
        return removed


class NeverOld(MemoryStore):
    async def expire(self, retention: Retention) -> Sequence[str]:
        return await super().expire(attrs.evolve(retention, thread_seconds=math.inf))


class AsOldAsRuns(MemoryStore):
    async def expire(self, retention: Retention) -> Sequence[str]:
        seconds = min(retention.seconds, retention.thread_seconds)
        return await super().expire(attrs.evolve(retention, thread_seconds=seconds))


class RunsAsOldAsThreads(MemoryStore):
    async def expire(self, retention: Retention) -> Sequence[str]:
        seconds = min(retention.seconds, retention.thread_seconds)
        return await super().expire(attrs.evolve(retention, seconds=seconds))


class AgesFromTheFirst(HasThreads):
    class kind(Threads):  # noqa: N801
        def end(self, record: RunRecord, data: bytes) -> None:
            thread = self._threads.get((record.owner, record.thread or ""))
            first = thread is None or not thread.turns
            since = 0.0 if thread is None else thread.idle_since
            super().end(record, data)
            if not first and thread is not None:
                thread.idle_since = since

        def begin(self, record: RunRecord) -> None:
            thread = self._threads.get((record.owner, record.thread or ""))
            since = None if thread is None else thread.idle_since
            super().begin(record)
            if thread is not None and since is not None:
                thread.idle_since = since


class TakesRunsWithThreads(MemoryStore):
    async def expire(self, retention: Retention) -> Sequence[str]:
        before = set(self._threads._threads)
        removed = list(await super().expire(retention))
        for key in before - set(self._threads._threads):
            for run_id in [i for i, run in self._finished.items() if run.record.in_thread(*key)]:
                self._remove(run_id)
                removed.append(run_id)
        return removed


class LeavesNames(MemoryStore):
    """Removes the turns of what has expired, and not the thread."""

    async def expire(self, retention: Retention) -> Sequence[str]:
        every = dict(self._threads._threads)
        removed = await super().expire(retention)
        for key in set(every) - set(self._threads._threads):
            empty = attrs.evolve(every[key], turns={}, head=None, size=0)
            self._threads._threads[key] = empty
            self._threads._of.setdefault(key[0], OrderedDict())[key[1]] = empty
        return removed


class CountsNothing(HasThreads):
    class kind(Threads):  # noqa: N801
        size = property(lambda self: 0, lambda self, value: None)  # type: ignore[assignment]


class CountsWhatIsInUse(HasThreads):
    class kind(Threads):  # noqa: N801
        size = property(  # type: ignore[assignment]
            lambda self: sum(each.size for each in self._threads.values()),
            lambda self, value: None,
        )


class LeavesRunsWithoutAThread(MemoryStore):
    """Knows only of threads that are there."""

    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        await self.thread(owner, thread)
        return await super().delete_thread(owner, thread)


class OrdersByBytes(MemoryStore):
    """Looks at idle threads in another order where it is about bytes."""

    def order(self, idle: list[Idle[_Key]]) -> list[Idle[_Key]]:
        raise NotImplementedError

    async def expire(self, retention: Retention) -> Sequence[str]:
        every = self._threads.idle
        if retention.thread_seconds == math.inf:
            self._threads.idle = (  # type: ignore[method-assign]
                lambda owner=None: iter(self.order(list(every(owner))))
            )
        removed = await super().expire(retention)
        self._threads.idle = every  # type: ignore[method-assign]
        return removed


class TakesTheYoungest(OrdersByBytes):
    def order(self, idle: list[Idle[_Key]]) -> list[Idle[_Key]]:
        times = [each.since for each in idle]
        return [
            attrs.evolve(each, since=since)
            for each, since in zip(reversed(idle), times, strict=True)
        ]


class TakesThreadsFirst(OrdersByBytes):
    def order(self, idle: list[Idle[_Key]]) -> list[Idle[_Key]]:
        return [attrs.evolve(each, since=each.since - 1) for each in idle]


class TakesRunsFirst(MemoryStore):
    def _idle(self, owner: str | None) -> Iterator[Idle[str]]:
        for each in super()._idle(owner):
            yield attrs.evolve(each, since=each.since - 0.5)


class CountsWhatIsGone(HasThreads):
    class kind(Threads):  # noqa: N801
        def remove(self, key: _Key) -> None:
            size = self.size
            super().remove(key)
            self.size = size


class TakesAllThreads(MemoryStore):
    """Removes no more runs than needed, and all threads."""

    async def expire(self, retention: Retention) -> Sequence[str]:
        before = self._threads.size
        removed = await super().expire(retention)
        if self._threads.size < before and retention.thread_seconds == math.inf:
            for each in list(self._threads.idle()):
                self._threads.remove(each.key)
        return removed


class TakesARunWithEach(MemoryStore):
    async def expire(self, retention: Retention) -> Sequence[str]:
        before = self._threads.size
        removed = list(await super().expire(retention))
        if self._threads.size < before and self._finished and retention.max_bytes < 1 << 40:
            removed.append(next(iter(self._finished)))
            self._remove(removed[-1])
        return removed


class BoundsNoOwner(HasThreads):
    class kind(Threads):  # noqa: N801
        def sizes(self) -> dict[str, int]:
            return {}


class BoundsNobody(HasThreads):
    class kind(Threads):  # noqa: N801
        def sizes(self) -> dict[str, int]:
            sizes: dict[str | None, int] = {**super().sizes()}
            for (owner, _), thread in self._threads.items():
                if owner is None:
                    sizes[None] = sizes.get(None, 0) + thread.size
            return sizes  # type: ignore[return-value]


class BoundsWhoHasRuns(MemoryStore):
    async def expire(self, retention: Retention) -> Sequence[str]:
        owners = {run.record.owner for run in self._finished.values()}
        every = self._threads.sizes
        self._threads.sizes = lambda: {  # type: ignore[method-assign]
            owner: size for owner, size in every().items() if owner in owners
        }
        removed = await super().expire(retention)
        self._threads.sizes = every  # type: ignore[method-assign]
        return removed


class TakesOfOthers(HasThreads):
    """Removes the oldest thread, whoever's bound is passed."""

    class kind(Threads):  # noqa: N801
        def idle(self, owner: str | None = None) -> Iterator[Idle[_Key]]:
            return super().idle()


class TakesAndThenCreates(MemoryStore):
    async def create(self, record: RunRecord) -> Created:
        if (record.thread or "").startswith("cut") and self._lookup(record) is None:
            self._threads.check(record)
            self._threads.begin(record)
            # For long enough that a cancel comes in between, in whatever order tasks run.
            for _ in range(10):
                await trio.lowlevel.checkpoint()
            del self._threads._threads[record.owner, record.thread or ""]
        return await super().create(record)


class CreatesAndThenTakes(MemoryStore):
    async def create(self, record: RunRecord) -> Created:
        created = await super().create(record)
        if (record.thread or "").startswith("cut"):
            thread = self._threads._threads.pop((record.owner, record.thread or ""))
            for _ in range(10):
                await trio.lowlevel.checkpoint()
            self._threads._threads[thread.owner, thread.name] = thread
        return created


class HalfEnds(MemoryStore):
    """Adds a turn, and then what ends the run."""

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        for each in batch:
            run = self._runs.get(each.run_id)
            if run is not None and not run.log.closed and each.turn == b"turn":
                self._threads.end(run.record, each.turn)
                for _ in range(10):
                    await trio.lowlevel.checkpoint()
                self._threads._get(run.record.owner, run.record.thread or "").turns.clear()
        return await super().append(batch)


class HalfRemoves(MemoryStore):
    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        if not thread.startswith("cut"):
            return await super().delete_thread(owner, thread)
        await trio.lowlevel.checkpoint()
        self._threads.remove((owner, thread))
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        runs = [i for i, run in self._finished.items() if run.record.in_thread(owner, thread)]
        for run_id in runs:
            self._remove(run_id)
        return runs


BROKEN: dict[type[MemoryStore], str] = {
    LeavesItsRuns: "is news of its runs",
    LeavesARun: "a thread is removed with its runs",
    TellsOfNone: "the runs that were left are told",
    TellsOfAllTurns: "the runs that were left are told",
    RemovesInSilence: "is news of its runs",
    RemovesAllOfAnOwner: "runs that are not in the thread stay",
    EmptiesOnly: "a thread that was removed is unknown",
    BringsTurnsBack: "a name that is free begins anew",
    RemovesTheBusy: "a thread in which a run is active stays",
    RemovesTurnsAndThenRefuses: "a removal that is refused changes nothing",
    RemovesRunsAndThenRefuses: "a removal that is refused takes no runs",
    TakesTheBusy: "a thread in which a run is active is kept",
    NeverOld: "no run has ended for too long",
    AsOldAsRuns: "the age of runs is not that of threads",
    RunsAsOldAsThreads: "runs stay until their own time",
    AgesFromTheFirst: "counted from its last run's end",
    TakesRunsWithThreads: "runs stay until their own time",
    LeavesNames: "no run has ended for too long",
    CountsNothing: "bytes of threads count",
    CountsWhatIsInUse: "a thread in use is none of them",
    LeavesRunsWithoutAThread: "there is no thread 't'|there is no thread 'used'",
    TakesTheYoungest: "the oldest goes first",
    TakesThreadsFirst: "of threads and runs together the oldest goes first",
    TakesRunsFirst: "bytes of threads count, and the oldest goes first",
    CountsWhatIsGone: "what was removed counts no more|younger threads stay",
    TakesAllThreads: "of threads and runs no more is removed than needed",
    TakesARunWithEach: "of threads and runs no more is removed than needed",
    BoundsNoOwner: "of an owner with too many bytes, the oldest thread is removed",
    BoundsNobody: "what is within its owner's bound is kept",
    BoundsWhoHasRuns: "who has only threads has a bound",
    TakesOfOthers: "of an owner with too many bytes, the oldest thread is removed",
    TakesAndThenCreates: "there is no run",
    CreatesAndThenTakes: "a creation that was cancelled is whole",
    HalfEnds: "an end that was cancelled is whole",
    HalfRemoves: "a removal is whole, with its runs",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_a_broken_store_is_found(
    broken: type[MemoryStore], autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises(Exception, match=BROKEN[broken]):
        await check_broken(broken, REMOVAL_CHECKS)
