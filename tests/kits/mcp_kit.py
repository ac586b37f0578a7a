"""Real MCP servers in processes of their own, and calls of their tools."""

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE
from typing import Any

import attrs
import trio
from server_kit import SOON

from trio_agent import ToolError
from trio_agent.tools._context import ToolContext
from trio_agent.tools._contract import Tool
from trio_agent.tools._source import OpenTools
from trio_agent.tools.mcp import MCPServer

KITS = Path(__file__).parent
PATIENCE = 4 * SOON
"""Seconds for a test with processes, which start slowly on a busy machine."""


def sdk(**options: Any) -> MCPServer:
    """The server made with the SDK, on stdio."""
    return MCPServer.stdio(sys.executable, str(KITS / "mcp_server.py"), **options)


def raw(*faults: str, **options: Any) -> MCPServer:
    """The server by hand."""
    return MCPServer.stdio(sys.executable, str(KITS / "mcp_raw_server.py"), *faults, **options)


@attrs.frozen
class HTTPServer:
    process: trio.Process
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


async def _kill(process: trio.Process) -> None:
    # It would wait for whoever is connected.
    process.kill()


@asynccontextmanager
async def serving(*arguments: str, port: int = 0) -> AsyncIterator[HTTPServer]:
    """The server made with the SDK, on a socket."""
    command = [sys.executable, str(KITS / "mcp_server.py"), "http", str(port), *arguments]
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(
            partial(trio.run_process, command, stdout=PIPE, check=False, deliver_cancel=_kill)
        )
        assert process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            data = await process.stdout.receive_some()
            assert data, "it ended"
            line += data
        yield HTTPServer(process, int(line))
        nursery.cancel_scope.cancel()


async def tools_of(opened: OpenTools) -> dict[str, Tool[Any]]:
    return {tool.name: tool for tool in await opened.list_tools()}


async def call(opened: OpenTools, tool: str, /, **arguments: Any) -> Any:
    return await (await tools_of(opened))[tool].call(arguments, ToolContext())


async def refusal(opened: OpenTools, tool: str, /, **arguments: Any) -> str:
    try:
        output = await call(opened, tool, **arguments)
    except ToolError as exc:
        return str(exc)
    raise AssertionError(f"it returned {output!r}")


class Progress:
    """Collects what is told of a call, and waits for it."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.begun = trio.Event()
        self.context = ToolContext(on_progress=self._tell)

    def _tell(self, data: Any) -> None:
        self.told.append(data)
        self.begun.set()
