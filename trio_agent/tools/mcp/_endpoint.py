"""A server behind a URL, over the SDK's streamable HTTP.

What the SDK's transport does about failures is not enough for many calls on one connection: a
request that finds no server ends the connection, with all calls that others have open, and of an
error status nobody is told which it was. So our client answers for a server that can't be reached,
and says in a JSON-RPC error what came instead of one. That fails one request only.

- Nothing is said of the URL. A status is said, the page that came with it is not.
- A server that can't be reached, or has forgotten the session, is lost.
- Messages are bounded. Nothing but connecting is bounded in time: calls have deadlines.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import trio
from mcp.client.streamable_http import MCP_SESSION_ID, streamable_http_client
from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR

from ..._http.library import httpx
from ._inbound import Streams
from ._process import MAX_MESSAGE
from ._where import Endpoint

_CONNECT: Final = 10.0
"""Seconds to connect, and again to agree on TLS."""
_CLOSING: Final = 2.0
"""Seconds to say that the session is over."""


@asynccontextmanager
async def open_endpoint(where: Endpoint, on_lost: Callable[[str], None]) -> AsyncIterator[Streams]:
    """Talk to a server. Nothing is sent before something is asked.

    Args:
        where: its URL, and what goes with each request.
        on_lost: called with what happened when nothing more can be asked.
    """
    client: Any = _Client(where, on_lost)
    async with (
        client,
        streamable_http_client(
            where.url, http_client=client, max_sse_event_size=MAX_MESSAGE
        ) as streams,
    ):
        yield streams


class _Client(httpx.AsyncClient):
    def __init__(self, where: Endpoint, on_lost: Callable[[str], None]) -> None:
        super().__init__(
            headers={"Accept-Encoding": "identity", **where.headers},
            timeout=httpx.Timeout(None, connect=_CONNECT),
            limits=httpx.Limits(max_connections=None),
        )
        self._on_lost = on_lost

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request and return the response, whatever happens. A checkpoint."""
        if request.method == "DELETE":
            return await self._take_leave(request, options)
        try:
            response = await super().send(request, **options)
        except httpx.TransportError as exc:
            what = f"it can't be reached ({type(exc).__name__})"
            self._on_lost(what)
            return _complaint(request, 503, CONNECTION_CLOSED, what)
        status = response.status_code
        if status < 400:
            if response.headers.get("content-type", "").lower().startswith("application/json"):
                response.stream = _Body(response.stream)
            return response
        if status == 404 and MCP_SESSION_ID in request.headers:
            await response.aclose()
            what = "it knows the session no more"
            self._on_lost(what)
            return _complaint(request, status, CONNECTION_CLOSED, what)
        if response.headers.get("content-type", "").lower().startswith("application/json"):
            response.stream = _Body(response.stream)
            return response
        await response.aclose()
        return _complaint(request, status, INTERNAL_ERROR, f"it answered with status {status}")

    async def _take_leave(self, request: httpx.Request, options: Any) -> httpx.Response:
        """Whether the server hears that the session is over is its own affair."""
        with trio.move_on_after(_CLOSING):
            with suppress(httpx.TransportError):
                await (await super().send(request, **options)).aclose()
        return httpx.Response(204, request=request)


def _complaint(request: httpx.Request, status: int, code: int, message: str) -> httpx.Response:
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    return httpx.Response(
        status,
        headers={"Content-Type": "application/json"},
        content=json.dumps(error).encode(),
        request=request,
    )


class _Body(httpx.AsyncByteStream):
    """A body that is read as a whole: bounded, and of one request when it breaks."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        try:
            async for data in self._stream:
                size += len(data)
                if size > MAX_MESSAGE:
                    raise httpx.StreamError(f"it is larger than {MAX_MESSAGE // 2**20} MiB")
                yield data
        except httpx.TransportError as exc:
            raise httpx.StreamError(f"it broke ({type(exc).__name__})") from exc

    async def aclose(self) -> None:
        await self._stream.aclose()
