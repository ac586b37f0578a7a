"""One session with a server, owned by one task.

- The SDK's contexts open cancel scopes, which must be left by the task that entered them: `run` is
  that task, and no call is. A call is a request and an answer within the scopes of its caller.
- `run` raises nothing but what has to go on. What ended the session is in `lost`.
- A session that is lost takes no new calls, and lasts until those that are open have ended.
- Of an error of the SDK's people read what the server said, or a type; never what we sent.
"""

import itertools
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any, Final

import trio
from mcp import Client, MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    Implementation,
    JSONRPCNotification,
    Tool as RemoteTool,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from ..._errors import ToolError
from ..._nursery import open_plain_nursery, split_stops
from .._context import ToolContext
from ._endpoint import open_endpoint
from ._inbound import Inbound, Streams
from ._process import open_process
from ._progress import progress_of
from ._result import output_of
from ._where import Command, Where

logger = logging.getLogger("trio_agent")

_US: Final = Implementation(name="trio-agent", version=version("trio-agent"))
_MAX_PAGES: Final = 100
_MAX_TOOLS: Final = 1000
_LISTEN_AGAIN: Final = 5.0
"""Seconds until a subscription that ended is asked for again."""
_MAX_WORDS: Final = 1000
"""Characters of a server's complaint."""


class Connection:
    """A session.

    Args:
        name: what the server is called.
        where: it is.
        open_deadline: seconds until it has listed its tools.
    """

    def __init__(self, name: str, where: Where, open_deadline: float) -> None:
        self.opened: trio.Event = trio.Event()
        """It is open, or can't be opened: `lost` tells."""
        self.ended: trio.Event = trio.Event()
        self.lost: str | None = None
        """Why it can't be used any more."""
        self.changed: bool = False
        """Whether the list of tools may have changed since it was last asked for."""
        self.tools: tuple[RemoteTool, ...] = ()
        """As they were last listed."""
        self.listed_at: float = -math.inf
        self._name = name
        self._where = where
        self._open_deadline = open_deadline
        self._client: Client | None = None
        self._calls: dict[str, Callable[[Any], None]] = {}
        """Whom to tell the progress of each open call."""
        self._tokens = itertools.count(1)
        self._over = trio.Event()

    async def run(self) -> None:
        """Open the session, and keep it until it is lost or closed."""
        opening = trio.CancelScope(deadline=trio.current_time() + self._open_deadline)
        try:
            with opening:
                async with Client(self._transport(), cache=None, client_info=_US) as client:
                    self._client = client
                    await self.list_tools()
                    opening.deadline = math.inf
                    self.opened.set()
                    await self._stay(client)
        except BaseException as exc:  # noqa: ASYNC103 - what has to go on is raised again
            stop, failures = split_stops(exc)
            if stop is not None:
                raise stop from None  # noqa: ASYNC104
            self._lose(_words(self._where, failures))
        finally:
            self._client = None
            if opening.cancelled_caught:
                self._lose(f"it did not answer within {self._open_deadline:g} s")
            self._lose("it was closed")
            self.opened.set()
            self.ended.set()

    async def list_tools(self) -> None:
        """Ask for `tools`, all pages. A checkpoint.

        Raises:
            MCPError: the server refused, or is lost.
        """
        client = self._client
        assert client is not None
        # What changes while we ask is asked for again.
        self.changed = False
        try:
            tools = await self._pages(client)
        except BaseException:
            self.changed = True
            raise
        self.tools = tools
        self.listed_at = trio.current_time()

    async def _pages(self, client: Client) -> tuple[RemoteTool, ...]:
        tools: list[RemoteTool] = []
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            page = await client.list_tools(cursor=cursor)
            tools += page.tools
            cursor = page.next_cursor
            if cursor is None or len(tools) >= _MAX_TOOLS:
                break
        if cursor is not None or len(tools) > _MAX_TOOLS:
            del tools[_MAX_TOOLS:]
            logger.warning(
                "MCP server %s has more tools than can be offered; the first %d are",
                self._name,
                len(tools),
            )
        return tuple(tools)

    async def call(self, name: str, arguments: dict[str, Any], context: ToolContext) -> Any:
        """Call a tool and return its output. Cancelling it cancels the call at the server.

        Raises:
            ToolError: the tool failed, or the server did.
        """
        client = self._client
        if client is None or self.lost is not None:
            raise ToolError(self.gone)
        token = f"call-{next(self._tokens)}"
        self._calls[token] = context.progress
        try:
            # Progress is asked for here, and told by `_notice`: see `_inbound`.
            result = await client.call_tool(name, arguments, meta={"progress_token": token})
        except Exception as exc:
            raise ToolError(self._what_failed(exc)) from exc
        finally:
            del self._calls[token]
            self._end_if_idle()
        return output_of(result)

    @property
    def usable(self) -> bool:
        """Whether it is open."""
        return self._client is not None and self.opened.is_set() and self.lost is None

    @property
    def gone(self) -> str:
        """What a call is told that can't be made, or whose answer can't come any more."""
        return f"the MCP server {self._name!r} is gone: {self.lost}"

    def close(self) -> None:
        """End the session now."""
        self._lose("it was closed")
        self._over.set()

    def _transport(self) -> AbstractAsyncContextManager[Streams]:
        if isinstance(self._where, Command):
            return self._watched(open_process(self._name, self._where, self._lose))
        return self._watched(open_endpoint(self._where, self._lose))

    @asynccontextmanager
    async def _watched(
        self, transport: AbstractAsyncContextManager[Streams]
    ) -> AsyncIterator[Streams]:
        async with transport as (reading, writing):
            yield Inbound(reading, self._notice, self._hear_the_end), writing

    def _hear_the_end(self) -> None:
        self._lose("the connection has ended")

    def _notice(self, notification: JSONRPCNotification) -> None:
        if notification.method == "notifications/tools/list_changed":
            self.changed = True
        elif notification.method == "notifications/progress":
            params = notification.params or {}
            tell = self._calls.get(str(params.get("progressToken")))
            if tell is not None:
                # Whatever a server says must not end the connection, which is everybody's.
                with suppress(ValueError):
                    tell(progress_of(params))

    def _lose(self, why: str) -> None:
        if self.lost is None:
            self.lost = why
            self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self.lost is not None and not self._calls:
            self._over.set()

    async def _stay(self, client: Client) -> None:
        async with open_plain_nursery() as nursery:
            tools = client.server_capabilities.tools
            if client.protocol_version in MODERN_PROTOCOL_VERSIONS and tools and tools.list_changed:
                nursery.start_soon(self._listen, client)
            try:
                await self._over.wait()
            finally:
                # If the SDK ends the session, calls are told so before this task comes to an end.
                self._lose("the connection broke")
            nursery.cancel_scope.cancel(reason="the session is over")

    async def _listen(self, client: Client) -> None:
        # From 2026-07-28 on, servers tell of changes only those who subscribe.
        while True:
            with suppress(Exception):
                async with client.listen(tools_list_changed=True) as changes:
                    async for _ in changes:
                        pass
            self.changed = True
            await trio.sleep(_LISTEN_AGAIN)

    def _what_failed(self, exc: Exception) -> str:
        if self.lost is not None:
            return f"{self.gone}; whether it has done what it was asked for is unknown"
        if isinstance(exc, MCPError) and exc.code == CONNECTION_CLOSED:
            # It may be gone: the next list of tools shows it.
            self.changed = True
        if isinstance(exc, MCPError | RuntimeError):
            return f"the MCP server {self._name!r} failed: {str(exc)[:_MAX_WORDS]}"
        return f"the MCP server {self._name!r} failed ({type(exc).__name__})"


def _words(where: Where, failures: list[BaseException]) -> str:
    told = [str(each)[:_MAX_WORDS] for each in failures if isinstance(each, MCPError)]
    if told:
        return told[0]
    kinds = {type(each) for each in failures}
    if FileNotFoundError in kinds or NotADirectoryError in kinds:
        if isinstance(where, Command) and where.cwd is not None:
            return f"there is no program {where.name!r}, or no such folder to run it in"
        return f"there is no program {where.name!r}"
    if PermissionError in kinds:
        return f"the program {where.name!r} may not be run"
    return f"it failed ({', '.join(sorted(kind.__name__ for kind in kinds))})"
