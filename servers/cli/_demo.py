"""``trio-agent demo``: a run is watched, cut off, goes on, is resumed, and nothing is missing."""

import sys
from collections.abc import Callable
from typing import Final

import attrs
import trio

from trio_agent import RunFinish, TextDelta, ToolInputDelta
from trio_agent.abc import open_plain_nursery
from trio_agent.client import Client, RemoteEvent

from ._render import Renderer

AGENT: Final = "trio_agent.servers.cli._demo_agent:agent"
PROMPT: Final = (
    "What is the weather in Oslo right now? Tell me, and then say what I should wear there."
)
CUT_AFTER: Final = 8
"""Pieces of text or arguments that are seen before something is cut."""
_AWAY: Final = 12
"""Events that it then misses, unless the run ends before."""


@attrs.define
class Viewer:
    """What one viewer has got."""

    events: list[RemoteEvent] = attrs.field(factory=list)
    news: trio.Event = attrs.field(factory=trio.Event)

    def got(self, event: RemoteEvent) -> None:
        """Take an event."""
        self.events.append(event)
        self.news.set()
        self.news = trio.Event()

    async def until(self, condition: Callable[["Viewer"], object]) -> None:
        """Wait until it has got what it is to get. A checkpoint unless it has."""
        while not condition(self):
            await self.news.wait()

    @property
    def cursor(self) -> str:
        """What it has got everything up to."""
        return self.events[-1].cursor if self.events else ""

    @property
    def pieces(self) -> int:
        """Pieces of text or arguments that it has got."""
        return sum(isinstance(event.event, TextDelta | ToolInputDelta) for event in self.events)

    @property
    def ended(self) -> bool:
        """Whether it has got the last one."""
        return bool(self.events) and self.events[-1].terminal


async def demo(client: Client) -> int:
    """Run the demo against a server; returns the status of the process."""
    run_id = await client.start(PROMPT)
    uncut, cut = Viewer(), Viewer()
    renderer = Renderer(sys.stdout)
    renderer.heading(PROMPT)
    async with open_plain_nursery() as nursery:
        nursery.start_soon(watch, client, run_id, uncut)
        await _watch_with_cut(client, run_id, cut, uncut, renderer)
    renderer.note(renderer.speed())
    same = "the same for the viewer that was cut off and for the other one, byte for byte"
    return compare(cut, uncut, renderer, same)


async def watch(
    client: Client,
    run_id: str,
    viewer: Viewer,
    renderer: Renderer | None = None,
    until: int | None = None,
) -> None:
    """Follow a run behind what the viewer has, to its end or until so many pieces came."""
    lost = 0
    async with client.subscribe(run_id, after=viewer.cursor) as events:
        async for event in events:
            viewer.got(event)
            if renderer is not None and event.event is not None:
                if events.reconnects > lost:
                    lost = events.reconnects
                    renderer.note("the viewer has reconnected, with Last-Event-ID")
                renderer.show(event.event)
            if until is not None and viewer.pieces >= until:
                return


async def _watch_with_cut(
    client: Client, run_id: str, cut: Viewer, uncut: Viewer, renderer: Renderer
) -> None:
    # Leaving the subscription closes its connection: for the server, a client that is gone.
    await watch(client, run_id, cut, renderer, until=CUT_AFTER)
    if cut.ended:
        renderer.note("the run was too short to be cut")
        return
    seen = len(cut.events)
    renderer.note(f"connection cut after event {seen}; the run goes on without this viewer")
    await uncut.until(lambda viewer: len(viewer.events) >= seen + _AWAY or viewer.ended)
    missed = len(uncut.events) - seen
    renderer.note(f"resumed with Last-Event-ID; {missed} events came while it was away")
    await watch(client, run_id, cut, renderer)


def compare(viewer: Viewer, other: Viewer, renderer: Renderer, same: str) -> int:
    """Compare what two viewers have got, byte for byte; returns the status of the process.

    Args:
        viewer: one of them.
        other: the other one.
        renderer: tells what came of it.
        same: what to tell if all is well, behind the number of the events.
    """
    if not renderer.tool_calls:
        renderer.note("the model called no tool this time")
    if not (viewer.ended and other.ended):
        renderer.note("FAILED: a stream ended before the run")
    elif not isinstance(other.events[-1].event, RunFinish):
        renderer.note("FAILED: the run did not finish")
    elif [(event.cursor, event.data) for event in viewer.events] != [
        (event.cursor, event.data) for event in other.events
    ]:
        renderer.note("FAILED: the events of the two viewers differ")
    else:
        renderer.note(f"{len(viewer.events)} events, {same}")
        return 0
    return 1
