"""What tests of runtimes share: agents of few words, and runs to their end."""

from collections.abc import Sequence

import trio
import trio.testing
from store_kit import whole_log

from trio_agent._agent import Agent
from trio_agent._events import AnyEvent, TextDelta
from trio_agent._log.cursor import Cursor
from trio_agent._log.store import Store
from trio_agent._log.subscription import Subscription
from trio_agent._run.run import Run
from trio_agent._runtime.runtime import Runtime
from trio_agent.testing import ScriptedModel


def quick(text: str = "a") -> Agent:
    return Agent(model=ScriptedModel([text]), name="quick", instructions="secret")


def endless() -> Agent:
    return Agent(model=ScriptedModel(["a", trio.Event()]))


def stepwise(*texts: str) -> tuple[Agent, list[trio.Event]]:
    """An agent that waits for an event before each piece but the first."""
    events = [trio.Event() for _ in texts[1:]]
    lines: list[str | trio.Event] = [texts[0]]
    for event, text in zip(events, texts[1:], strict=True):
        lines += [event, text]
    return Agent(model=ScriptedModel(lines)), events


async def finished(runtime: Runtime, text: str = "a") -> Run:
    run = await runtime.start(quick(text), "hi")
    await run.wait()
    await trio.testing.wait_all_tasks_blocked()
    return run


async def rest(run: Run, after: Cursor | str | int = 0) -> list[AnyEvent]:
    with run.subscribe(after=after) as events:
        return [event async for event in events]


async def collect(events: Subscription, seen: list[AnyEvent]) -> None:
    with events:
        async for event in events:
            seen.append(event)  # noqa: PERF401  (what was seen must be there at once)


async def logged(store: Store, run_id: str) -> list[AnyEvent]:
    entries = await whole_log(store, run_id)
    return [event for entry in entries if (event := entry.event) is not None]


def text_of(events: Sequence[AnyEvent]) -> str:
    return "".join(event.delta for event in events if isinstance(event, TextDelta))
