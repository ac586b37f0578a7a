"""A server of our own, in a process of its own."""

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from subprocess import PIPE
from typing import Final

import trio

from trio_agent.abc import Model, open_plain_nursery
from trio_agent.client import Client, open_client
from trio_agent.local import LocalModel, fetch_weights, show_progress

from ._usage import UsageError

_NOT_INHERITED: Final = tuple(
    f"TRIO_AGENT_{name}" for name in ("AGENT", "HOST", "STORE", "TOKENS", "WS_PORT")
)
"""Settings of servers for others; ours is on loopback, for us."""

_READY: Final = 120.0
"""Seconds that the model may take to be ready."""


@asynccontextmanager
async def open_server(
    model: Model, *, agent: str | None = None, settings: Mapping[str, str | None]
) -> AsyncIterator[Client]:
    """Start a server on a free port, wait until it is ready, and yield a client of it.

    Args:
        model: what `settings` name; the weights of the embedded one are downloaded first.
        agent: as for ``--agent``; by default the default agent.
        settings: environment variables; those that are None are left as they are.

    Raises:
        UsageError: the server did not start, or its model can't be reached.
    """
    if isinstance(model, LocalModel) and model.path is None:
        await fetch_weights(progress=show_progress())
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    environment = {**inherited, **{name: value for name, value in settings.items() if value}}
    command = [sys.executable, "-m", "trio_agent", "serve", "--port", "0"]
    if agent is not None:
        command += ["--agent", agent]
    async with open_plain_nursery() as nursery:
        # In a session of its own, so that Ctrl-C in the terminal is ours to handle.
        start = partial(
            trio.run_process,
            command,
            stdout=PIPE,
            stderr=PIPE,
            env=environment,
            check=False,
            start_new_session=True,
        )
        process: trio.Process = await nursery.start(start)
        listening, said_all = trio.CancelScope(), trio.Event()
        nursery.start_soon(_pass_on, process, listening, said_all)
        try:
            async with open_client(await _ready_url(process, said_all)) as client:
                await _until_ready(client)
                yield client
        finally:
            # The server drains and leaves by itself; what it says of that is news to nobody.
            listening.cancel(reason="the server is not needed any more")
            process.terminate()


async def _pass_on(process: trio.Process, scope: trio.CancelScope, said_all: trio.Event) -> None:
    """Let the user read what the server says."""
    assert process.stderr is not None
    with scope:
        async for data in process.stderr:
            print(data.decode(errors="replace"), end="", file=sys.stderr, flush=True)
    said_all.set()


async def _ready_url(process: trio.Process, said_all: trio.Event) -> str:
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n") and (data := await process.stdout.receive_some()):
        line += data
    if not line:
        await said_all.wait()
        raise UsageError("the server did not start; see above")
    return line.split()[1].decode()


async def _until_ready(client: Client) -> None:
    problem: str | None = "it did not answer"
    with trio.move_on_after(_READY):
        while (problem := await client.not_ready()) is not None:  # noqa: ASYNC110
            await trio.sleep(0.2)
    if problem is not None:
        raise UsageError(f"the server is not ready: {problem}")
