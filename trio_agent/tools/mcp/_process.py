"""A server as a process of ours: a JSON-RPC message is a line, in and out.

- Memory is bounded: a longer line ends the connection. (The SDK's own client keeps a line however
  long it gets, in time that grows with its square, and logs with a traceback what is no message.)
- What is no message is dropped: programs print things.
- A message is written as a whole, by a task of its own: who sends one may be cancelled.
- The process ends when the context does: its standard input is closed, and if that does not help,
  it and its children get SIGTERM, then SIGKILL. Children that it leaves behind get SIGTERM.
"""

import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from subprocess import DEVNULL, PIPE
from typing import Final

import anyio
import trio
from anyio.abc import ObjectReceiveStream
from anyio.streams.memory import MemoryObjectReceiveStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from ..._nursery import open_plain_nursery
from ._inbound import MAX_MESSAGE, Streams
from ._where import Command

logger = logging.getLogger("trio_agent")

_GRACE: Final = 2.0
"""Seconds to end by itself; again, to end on SIGTERM; again, to be seen to have ended."""

_SHOWN: Final = 1000
"""Characters of a line of its standard error that are logged."""


@asynccontextmanager
async def open_process(
    name: str, where: Command, on_lost: Callable[[str], None]
) -> AsyncIterator[Streams]:
    """Start a server and talk to it.

    Args:
        name: for what is logged.
        where: the program.
        on_lost: called with what happened when nothing more will come from it.

    Raises:
        OSError: it can't be started.
        ValueError: an argument holds a zero byte.
    """
    debug = logger.isEnabledFor(logging.DEBUG)
    process = await trio.lowlevel.open_process(
        [where.command, *where.arguments],
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE if debug else DEVNULL,
        env={**get_default_environment(), **where.env},
        cwd=where.cwd,
        start_new_session=True,
    )
    # Nothing may be awaited before the process has somebody who ends it.
    sender, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        with sender, outgoing:
            async with open_plain_nursery() as nursery:
                nursery.start_soon(_write, process, outgoing)
                if process.stderr is not None:
                    nursery.start_soon(_log_stderr, name, process.stderr)
                yield _Lines(name, process, on_lost), sender
                nursery.cancel_scope.cancel(reason="the connection is closed")
    finally:
        with trio.CancelScope(shield=True):
            await _stop(name, process)


class _Lines(ObjectReceiveStream[SessionMessage | Exception]):
    """The messages that a process writes to its standard output."""

    def __init__(self, name: str, process: trio.Process, on_lost: Callable[[str], None]) -> None:
        self._name = name
        self._process = process
        self._on_lost = on_lost
        self._buffer = bytearray()
        self._searched = 0
        self._complained = False

    async def receive(self) -> SessionMessage:
        while True:
            line = await self._line()
            if not line.strip():
                continue
            try:
                return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
            except ValueError:
                self._complain()

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            if self._searched > MAX_MESSAGE:
                self._on_lost(f"it sent a message of more than {MAX_MESSAGE // 2**20} MiB")
                raise anyio.EndOfStream
            data = await self._process.stdout.receive_some()
            if not data:
                self._on_lost(await self._what_happened())
                raise anyio.EndOfStream
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line

    async def _what_happened(self) -> str:
        with trio.move_on_after(_GRACE):
            status = await self._process.wait()
            if status < 0:
                return f"its process was ended by signal {-status}"
            return f"its process ended with status {status}"
        return "it closed its standard output"

    def _complain(self) -> None:
        if not self._complained:
            self._complained = True
            logger.warning(
                "MCP server %s writes to its standard output what is no MCP message; "
                "that is dropped, here and from now on",
                self._name,
            )

    async def aclose(self) -> None:
        """Nothing: what is still written is read until the process has ended."""
        await trio.lowlevel.checkpoint()


async def _write(
    process: trio.Process, outgoing: MemoryObjectReceiveStream[SessionMessage]
) -> None:
    assert process.stdin is not None
    # Whoever sends more, when nobody takes it, is told so by the closed stream.
    async with outgoing:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for each in outgoing:
                text = each.message.model_dump_json(by_alias=True, exclude_unset=True)
                await process.stdin.send_all(text.encode() + b"\n")


async def _log_stderr(name: str, stderr: trio.abc.ReceiveStream) -> None:
    async for data in stderr:
        for line in data.decode(errors="replace").splitlines():
            logger.debug("MCP server %s: %s", name, line[:_SHOWN])


async def _stop(name: str, process: trio.Process) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdin.aclose()
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        if number is not None:
            # Its session is its own, so that this is the process and its children.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        with trio.move_on_after(_GRACE):
            async with open_plain_nursery() as nursery:
                # Or it may be stuck in what it writes.
                nursery.start_soon(_drain, process.stdout)
                await process.wait()
                nursery.cancel_scope.cancel(reason="the process has ended")
        if process.returncode is not None:
            # Where all have ended, macOS says that they may not be told.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGTERM)
            break
    else:
        logger.warning("MCP server %s is still alive after SIGKILL; nobody waits for it", name)
    await process.stdout.aclose()
    if process.stderr is not None:
        await process.stderr.aclose()


async def _drain(stream: trio.abc.ReceiveStream) -> None:
    async for _ in stream:
        pass
