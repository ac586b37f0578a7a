"""The kit finds stores whose logs break the contract, and says which sentence."""

from collections.abc import Sequence

import attrs
import pytest
import trio
import trio.testing
from store_kit import check_broken

from trio_agent._errors import KeyReused, LimitExceeded, UnknownRun
from trio_agent._log.log import Append, Appended, Log
from trio_agent._log.run_info import RunInfo, RunRecord
from trio_agent._log.store import Created, Lease, Page
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing._check_log import LOG_CHECKS, hold, raises


class LosesMetadata(MemoryStore):
    async def create(self, record: RunRecord) -> Created:
        return await super().create(attrs.evolve(record, metadata={}))


class TellsSecrets(MemoryStore):
    async def info(self, run_id: str) -> RunInfo:
        info = await super().info(run_id)
        private = self._get(run_id).log.private[0]
        return attrs.evolve(info, record=attrs.evolve(info.record, private=private))


class SharesKeys(MemoryStore):
    async def create(self, record: RunRecord) -> Created:
        created = await super().create(attrs.evolve(record, owner=None))
        self._runs[created.run_id].record = record.told()
        return created


class IgnoresFences(MemoryStore):
    def _append(self, append: Append) -> Appended:
        if (run := self._runs.get(append.run_id)) is not None:
            append = Append(append.run_id, run.log.fence, append.entries)
        return super()._append(append)


class Repeats(MemoryStore):
    def _append(self, append: Append) -> Appended:
        run = self._runs.get(append.run_id)
        if run is not None and append.first_offset <= run.log.tail:
            run.log.entries.extend(append.entries)
        return super()._append(append)


class NeverCloses(MemoryStore):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        if (run := self._runs.get(append.run_id)) is not None:
            run.log.closed = False
        return outcome


class AllOrNothing(MemoryStore):
    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        outcomes: list[Appended] = []
        for append in batch:
            [outcome] = await super().append([append])
            outcomes.append(outcome)
            if outcome is not Appended.COMMITTED:
                break
        return [*outcomes, *([Appended.GAP] * (len(batch) - len(outcomes)))]


class ReadsTooMuch(MemoryStore):
    async def read(self, run_id: str, after: int, limit: int) -> Page:
        return await super().read(run_id, after, limit + 1)


class OldestFirst(MemoryStore):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        return list(reversed(await super().find(owner, before, limit, thread)))


class UsesIdsTwice(MemoryStore):
    async def create(self, record: RunRecord) -> Created:
        if record.idempotency_key is None:
            self._runs.pop(record.run_id, None)
        return await super().create(record)


class EmptiesWhatIsTaken(MemoryStore):
    async def create(self, record: RunRecord) -> Created:
        try:
            return await super().create(record)
        except LimitExceeded:
            self._runs[record.run_id].log = Log(fence=1)
            raise


class ForgetsKeys(MemoryStore):
    async def create(self, record: RunRecord) -> Created:
        self._by_key.clear()
        return await super().create(record)


class ComparesNothing(MemoryStore):
    async def create(self, record: RunRecord) -> Created:
        created = await super().create(attrs.evolve(record, digest=""))
        if created.lease is not None:
            self._runs[created.run_id].record = record.told()
        return created


class ComparesWithNothing(MemoryStore):
    async def create(self, record: RunRecord) -> Created:
        key = record.owner, record.idempotency_key
        known = self._by_key.get(key)
        if known is not None and self._runs[known].record.digest != record.digest:
            raise KeyReused("another")
        return await super().create(record)


class LooksUpOthers(MemoryStore):
    async def lookup(self, record: RunRecord) -> str | None:
        return await super().lookup(attrs.evolve(record, owner=None))


class ClaimsNothing(MemoryStore):
    async def create(self, record: RunRecord) -> Created:
        created = await super().create(record)
        return created if record.idempotency_key else Created(created.run_id, None)


class TakesOldFences(MemoryStore):
    def _append(self, append: Append) -> Appended:
        run = self._runs.get(append.run_id)
        if run is not None and append.fence < run.log.fence:
            append = Append(append.run_id, run.log.fence, append.entries)
        return super()._append(append)


class SkipsGaps(MemoryStore):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        return Appended.COMMITTED if outcome is Appended.GAP else outcome


class WritesWhatItRefuses(MemoryStore):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        if outcome is Appended.FENCED:
            run = self._runs[append.run_id]
            run.log.entries += Append(append.run_id, run.log.fence, append.entries).entries
        return outcome


class TakesForeigners(MemoryStore):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        return Appended.GAP if outcome is Appended.UNKNOWN else outcome


class RefusesRepetitions(MemoryStore):
    def _append(self, append: Append) -> Appended:
        run = self._runs.get(append.run_id)
        if run is not None and append.fence == run.log.fence and append.last_offset <= run.log.tail:
            return Appended.GAP
        return super()._append(append)


class SaysTooLittle(MemoryStore):
    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        return list(dict.fromkeys(await super().append(batch)))


class ClosedIsAGap(MemoryStore):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        return Appended.GAP if outcome is Appended.CLOSED else outcome


class CountsCharacters(MemoryStore):
    async def info(self, run_id: str) -> RunInfo:
        info = await super().info(run_id)
        return attrs.evolve(info, size=info.size - (info.tail > 0))


class CountsTheLogOnly(MemoryStore):
    async def info(self, run_id: str) -> RunInfo:
        info = await super().info(run_id)
        return attrs.evolve(info, size=info.size - info.record.size)


class ReadsWithoutABound(MemoryStore):
    async def read(self, run_id: str, after: int, limit: int) -> Page:
        page = await super().read(run_id, after, limit)
        return attrs.evolve(page, entries=self._get(run_id).log.entries[after : after + limit])


class ReadsNothingBig(MemoryStore):
    async def read(self, run_id: str, after: int, limit: int) -> Page:
        page = await super().read(run_id, after, limit)
        small = [entry for entry in page.entries if len(entry.data) < 1_000_000]
        return attrs.evolve(page, entries=small)


class ListsWithoutABound(MemoryStore):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        found = list(await super().find(owner, before, limit, thread))
        while found and len(found) < limit:
            more = await super().find(owner, found[-1].record.run_id, limit - len(found), thread)
            if not more:
                break
            found += more
        return found


class ListsNothingBig(MemoryStore):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        found = await super().find(owner, before, limit, thread)
        return [info for info in found if info.record.size < 1_000_000]


class ClaimsTheDead(MemoryStore):
    async def claim(self, run_id: str) -> Lease | None:
        if self._get(run_id).log.closed:
            return Lease(run_id, 2)
        return await super().claim(run_id)


class CancelsTheDead(MemoryStore):
    async def request_cancel(self, run_id: str, reason: str) -> None:
        self._get(run_id).cancel_reason = reason


class PromisesOnly(MemoryStore):
    def append_nowait(self, batch: Sequence[Append]) -> Sequence[Appended]:
        return [Appended.COMMITTED for _ in batch]

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        await trio.lowlevel.checkpoint()
        return super().append_nowait(batch)


class BlocksTooLate(MemoryStore):
    def append_nowait(self, batch: Sequence[Append]) -> Sequence[Appended]:
        super().append_nowait(batch)
        raise trio.WouldBlock

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        await trio.lowlevel.checkpoint()
        return super().append_nowait(batch)


class ReadsFromTheBeginning(MemoryStore):
    async def read(self, run_id: str, after: int, limit: int) -> Page:
        return await super().read(run_id, 0, limit)


class TellsTheTailOfThePage(MemoryStore):
    async def read(self, run_id: str, after: int, limit: int) -> Page:
        page = await super().read(run_id, after, limit)
        return attrs.evolve(page, tail=page.entries[-1].offset if page.entries else page.tail)


class ReadsBehindTheTail(MemoryStore):
    async def read(self, run_id: str, after: int, limit: int) -> Page:
        tail = self._get(run_id).log.tail
        return await super().read(run_id, min(after, max(tail - 1, 0)), limit)


class ShowsAllOwners(MemoryStore):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        return await super().find(None, before, limit, thread)


class FindsTooMuch(MemoryStore):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        return await super().find(owner, before, limit + 1, thread)


class BeginsAnew(MemoryStore):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        return await super().find(owner, None, limit, thread)


class ListsOtherThings(MemoryStore):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        found = await super().find(owner, before, limit, thread)
        return [attrs.evolve(info, viewers=info.viewers + 1) for info in found]


class ListsBehindNobody(MemoryStore):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        if before is not None and before not in self._runs:
            return []
        return await super().find(owner, before, limit, thread)


BROKEN: dict[type[MemoryStore], str] = {
    LosesMetadata: "keeps its record",
    TellsSecrets: "keeps its record",
    UsesIdsTwice: "an id is used once: LimitExceeded was not raised",
    EmptiesWhatIsTaken: "an id that is taken leaves its run alone",
    ClaimsNothing: "create claims the new run",
    ForgetsKeys: "a key that is taken finds its run",
    ComparesNothing: "not for another request: KeyReused was not raised",
    ComparesWithNothing: "another",
    LooksUpOthers: "this owner with this key",
    SharesKeys: "id of the new run",
    IgnoresFences: "a fence that is too high",
    TakesOldFences: "a fence that is too low",
    SkipsGaps: "a gap is refused\n",
    Repeats: "an overlap is refused",
    WritesWhatItRefuses: "too high is refused, and changes nothing",
    TakesForeigners: "an unknown run is refused",
    RefusesRepetitions: "what fits is committed",
    SaysTooLittle: "one outcome for each Append",
    NeverCloses: "terminal|without a gap|what fits",
    ClosedIsAGap: "closed is closed",
    CountsCharacters: "size is bytes of JSON",
    CountsTheLogOnly: "a new run is empty",
    ReadsWithoutABound: "a page holds at most",
    ReadsNothingBig: "pages follow each other",
    ListsWithoutABound: "a list holds at most",
    ListsNothingBig: "lists follow each other",
    ClaimsTheDead: "a finished run can't be claimed",
    CancelsTheDead: "a finished run can't be cancelled",
    AllOrNothing: "has its own outcome",
    PromisesOnly: "has committed when it returns",
    BlocksTooLate: "WouldBlock means that nothing was done",
    ReadsTooMuch: "at most `limit`",
    ReadsFromTheBeginning: "a page begins behind `after`",
    TellsTheTailOfThePage: "every page tells the tail",
    ReadsBehindTheTail: "behind the tail there is nothing",
    OldestFirst: "newest first",
    ShowsAllOwners: "an owner sees only his runs",
    FindsTooMuch: "^at most `limit`",
    BeginsAnew: "behind `before`",
    ListsOtherThings: "as `info` tells it",
    ListsBehindNobody: "`before` is a run",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_a_broken_store_is_found(
    broken: type[MemoryStore], autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises((AssertionError, KeyReused, UnknownRun), match=BROKEN[broken]) as caught:
        await check_broken(broken)
    [note] = caught.value.__notes__
    assert note in {f"in {check.__name__}" for check in LOG_CHECKS}


def test_what_holds_passes_and_what_does_not_says_so() -> None:
    hold([1], "there is one")
    nothings: list[object] = [False, None, []]
    for nothing in nothings:
        with pytest.raises(AssertionError, match=r"^there is one$"):
            hold(nothing, "there is one")


async def test_what_must_be_raised() -> None:
    async with raises(UnknownRun, "there is no such run"):
        raise UnknownRun("r")
    with pytest.raises(AssertionError, match=r"no such run: UnknownRun was not raised$"):
        async with raises(UnknownRun, "there is no such run"):
            pass
    with pytest.raises(ZeroDivisionError):
        async with raises(UnknownRun, "there is no such run"):
            raise ZeroDivisionError
