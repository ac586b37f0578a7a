"""Opening a client: its URL says over which wire it talks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from .._http import open_transport
from .._nursery import expect_trio
from ._client import Client
from ._http import HTTPWire
from ._websocket import WebSocketWire


@asynccontextmanager
async def open_client(
    url: str,
    *,
    token: str | None = None,
    patience: float = 60.0,
    heartbeat_deadline: float = 45.0,
    client: Any = None,
) -> AsyncIterator[Client]:
    """Open a client of the server at `url`.

    Args:
        url: such as ``http://127.0.0.1:8000``, or ``ws://127.0.0.1:8001`` for WebSocket. Below a
            path, if the server is mounted there: ``https://example.com/agents``.
        token: sent as a bearer token.
        patience: seconds without a connection after which a subscription gives up.
        heartbeat_deadline: seconds without a sign of life after which a subscription takes its
            connection for dead, and connects anew. A server sends one every 15 seconds; over
            WebSocket the client asks for one.
        client: an `httpx.AsyncClient`, or one with the same API, to use instead of an own one;
            not for WebSocket.

    Raises:
        RuntimeError: this is no Trio task, but asyncio, for instance.
        ValueError: `url` is no URL of a server.
    """
    expect_trio()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
        raise ValueError(f"{url!r} is no URL of a server, such as http://127.0.0.1:8000")
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    if parts.scheme in ("ws", "wss"):
        yield Client(WebSocketWire(url, headers, heartbeat_deadline), patience)
        return
    base_url = f"{parts.scheme}://{parts.netloc}{parts.path}"
    async with open_transport(base_url, client=client) as transport:
        yield Client(HTTPWire(transport, headers, heartbeat_deadline), patience)
