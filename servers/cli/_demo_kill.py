"""``trio-agent demo --kill``: a run outlives its server, twice, and its viewer misses nothing."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import trio

from trio_agent import RunWaiting, ToolAsked
from trio_agent.abc import open_plain_nursery
from trio_agent.client import Client, open_client

from ._demo import CUT_AFTER, Viewer, compare, watch
from ._questions import is_yes
from ._render import Renderer
from ._server_process import TOKEN, ServerProcess
from ._stdin import Stdin

AGENT: Final = "trio_agent.servers.cli._demo_agent:booking"
PROMPT: Final = "I would like to see Oslo in winter. Book a room there for two nights."
_PATIENCE: Final = 300.0
"""Seconds that the viewer tries to reconnect: a server may have to load its model."""

OpenServer = Callable[[int, str], AbstractAsyncContextManager[ServerProcess]]
"""Starts a server at a port, on a store; port 0 is a free one."""


async def demo_kill(open_server: OpenServer, *, ask: bool) -> int:
    """Run the demo; returns the status of the process.

    Args:
        open_server: starts the servers that are killed.
        ask: whether the person who looks on is asked for the approval; else it is given.
    """
    renderer = Renderer(sys.stdout)
    status = 1
    with TemporaryDirectory(prefix="trio-agent-demo-") as folder:
        store = f"sqlite:{Path(folder) / 'runs.db'}"
        async with (
            open_server(0, store) as first,
            open_client(first.url, token=TOKEN, patience=_PATIENCE) as client,
            open_plain_nursery() as nursery,
        ):
            await first.until_ready(client)
            run_id = await client.start(PROMPT)
            renderer.heading(PROMPT)
            viewer = Viewer()
            nursery.start_soon(watch, client, run_id, viewer, renderer)
            port = int(first.url.rpartition(":")[2])

            await viewer.until(lambda seen: seen.pieces >= CUT_AFTER or _stands(seen))
            where = "while it waits" if _waits(viewer) else "in the middle of its answer"
            async with _anew(first, port, store, open_server, where, renderer) as second:
                await viewer.until(_stands)
                async with AsyncExitStack() as third:
                    if _waits(viewer):
                        anew = _anew(second, port, store, open_server, "while it waits", renderer)
                        await third.enter_async_context(anew)
                        await _answer(client, run_id, viewer, renderer, ask=ask)
                    else:
                        renderer.note("the model asked for no approval this time")
                    await viewer.until(lambda seen: seen.ended)
                    status = await _compare(client, run_id, viewer, renderer)
    return status


def _waits(viewer: Viewer) -> bool:
    return bool(viewer.events) and isinstance(viewer.events[-1].event, RunWaiting)


def _stands(viewer: Viewer) -> bool:
    return viewer.ended or _waits(viewer)


@asynccontextmanager
async def _anew(
    server: ServerProcess,
    port: int,
    store: str,
    open_server: OpenServer,
    where: str,
    renderer: Renderer,
) -> AsyncIterator[ServerProcess]:
    """Kill a server, and start another one in its place."""
    await server.kill()
    renderer.note(f"the run's server was killed (SIGKILL) {where}")
    async with open_server(port, store) as other:
        renderer.note("another server was started on the same file")
        yield other


async def _answer(
    client: Client, run_id: str, viewer: Viewer, renderer: Renderer, *, ask: bool
) -> None:
    """Answer what the run waits for."""
    for event in viewer.events:
        if isinstance(asked := event.event, ToolAsked):
            approved = True
            if ask:
                async with trio.open_nursery() as nursery:
                    said = await Stdin(nursery).ask(f"approve {asked.tool.id}? [y/N] ")
                approved = is_yes(said or "")
            else:
                renderer.note("somebody approves it (--ask asks you)")
            await client.answer(
                run_id, asked.tool.id, approved=approved, arguments=asked.tool.input
            )


async def _compare(client: Client, run_id: str, viewer: Viewer, renderer: Renderer) -> int:
    late = Viewer()
    await watch(client, run_id, late)
    same = "the same for this viewer and for one that came afterwards, byte for byte"
    return compare(viewer, late, renderer, same)
