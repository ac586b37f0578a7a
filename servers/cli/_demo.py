"""``trio-agent demo``: a run is watched, cut off, goes on, is resumed, and nothing is missing."""

import sys
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
_CUT_AFTER: Final = 8
"""Pieces of text or arguments that the first viewer sees before its connection is cut."""
_AWAY: Final = 12
"""Events that it then misses, unless the run ends before."""


@attrs.define
class _Viewer:
    """What one viewer has got."""

    events: list[RemoteEvent] = attrs.field(factory=list)
    news: trio.Event = attrs.field(factory=trio.Event)

    def got(self, event: RemoteEvent) -> None:
        self.events.append(event)
        self.news.set()
        self.news = trio.Event()

    @property
    def cursor(self) -> str:
        return self.events[-1].cursor if self.events else ""

    @property
    def ended(self) -> bool:
        return bool(self.events) and self.events[-1].terminal


async def demo(client: Client) -> int:
    """Run the demo against a server; returns the status of the process."""
    run_id = await client.start(PROMPT)
    uncut, cut = _Viewer(), _Viewer()
    renderer = Renderer(sys.stdout)
    renderer.heading(PROMPT)
    async with open_plain_nursery() as nursery:
        nursery.start_soon(_watch, client, run_id, uncut)
        await _watch_with_cut(client, run_id, cut, uncut, renderer)
    return _compare(cut, uncut, renderer)


async def _watch(
    client: Client,
    run_id: str,
    viewer: _Viewer,
    renderer: Renderer | None = None,
    until: int | None = None,
) -> None:
    """Follow a run behind what the viewer has, to its end or until so many pieces came."""
    pieces = 0
    async with client.subscribe(run_id, after=viewer.cursor) as events:
        async for event in events:
            viewer.got(event)
            if renderer is not None and event.event is not None:
                renderer.show(event.event)
            pieces += isinstance(event.event, TextDelta | ToolInputDelta)
            if pieces == until:
                return


async def _watch_with_cut(
    client: Client, run_id: str, cut: _Viewer, uncut: _Viewer, renderer: Renderer
) -> None:
    # Leaving the subscription closes its connection: for the server, a client that is gone.
    await _watch(client, run_id, cut, renderer, until=_CUT_AFTER)
    if cut.ended:
        renderer.note("the run was too short to be cut")
        return
    seen = len(cut.events)
    renderer.note(f"connection cut after event {seen}; the run goes on without this viewer")
    while len(uncut.events) < seen + _AWAY and not uncut.ended:
        await uncut.news.wait()
    missed = len(uncut.events) - seen
    renderer.note(f"resumed with Last-Event-ID; {missed} events came while it was away")
    await _watch(client, run_id, cut, renderer)


def _compare(cut: _Viewer, uncut: _Viewer, renderer: Renderer) -> int:
    renderer.note(renderer.speed())
    if not renderer.tool_calls:
        renderer.note("the model called no tool this time")
    if not (cut.ended and uncut.ended):
        renderer.note("FAILED: a stream ended before the run")
    elif not isinstance(uncut.events[-1].event, RunFinish):
        renderer.note("FAILED: the run did not finish")
    elif [(event.cursor, event.data) for event in cut.events] != [
        (event.cursor, event.data) for event in uncut.events
    ]:
        renderer.note("FAILED: the joined events differ from those of the uncut viewer")
    else:
        count = len(cut.events)
        renderer.note(f"both viewers have the same {count} events, byte for byte")
        return 0
    return 1
