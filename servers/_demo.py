"""``trio-agent demo``: a run is watched, cut off, goes on, is resumed, and nothing is missing."""

import argparse
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from subprocess import PIPE
from typing import Final

import attrs
import msgspec
import trio

from trio_agent import RunFinish, TextDelta, ToolInputDelta
from trio_agent._http import Transport, open_transport
from trio_agent._nursery import open_plain_nursery
from trio_agent.abc import Model
from trio_agent.local import LocalModel, fetch_weights, show_progress
from trio_agent.wire import ServerSentEvent, SSEDecoder, decode_event

from ._render import Renderer
from ._usage import UsageError

PROMPT: Final = (
    "What is the weather in Oslo right now? Tell me, and then say what I should wear there."
)
_CUT_AFTER: Final = 8
"""Events of text or arguments that the first viewer sees before its connection is cut."""
_AWAY: Final = 12
"""Events that it then misses, unless the run ends before."""
_READY: Final = 120.0
"""Seconds that the model may take to be ready."""


@attrs.define
class _Viewer:
    """What one viewer has got."""

    name: str
    events: list[ServerSentEvent] = attrs.field(factory=list)
    news: trio.Event = attrs.field(factory=trio.Event)

    def got(self, event: ServerSentEvent) -> None:
        self.events.append(event)
        self.news.set()
        self.news = trio.Event()

    @property
    def ended(self) -> bool:
        event = decode_event(self.events[-1].data.encode()) if self.events else None
        return event is not None and event.terminal


async def demo(model: Model, options: argparse.Namespace) -> int:
    """Run the demo; returns the status of the process."""
    if isinstance(model, LocalModel) and model.path is None:
        await fetch_weights(progress=show_progress())
    async with _open_server(options) as url, open_transport(url) as transport:
        await _until_ready(transport)
        return await _show(transport)


@asynccontextmanager
async def _open_server(options: argparse.Namespace) -> AsyncIterator[str]:
    settings = {"TRIO_AGENT_MODEL": options.model, "TRIO_AGENT_GGUF": options.gguf}
    environment = {**os.environ, **{name: value for name, value in settings.items() if value}}
    command = [sys.executable, "-m", "trio_agent.servers", "serve", "--port", "0"]
    command += ["--agent", "trio_agent.servers._demo_agent:agent"]
    async with open_plain_nursery() as nursery:
        start = partial(trio.run_process, command, stdout=PIPE, env=environment, check=False)
        process: trio.Process = await nursery.start(start)
        assert process.stdout is not None
        line = b""
        while not line.endswith(b"\n") and (data := await process.stdout.receive_some()):
            line += data
        if not line:
            raise UsageError("the server did not start; see above")
        try:
            yield line.split()[1].decode()
        finally:
            # SIGTERM: the server drains and leaves by itself.
            process.terminate()


async def _until_ready(transport: Transport) -> None:
    problem = "it did not answer"
    with trio.move_on_after(_READY):
        while True:
            async with transport.stream("GET", "/health/ready", headers={}) as response:
                status, _ = await response.head()
                body = await response.receive_rest(seconds=5, max_bytes=1 << 16)
            if status == 200:
                return
            problem = msgspec.json.decode(body)["error"]["message"]
            await trio.sleep(0.2)
    raise UsageError(f"the server is not ready: {problem}")


async def _show(transport: Transport) -> int:
    body = msgspec.json.encode({"prompt": PROMPT})
    headers = {"content-type": "application/json"}
    async with transport.stream("POST", "/runs", headers=headers, content=body) as response:
        status, _ = await response.head()
        answer = msgspec.json.decode(await response.receive_rest(seconds=5, max_bytes=1 << 16))
    if status != 201:
        raise UsageError(f"the server did not start the run: {answer['error']['message']}")
    events = answer["events"]
    uncut, cut = _Viewer("uncut"), _Viewer("cut")
    renderer = Renderer(sys.stdout)
    renderer.heading(PROMPT)
    async with open_plain_nursery() as nursery:
        nursery.start_soon(_watch, transport, events, uncut)
        await _watch_with_cut(transport, events, cut, uncut, renderer)
    return _compare(cut, uncut, renderer)


async def _watch(
    transport: Transport,
    path: str,
    viewer: _Viewer,
    renderer: Renderer | None = None,
    *,
    until: int | None = None,
) -> None:
    """Follow a run behind what the viewer has, to its end or until so many pieces came."""
    headers = {"accept": "text/event-stream"}
    if viewer.events:
        headers["last-event-id"] = viewer.events[-1].id
    decoder = SSEDecoder()
    pieces = 0
    async with transport.stream("GET", path, headers=headers) as response:
        status, _ = await response.head()
        if status != 200:
            raise UsageError(f"the server answered {status} to the {viewer.name} viewer")
        while data := await response.receive():
            for event in decoder.feed(data):
                viewer.got(event)
                known = decode_event(event.data.encode())
                if renderer is not None and known is not None:
                    renderer.show(known)
                pieces += isinstance(known, TextDelta | ToolInputDelta)
                if until is not None and pieces >= until:
                    return


async def _watch_with_cut(
    transport: Transport, path: str, cut: _Viewer, uncut: _Viewer, renderer: Renderer
) -> None:
    await _watch(transport, path, cut, renderer, until=_CUT_AFTER)
    if cut.ended:
        return
    seen = len(cut.events)
    renderer.note(f"connection cut after event {seen}; the run goes on without this viewer")
    while len(uncut.events) < seen + _AWAY and not uncut.ended:
        await uncut.news.wait()
    missed = len(uncut.events) - seen
    renderer.note(f"resumed with Last-Event-ID; {missed} events came while it was away")
    await _watch(transport, path, cut, renderer)


def _compare(cut: _Viewer, uncut: _Viewer, renderer: Renderer) -> int:
    whole = cut.ended and uncut.ended
    same = [(event.id, event.data) for event in cut.events] == [
        (event.id, event.data) for event in uncut.events
    ]
    finished = isinstance(decode_event(uncut.events[-1].data.encode()), RunFinish)
    renderer.note(renderer.speed())
    if not renderer.tool_calls:
        renderer.note("the model called no tool this time")
    if whole and same and finished:
        count = len(uncut.events)
        renderer.note(f"both viewers have the same {count} events, byte for byte")
        return 0
    if not finished:
        renderer.note("FAILED: the run did not finish")
    elif not whole:
        renderer.note("FAILED: a stream ended before the run")
    else:
        renderer.note("FAILED: the joined events differ from those of the uncut viewer")
    return 1
