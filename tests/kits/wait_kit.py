"""Runs that wait for somebody: tools that ask, a clock for deadlines, and looks at what came.

Deadlines of answers are in Unix time, which no mocked clock moves: `unix_time` lets it follow one.
"""

import time
from collections.abc import Sequence
from typing import TypeVar

import pytest
import trio
import trio.testing

from trio_agent._agent import Agent
from trio_agent._events import (
    AnyEvent,
    OutputDelta,
    ReasoningDelta,
    RunWaiting,
    TextDelta,
    ToolInputDelta,
    ToolResult,
)
from trio_agent._limits import Limits
from trio_agent._run.run import Run
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import ScriptedModel, call
from trio_agent.tools._client_tool import ClientTool
from trio_agent.tools._tool import tool

_E = TypeVar("_E")

_DELTAS = (TextDelta, ReasoningDelta, OutputDelta, ToolInputDelta)


class LastingStore(MemoryStore):
    """As a store on a disk, or a server: what it has is there for the next runtime."""

    def __init__(self, *, shared: bool = False, lease: float = 10.0) -> None:
        super().__init__(lease=lease)
        self._shared = shared

    @property
    def shared(self) -> bool:
        return self._shared

    @property
    def durable(self) -> bool:
        return True


@tool(approval=True)
async def refund(amount: int) -> str:
    """Give money back."""
    return f"gave {amount}"


@tool
async def look(city: str = "Oslo") -> str:
    """Look."""
    return f"snow in {city}"


PICK = ClientTool("pick", description="Pick one.")


def asking(*ends: str, limits: Limits | None = None, **more: object) -> Agent:
    """It wants to give 5 back; then it says this."""
    model = ScriptedModel([call("1", "refund", amount=5)], list(ends or ("done",)))
    settings: dict[str, object] = {"name": "shop", "tools": [refund], **more}
    return Agent(model=model, limits=limits or Limits(), **settings)  # type: ignore[arg-type]


def picking(*, limits: Limits | None = None) -> Agent:
    """It lets somebody pick; then it ends."""
    model = ScriptedModel([call("1", "pick")], ["done"])
    return Agent(model=model, name="shop", tools=[PICK], limits=limits or Limits())


def unix_time(monkeypatch: pytest.MonkeyPatch, clock: trio.testing.MockClock) -> None:
    """Let the time of day go by as this clock does."""

    def now_ns() -> int:
        return 1_700_000_000_000_000_000 + round(clock.current_time() * 1e9)

    monkeypatch.setattr(time, "time_ns", now_ns)
    monkeypatch.setattr(time, "time", lambda: now_ns() / 1e9)


async def told(run: Run, kind: type[_E], *, after: int = 0) -> _E:
    """Wait until there is one of these events behind an offset; return it."""
    async with run.subscribe(after=after) as events:
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"there is no {kind.__name__}")


async def asleep(run: Run, *, after: int = 0) -> None:
    """Wait until it sleeps."""
    await told(run, RunWaiting, after=after)
    await trio.testing.wait_all_tasks_blocked()
    assert run.status == "waiting"


def tags(events: Sequence[AnyEvent]) -> list[str]:
    """What these are, without the pieces of answers."""
    return [str(e.__struct_config__.tag) for e in events if not isinstance(e, _DELTAS)]


def of(kind: type[_E], events: Sequence[AnyEvent]) -> list[_E]:
    return [event for event in events if isinstance(event, kind)]


def outcomes(events: Sequence[AnyEvent]) -> list[tuple[str, str, object, str | None]]:
    """The id, the status, the output and the reason of each result."""
    return [(e.tool.id, e.tool.status, e.tool.output, e.reason) for e in of(ToolResult, events)]
