"""A server while it is open: the tools of its session, and a new session when that is lost.

- Sessions run in this source's nursery, in its context; who asks for one waits for it, and who is
  cancelled meanwhile does not cancel it: others wait, too.
- Once it was open, nothing here raises: a server that can't be opened again has the tools that it
  had, and their calls say what is the matter.
- The list is asked for when the server says that it changed, and when it is old: over HTTP the SDK
  gives up waiting for what the server says by itself when that connection broke twice.
"""

import contextvars
import logging
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import trio
from mcp_types import Tool as RemoteTool

from ..._errors import ToolSourceError
from ..._nursery import open_plain_nursery
from .._context import ToolContext
from .._contract import Tool
from .._source import OpenTools
from ._connection import Connection
from ._names import name_tools
from ._offer import Offer, is_chosen
from ._tool import ServerTool
from ._where import Where

logger = logging.getLogger("trio_agent")

_LIST_AGE: Final = 300.0
"""Seconds after which a list is asked for again, though nobody said that it changed."""
_PATIENCE: Final = 10.0
"""Seconds for that; a server that takes longer has the tools that it had."""
_REOPEN_PAUSE: Final = 10.0
"""Seconds from one failed attempt to the next: with a server that hangs, not each step waits."""
_CLOSING: Final = 8.0
"""Seconds for sessions to end by themselves: a process has three times two."""


@asynccontextmanager
async def open_server(
    name: str, where: Where, offer: Offer, *, open_deadline: float
) -> AsyncIterator[OpenTools]:
    """Open a server while the context lasts.

    Raises:
        ToolSourceError: it can't be opened.
    """
    async with open_plain_nursery() as nursery:
        sessions = _Sessions(nursery, name, where, open_deadline)
        try:
            await sessions.newest.opened.wait()
            if (why := sessions.newest.lost) is not None:
                raise ToolSourceError(f"the MCP server {name!r} can't be opened: {why}")
            yield _OpenServer(name, sessions, offer)
        finally:
            with trio.move_on_after(_CLOSING, shield=True):
                await sessions.aclose()
            nursery.cancel_scope.cancel(reason="the server is closed")


class _Sessions:
    """The session of the moment, and those before it that still have calls."""

    def __init__(
        self, nursery: trio.Nursery, name: str, where: Where, open_deadline: float
    ) -> None:
        self._nursery = nursery
        self._context = contextvars.copy_context()
        self._make = partial(Connection, name, where, open_deadline)
        self._all: set[Connection] = set()
        self.newest: Connection = self.start()

    def start(self) -> Connection:
        """Begin to open a session."""
        self.newest = connection = self._make()
        self._all.add(connection)
        self._context.run(self._nursery.start_soon, self._keep, connection)
        return connection

    async def _keep(self, connection: Connection) -> None:
        await connection.run()
        self._all.discard(connection)

    async def aclose(self) -> None:
        """End all, and wait for that."""
        for connection in self._all:
            connection.close()
        for connection in tuple(self._all):
            await connection.ended.wait()


class _OpenServer(OpenTools):
    def __init__(self, name: str, sessions: _Sessions, offer: Offer) -> None:
        self._name = name
        self._sessions = sessions
        self._declared = offer
        self._asking = trio.Lock()
        self._failed_at = -math.inf
        self._listed: Sequence[RemoteTool] = ()
        self._tools: Sequence[ServerTool] = ()
        self._offer(sessions.newest)
        self._say_what_is_missing()

    async def list_tools(self) -> Sequence[Tool[Any]]:
        """Return the tools that there are now, or were when the server was lost. A checkpoint."""
        async with self._asking:
            if self._sessions.newest.usable:
                await self._ask(self._sessions.newest)
            if not self._sessions.newest.usable:
                await self._reopen()
            if self._sessions.newest.usable:
                self._offer(self._sessions.newest)
        return self._tools

    async def _ask(self, connection: Connection) -> None:
        if not connection.changed and trio.current_time() < connection.listed_at + _LIST_AGE:
            return
        try:
            with trio.fail_after(_PATIENCE):
                await connection.list_tools()
        except Exception as exc:
            logger.warning(
                "MCP server %s did not list its tools (%s); they stay what they were",
                self._name,
                type(exc).__name__,
            )

    async def _reopen(self) -> None:
        connection = self._sessions.newest
        if connection.opened.is_set():
            if trio.current_time() < self._failed_at + _REOPEN_PAUSE:
                return
            logger.warning("MCP server %s is gone (%s): opening it", self._name, connection.lost)
            connection = self._sessions.start()
        await connection.opened.wait()
        if not connection.usable:
            self._failed_at = trio.current_time()
            logger.warning("MCP server %s can't be opened: %s", self._name, connection.lost)

    def _offer(self, connection: Connection) -> None:
        if connection.tools is self._listed:
            return
        self._listed = connection.tools
        offer = self._declared
        wanted = {tool.name: tool for tool in connection.tools if is_chosen(offer.only, tool.name)}
        self._tools = tuple(
            ServerTool(
                name,
                wanted[remote],
                self._call,
                approval=is_chosen(offer.approval, remote),
                retry_safe=is_chosen(offer.retry_safe, remote),
            )
            for remote, name in name_tools(offer.prefix, wanted).items()
        )

    def _say_what_is_missing(self) -> None:
        missing = self._declared.names - {tool.name for tool in self._listed}
        if missing:
            logger.warning(
                "MCP server %s has no such tools now: %s", self._name, ", ".join(sorted(missing))
            )

    async def _call(self, name: str, arguments: dict[str, Any], context: ToolContext) -> Any:
        connection = self._sessions.newest
        await connection.opened.wait()
        return await connection.call(name, arguments, context)
