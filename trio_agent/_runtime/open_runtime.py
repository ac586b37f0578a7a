"""Opening a runtime: who is needed for longest is opened first."""

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import trio

from .._config import AgentConfig
from .._instrument.contract import Instrument
from .._instrument.instruments import Instruments
from .._instrument.log_lines import LoggingInstrument
from .._limits import RuntimeLimits
from .._log.store import Store
from .._log.writer import Writer
from .._nursery import expect_trio, open_plain_nursery
from ..stores._memory import MemoryStore
from .known_agents import KnownAgents
from .live_runs import LiveRuns
from .pool import ModelPool, SourcePool
from .runtime import Runtime
from .takeover import Takeover

logger = logging.getLogger("trio_agent")


@asynccontextmanager
async def open_runtime(
    *,
    store: Store | None = None,
    limits: RuntimeLimits | None = None,
    agents: Iterable[AgentConfig] = (),
    instruments: Iterable[Instrument] = (),
) -> AsyncIterator[Runtime]:
    """Open a runtime. Leaving the block waits for the runs in it, as a nursery does.

    If the block raises or is cancelled, its runs are cancelled: each still writes its terminal
    event, within `closing_bound` seconds.

    Args:
        store: where logs are kept; in memory by default.
        limits: bounds on runs, logs and time.
        agents: those whose runs go on here when they were asleep, or have lost their worker. Runs
            of agents that no runtime knows end with `error` `worker-lost`.
        instruments: what is told of the runs in it, the first outermost.

    Raises:
        StoreUnavailable: the store can't be opened.
        TypeError: one of these is no instrument.
        ValueError: two of the agents have the same name.
        RuntimeError: this is no Trio task, but asyncio, for instance.
    """
    expect_trio()
    store = MemoryStore() if store is None else store
    limits = RuntimeLimits() if limits is None else limits
    measured = Instruments([LoggingInstrument(), *instruments])
    known = KnownAgents(agents)
    writer = Writer(store, patience=limits.store_patience)
    # From the outside in: who is needed for longest is cancelled last. When everything is
    # cancelled at once, the closing events still find a living writer.
    async with store.open(), open_plain_nursery() as services:
        writing = trio.CancelScope(shield=True)
        services.start_soon(_write, writer, writing)
        try:
            async with store.watch() as watch, open_plain_nursery() as keepers:
                async with AsyncExitStack() as sleeping, open_plain_nursery() as runs:
                    models = ModelPool(keepers)
                    sources = SourcePool(keepers)
                    live = LiveRuns(
                        store, limits, writer, watch, models, sources, known, measured, runs
                    )
                    takeover = Takeover(store, live, known, closing_bound=limits.closing_bound)
                    sleeping.push_async_callback(takeover.end_sleeping)
                    live.on_due = takeover.reaper.want
                    keepers.start_soon(live.serve)
                    keepers.start_soon(takeover.reaper.run)
                    yield Runtime(store, limits, live, models)
                    live.close()
                    # Those that are about to go on here have their places, and no task yet.
                    await live.places.wait_idle()
                keepers.cancel_scope.cancel(reason="all runs are gone")
        finally:
            writer.close()
            writing.deadline = trio.current_time() + limits.closing_bound


async def _write(writer: Writer, scope: trio.CancelScope) -> None:
    with scope:
        await writer.run()
    if scope.cancelled_caught:
        logger.error("the store did not take the last events in time: they are lost")
