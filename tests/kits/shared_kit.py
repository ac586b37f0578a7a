"""Several runtimes over one store, as several processes would be."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import trio
import trio.testing
from store_kit import record

from trio_agent._events import RunStart
from trio_agent._log.log import Append, Entry
from trio_agent._log.store import Lease
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, StoreProxy
from trio_agent.tools._tool import tool

LEASE = 10.0


async def quiet() -> None:
    """Let everything happen that is about to, writers' waiting for company included."""
    await trio.sleep(0.05)


@attrs.define
class Shared:
    """Runtimes, each with a door of its own to the store that they share."""

    store: MemoryStore
    doors: list[FaultyStore]
    runtimes: list[Runtime]


@asynccontextmanager
async def shared(
    count: int = 2, *, store: MemoryStore | None = None, delay: float = 0.0
) -> AsyncIterator[Shared]:
    store = store or MemoryStore(lease=LEASE)
    doors = [FaultyStore(store) for _ in range(count)]
    for door in doors:
        door.delay = delay
    async with AsyncExitStack() as stack:
        runtimes = [await stack.enter_async_context(open_runtime(store=door)) for door in doors]
        yield Shared(store, doors, runtimes)


@tool
async def look(city: str = "") -> str:
    """Look."""
    return city


@tool
async def hang() -> None:
    """Never return."""
    await trio.sleep_forever()


class ForgetfulStore(StoreProxy):
    """Its memory can lose the end of a log, as a store that fails over to a lagging copy."""

    def __init__(self, memory: MemoryStore) -> None:
        super().__init__(memory)
        self.memory = memory

    def forget(self, run_id: str, count: int) -> None:
        log = self.memory._runs[run_id].log
        del log.entries[-count:]
        for offset in [offset for offset in log.private if offset > log.tail]:
            del log.private[offset]
        log.size = sum(len(entry.data) for entry in log.entries)


async def orphan(store: MemoryStore, run_id: str = "r") -> Lease:
    lease = (await store.create(record(run_id))).lease
    assert lease is not None
    start = RunStart(at=0, run_id=run_id, agent="a")
    await store.append([Append(run_id, lease.fence, [Entry.of(1, start)])])
    await store.release(lease)
    return lease
