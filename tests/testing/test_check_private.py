"""The kit finds stores that keep what is beside a log otherwise than they should."""

from collections.abc import Mapping, Sequence

import attrs
import pytest
import trio
import trio.testing
from store_kit import check_broken

from trio_agent._errors import UnknownBlob
from trio_agent._log.log import Append, Appended, Entry
from trio_agent._log.run_info import RunInfo, RunRecord
from trio_agent._log.store import Created, Page
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing._check_private import PRIVATE_CHECKS


class LosesWhatTheRecordBrought(MemoryStore):
    async def create(self, record: RunRecord) -> Created:
        created = await super().create(record)
        self._runs[created.run_id].log.private.clear()
        return created


class SortsOffsets(MemoryStore):
    async def read_private(self, run_id: str, offsets: Sequence[int]) -> Sequence[bytes]:
        return await super().read_private(run_id, sorted(offsets))


class LeavesOutWhatIsEmpty(MemoryStore):
    async def read_private(self, run_id: str, offsets: Sequence[int]) -> Sequence[bytes]:
        found = await super().read_private(run_id, offsets)
        return [data for data in found if data]


class LosesPrivates(MemoryStore):
    def _append(self, append: Append) -> Appended:
        return super()._append(Append(append.run_id, append.fence, append.entries))


class SharesPrivates(MemoryStore):
    """By the offset alone."""

    def __init__(self, *, lease: float) -> None:
        super().__init__(lease=lease)
        self.of_all: dict[int, bytes] = {}

    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        if outcome is Appended.COMMITTED:
            self.of_all |= append.private
        return outcome

    async def read_private(self, run_id: str, offsets: Sequence[int]) -> Sequence[bytes]:
        log = self._get(run_id).log
        log.private = {**self.of_all, 0: log.private[0]}
        return await super().read_private(run_id, offsets)


class TellsReaders(MemoryStore):
    async def read(self, run_id: str, after: int, limit: int) -> Page:
        page = await super().read(run_id, after, limit)
        private = self._get(run_id).log.private
        entries = [
            Entry(e.offset, e.data + private.get(e.offset, b""), e.terminal) for e in page.entries
        ]
        return attrs.evolve(page, entries=entries)


class TakesGaps(MemoryStore):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        return Appended.COMMITTED if append.private and outcome is Appended.GAP else outcome


class KeepsOf(MemoryStore):
    """Keeps what is private of appends that have this outcome, and change nothing."""

    outcome: Appended

    def _append(self, append: Append) -> Appended:
        run = self._runs.get(append.run_id)
        tail = 0 if run is None else run.log.tail
        outcome = super()._append(append)
        if run is not None and outcome is self.outcome and run.log.tail == tail:
            run.log.private |= append.private
        return outcome


class KeepsOfGaps(KeepsOf):
    outcome = Appended.GAP


class KeepsOfStrangers(KeepsOf):
    outcome = Appended.FENCED


class KeepsOfRepetitions(KeepsOf):
    outcome = Appended.COMMITTED


class KeepsAFew(MemoryStore):
    def _append(self, append: Append) -> Appended:
        run = self._runs.get(append.run_id)
        if run is not None and len(run.log.private) > 2:
            append = Append(append.run_id, append.fence, append.entries)
        return super()._append(append)


class ForgetsAtTheEnd(MemoryStore):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        if append.terminal:
            self._runs[append.run_id].log.private.clear()
            self._runs[append.run_id].blobs = dict.fromkeys(self._runs[append.run_id].blobs, b"")
        return outcome


class ForgetsFilesAtTheEnd(MemoryStore):
    def _append(self, append: Append) -> Appended:
        outcome = super()._append(append)
        if append.terminal:
            self._runs[append.run_id].blobs = dict.fromkeys(self._runs[append.run_id].blobs, b"")
        return outcome


def with_secrets(info: RunInfo, private: Mapping[int, bytes]) -> RunInfo:
    return attrs.evolve(info, record=attrs.evolve(info.record, private=private[0]))


class TellsFiles(MemoryStore):
    async def info(self, run_id: str) -> RunInfo:
        info = await super().info(run_id)
        record = attrs.evolve(info.record, blobs=self._get(run_id).blobs)
        return attrs.evolve(info, record=record)


class ListsSecrets(MemoryStore):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        found = await super().find(owner, before, limit, thread)
        return [
            with_secrets(info, self._get(info.record.run_id).log.private) if owner == "me" else info
            for info in found
        ]


class CountsNoFiles(MemoryStore):
    async def info(self, run_id: str) -> RunInfo:
        info = await super().info(run_id)
        files = sum(map(len, self._get(run_id).blobs.values()))
        return attrs.evolve(info, size=info.size - files)


class CountsNoPrivates(MemoryStore):
    async def info(self, run_id: str) -> RunInfo:
        info = await super().info(run_id)
        private = self._get(run_id).log.private
        beside = sum(len(data) for offset, data in private.items() if offset)
        return attrs.evolve(info, size=info.size - beside)


class ListsOtherSizes(MemoryStore):
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        found = await super().find(owner, before, limit, thread)
        if any(len(self._get(info.record.run_id).log.private) > 1 for info in found):
            found = [attrs.evolve(info, size=0) for info in found]
        return found


class ReadsWithoutABound(MemoryStore):
    async def read_private(self, run_id: str, offsets: Sequence[int]) -> Sequence[bytes]:
        private = self._get(run_id).log.private
        return [private.get(offset, b"") for offset in offsets]


class ReadsNothingBig(MemoryStore):
    async def read_private(self, run_id: str, offsets: Sequence[int]) -> Sequence[bytes]:
        found = await super().read_private(run_id, offsets)
        return [data for data in found if len(data) < 1_000_000]


class CutsWhatIsBig(MemoryStore):
    async def read_private(self, run_id: str, offsets: Sequence[int]) -> Sequence[bytes]:
        found = await super().read_private(run_id, offsets)
        return [data[:1_000_000] for data in found]


class CutsFiles(MemoryStore):
    async def read_blob(self, run_id: str, digest: str) -> bytes:
        return (await super().read_blob(run_id, digest))[: 1 << 20]


class FindsNoEmptyFile(MemoryStore):
    async def read_blob(self, run_id: str, digest: str) -> bytes:
        data = await super().read_blob(run_id, digest)
        if not data:
            raise UnknownBlob(run_id, digest)
        return data


class UnknownIsEmpty(MemoryStore):
    async def read_blob(self, run_id: str, digest: str) -> bytes:
        try:
            return await super().read_blob(run_id, digest)
        except UnknownBlob:
            return b""


class SharesFiles(MemoryStore):
    """By the digest alone."""

    async def read_blob(self, run_id: str, digest: str) -> bytes:
        for run in self._runs.values():
            if digest in run.blobs:
                self._get(run_id).blobs = run.blobs
        return await super().read_blob(run_id, digest)


class AddsToWhatItFinds(MemoryStore):
    async def create(self, record: RunRecord) -> Created:
        created = await super().create(record)
        run = self._runs[created.run_id]
        run.blobs = {**run.blobs, **record.blobs}
        return created


class KeepsFilesByKey(MemoryStore):
    """Behind the end of their run, too."""

    def __init__(self, *, lease: float) -> None:
        super().__init__(lease=lease)
        self.kept: dict[str, Mapping[str, bytes]] = {}

    async def create(self, record: RunRecord) -> Created:
        created = await super().create(record)
        if created.lease is not None and record.idempotency_key is not None:
            kept = self.kept.setdefault(record.idempotency_key, dict(record.blobs))
            self._runs[created.run_id].blobs = kept
        return created


BROKEN: dict[type[MemoryStore], str] = {
    LosesWhatTheRecordBrought: "offset 0 has what the record brought",
    SortsOffsets: "in the order of the offsets",
    LeavesOutWhatIsEmpty: "empty where there is nothing",
    LosesPrivates: "in the order of the offsets",
    SharesPrivates: "what is private is of one run",
    TellsReaders: "entries are what they were",
    TakesGaps: "a gap is gap",
    KeepsOfGaps: "a gap changes nothing private",
    KeepsOfStrangers: "a stranger changes nothing private",
    KeepsOfRepetitions: "what is committed changes nothing private",
    KeepsAFew: "the log goes on",
    ForgetsAtTheEnd: "it is there to the end",
    TellsFiles: "`info` tells nothing private",
    ListsSecrets: "lists tell nothing private",
    CountsNoFiles: "what is given at first is counted",
    CountsNoPrivates: "what is private is counted",
    ListsOtherSizes: "lists tell what is counted",
    ReadsWithoutABound: "a page holds at most",
    ReadsNothingBig: "which aren't empty",
    CutsWhatIsBig: "pages are whole",
    CutsFiles: "a file is what it was",
    FindsNoEmptyFile: "was given no file",
    UnknownIsEmpty: "that it was given: UnknownBlob was not raised",
    SharesFiles: "that it was given: UnknownBlob was not raised",
    AddsToWhatItFinds: "adds nothing to it",
    ForgetsFilesAtTheEnd: "files stay as long as their run",
    KeepsFilesByKey: "no files of one that was removed",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_a_broken_store_is_found(
    broken: type[MemoryStore], autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises((AssertionError, UnknownBlob), match=BROKEN[broken]):
        await check_broken(broken, PRIVATE_CHECKS)
