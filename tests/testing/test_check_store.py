"""The kit finds stores that break the contract, and says which sentence."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from store_kit import check_broken

from trio_agent._errors import UnknownBlob, UnknownRun
from trio_agent._limits import Retention
from trio_agent._log.log import Append, Appended
from trio_agent._log.run_info import RunInfo, RunRecord
from trio_agent._log.store import Created, Lease, Store, Watch
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import check_store


class KeepsItsFence(MemoryStore):
    async def claim(self, run_id: str) -> Lease | None:
        lease = await super().claim(run_id)
        if lease is not None:
            self._runs[run_id].log.fence -= 1
            return Lease(run_id, lease.fence - 1)
        return None


class LosesEverything(MemoryStore):
    async def renew(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        await super().renew(leases)
        return leases


class LastReason(MemoryStore):
    async def request_cancel(self, run_id: str, reason: str) -> None:
        await super().request_cancel(run_id, reason)
        self._runs[run_id].cancel_reason = reason


class LastViewers(MemoryStore):
    async def set_viewers(self, run_id: str, worker: str, count: int) -> None:
        await super().set_viewers(run_id, "everybody", count)


class WatchesEverything(MemoryStore):
    @asynccontextmanager
    async def watch(self) -> AsyncIterator[Watch]:
        async with super().watch() as watch:
            watch.discard = lambda run_id: None  # type: ignore[method-assign]
            yield watch


class ChecksByTrying(MemoryStore):
    async def check(self) -> None:
        await self.create(RunRecord(f"probe{len(self._runs)}", "e", "a", 0))


class DeletesAnything(MemoryStore):
    async def delete(self, run_id: str) -> None:
        if not self._get(run_id).log.closed:
            self._finished[run_id] = self._runs[run_id]
            self._remove(run_id)
        else:
            await super().delete(run_id)


class ForgetsAtOnce(MemoryStore):
    def _get(self, run_id: str) -> Any:
        if run_id not in self._runs:
            raise UnknownRun(run_id)
        return super()._get(run_id)


class ExpiresNewest(MemoryStore):
    async def expire(self, retention: Retention) -> Sequence[str]:
        self._finished = type(self._finished)(reversed(self._finished.items()))
        removed = await super().expire(retention)
        self._finished = type(self._finished)(reversed(self._finished.items()))
        return removed


class BoundsNobody(MemoryStore):
    async def expire(self, retention: Retention) -> Sequence[str]:
        return await super().expire(attrs.evolve(retention, owner_bytes=math.inf))


class BoundsAll(MemoryStore):
    """Takes the bound of one owner for that of all together."""

    async def expire(self, retention: Retention) -> Sequence[str]:
        size = min(retention.max_bytes, retention.owner_bytes)
        return await super().expire(attrs.evolve(retention, max_bytes=size))


class OwnsWhatIsNobodys(MemoryStore):
    async def create(self, record: RunRecord) -> Created:
        return await super().create(attrs.evolve(record, owner=record.owner or ""))

    async def info(self, run_id: str) -> RunInfo:
        info = await super().info(run_id)
        return attrs.evolve(info, record=attrs.evolve(info.record, owner=info.record.owner or None))


class HalfAppends(MemoryStore):
    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        for append in batch:
            if append.run_id.startswith("cut") and len(append.entries) == 2:
                first, rest = (
                    Append(append.run_id, append.fence, entries)
                    for entries in (append.entries[:1], append.entries[1:])
                )
                self.append_nowait([first])
                await trio.lowlevel.checkpoint()
                return self.append_nowait([rest])
        return await super().append(batch)


class HalfPrivate(MemoryStore):
    """Commits what is private behind its entries."""

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        if any(append.private and append.run_id.startswith("cut") for append in batch):
            self.append_nowait([Append(each.run_id, each.fence, each.entries) for each in batch])
            await trio.lowlevel.checkpoint()
            for each in batch:
                self._runs[each.run_id].log.private |= each.private
            return [Appended.COMMITTED for _ in batch]
        return await super().append(batch)


class FilesBehind(MemoryStore):
    """Keeps files behind the creation of their run."""

    async def create(self, record: RunRecord) -> Created:
        created = await super().create(record)
        if created.lease is not None:
            self._runs[created.run_id].blobs = {}
            # For long enough that a cancel comes in between, in whatever order tasks run.
            for _ in range(10):
                await trio.lowlevel.checkpoint()
            self._runs[created.run_id].blobs = record.blobs
        return created


class KnowsNoPrivates(MemoryStore):
    async def read_private(self, run_id: str, offsets: Sequence[int]) -> Sequence[bytes]:
        if run_id not in self._runs:
            return [b"" for _ in offsets]
        return await super().read_private(run_id, offsets)


class NoFilesOfNoRun(MemoryStore):
    async def read_blob(self, run_id: str, digest: str) -> bytes:
        if run_id not in self._runs:
            raise UnknownBlob(run_id, digest)
        return await super().read_blob(run_id, digest)


class EternalLeases(MemoryStore):
    def _lease_end(self) -> float:
        return trio.current_time() + 1e9


BROKEN: dict[type[MemoryStore], str] = {
    KeepsItsFence: "greater fence",
    LosesEverything: "holder can renew",
    LastReason: "first reason stays|can't be cancelled",
    LastViewers: "sum over all workers",
    WatchesEverything: "discarded is not told of",
    ChecksByTrying: "a check creates nothing",
    DeletesAnything: "active run can't be deleted",
    ForgetsAtOnce: "there is no run",
    ExpiresNewest: "too old is removed",
    BoundsNobody: "of an owner with too many bytes, the oldest is removed",
    BoundsAll: "what is within its owner's bound is kept",
    OwnsWhatIsNobodys: "what nobody owns has no such bound",
    HalfAppends: "append that was cancelled is whole",
    HalfPrivate: "append that was cancelled is whole",
    FilesBehind: "was given no file",
    KnowsNoPrivates: "'a' was CursorExpired: CursorExpired was not raised",
    NoFilesOfNoRun: "was given no file",
    EternalLeases: "aren't told again are gone",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_a_broken_store_is_found(
    broken: type[MemoryStore], autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises((AssertionError, UnknownRun, UnknownBlob), match=BROKEN[broken]):
        await check_broken(broken)


async def test_a_store_that_gets_stuck_is_found(autojump_clock: trio.testing.MockClock) -> None:
    class Stuck(MemoryStore):
        async def info(self, run_id: str) -> RunInfo:
            await trio.sleep_forever()
            raise AssertionError

    @asynccontextmanager
    async def open_store() -> AsyncIterator[Store]:
        yield Stuck()

    with pytest.raises(trio.TooSlowError) as caught:
        await check_store(open_store, lease=None)
    assert caught.value.__notes__ == ["in _create_makes_an_empty_log"]


async def test_leases_that_do_not_end_with_time(autojump_clock: trio.testing.MockClock) -> None:
    @asynccontextmanager
    async def open_store() -> AsyncIterator[Store]:
        yield EternalLeases()

    await check_store(open_store, lease=None)
