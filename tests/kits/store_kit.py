"""What tests put into stores by hand: records, pieces of logs, finished runs."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import attrs
import trio

from trio_agent._events import RunFinish, RunSummary, TextDelta, Usage
from trio_agent._log.log import Append, Appended, Entry
from trio_agent._log.run_info import RunRecord
from trio_agent._log.store import Store, Watch
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import check_store
from trio_agent.testing._check_store import ALL_CHECKS, check_each

Checks: TypeAlias = Sequence[Callable[[Store], Awaitable[None]]]


def record(run_id: str, **changes: Any) -> RunRecord:
    plain = RunRecord(run_id=run_id, epoch="e", agent="a", created_at=0)
    return attrs.evolve(plain, **changes)


def deltas(run_id: str, first: int, count: int = 1, *, text: str = "x", fence: int = 1) -> Append:
    entries = [Entry.of(first + n, TextDelta(at=0, delta=text)) for n in range(count)]
    return Append(run_id, fence, entries)


def finish(run_id: str, offset: int, *, fence: int = 1) -> Append:
    event = RunFinish(at=0, run=RunSummary(run_id, "", 1, "stop", Usage()))
    return Append(run_id, fence, [Entry.of(offset, event)])


async def finished(store: Store, run_id: str, count: int = 0, **changes: Any) -> None:
    """Put a finished run there, with so many events before its last."""
    await store.create(record(run_id, **changes))
    batch = [finish(run_id, count + 1)]
    if count:
        batch.insert(0, deltas(run_id, 1, count))
    assert set(await store.append(batch)) == {Appended.COMMITTED}


async def whole_log(store: Store, run_id: str) -> list[Entry]:
    """Read all pages of a log."""
    entries: list[Entry] = []
    while page := (await store.read(run_id, len(entries), 10_000)).entries:
        entries += page
    return entries


async def check_broken(broken: type[MemoryStore], checks: Checks | None = None) -> None:
    """Hold a store that breaks the contract to it, or to a part of it."""

    @asynccontextmanager
    async def open_store() -> AsyncIterator[Store]:
        yield broken(lease=5)

    if checks is None:
        await check_store(open_store, lease=5)
    else:  # so that a store of a long table takes no time
        assert set(checks) <= set(ALL_CHECKS), "the kit makes them"
        await check_each(open_store, checks)


async def heard(watch: Watch, run_id: str) -> None:
    """Wait for news of this run."""
    with trio.fail_after(60):
        while await watch.receive() != run_id:
            pass
