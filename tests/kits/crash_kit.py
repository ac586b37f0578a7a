"""Servers over one store, each of which may die: several runtimes in this process."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import attrs
import trio
from runtime_kit import logged

from trio_agent._config import AgentConfig
from trio_agent._events import AnyEvent, RunContinued
from trio_agent._limits import RuntimeLimits
from trio_agent._log.store import Store
from trio_agent._run.run import Run
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime
from trio_agent.testing import CrashingStore

E = TypeVar("E")

LIFE = 3000.0
"""Seconds of each, at most."""


@attrs.define
class Server:
    """One of them, and its way to the store."""

    runtime: Runtime
    door: CrashingStore


@asynccontextmanager
async def server(
    store: Store,
    *agents: AgentConfig,
    limits: RuntimeLimits | None = None,
    shared: bool = True,
    door: CrashingStore | None = None,
) -> AsyncIterator[Server]:
    """Open one that goes on with runs of these agents. The block ends where it crashes."""
    # A server is never idle: where a clock jumps, who waits for ever does so at full speed.
    with trio.fail_after(LIFE), door or CrashingStore(store, shared=shared) as door:
        async with open_runtime(store=door, agents=agents, limits=limits) as runtime:
            yield Server(runtime, door)


async def result_there(store: Store, run_id: str, *agents: AgentConfig, **more: Any) -> Any:
    """Open another server, and wait there for the result of a run."""
    async with server(store, *agents, **more) as other:
        return await (await other.runtime.find(run_id)).wait()
    raise AssertionError("it did not crash")


async def reasons(store: Store, run_id: str) -> list[str]:
    """Why the run went on, each time."""
    return [event.reason for event in of(RunContinued, await logged(store, run_id))]


def of(kind: type[E], events: Sequence[AnyEvent]) -> list[E]:
    """Those of one kind."""
    return [event for event in events if isinstance(event, kind)]


def names(events: Sequence[AnyEvent]) -> list[str]:
    """What kinds they are, one after the other."""
    return [type(event).__name__ for event in events]


async def moment(run: Run, kind: type[AnyEvent]) -> None:
    """Wait until the run has come to an event of this kind."""
    with run.subscribe() as events:
        async for event in events:
            if isinstance(event, kind):
                return
    raise AssertionError("the run is over")
