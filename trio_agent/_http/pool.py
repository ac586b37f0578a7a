"""Requests of httpx over httpcore's pool, on connections of ours.

httpx's own transport has no option for the network backend. This one stands in its place behind
httpx's public interface, and passes httpcore's exceptions on as they are: `transport_error` knows
both families.
"""

import functools
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

from .backend import Backend
from .library import httpcore, httpx


class PoolTransport(httpx.AsyncBaseTransport):
    """Keeps connections for the next request, 20 at most, for 30 seconds.

    How many are open at one time is bounded by the limiter of `Transport`: a pool that makes
    requests wait loses connections when these are cancelled (encode/httpcore#1093).

    Args:
        trust: loads the certificates that are trusted. Only called if a URL needs TLS.
    """

    def __init__(self, trust: Callable[[], ssl.SSLContext]) -> None:
        self._trust = trust
        self._pools: dict[bytes, Any] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its response, whose body is not read yet."""
        url = request.url
        pool = self._pools.get(url.raw_scheme)
        if pool is None:
            pool = self._pools[url.raw_scheme] = self._make_pool(url.scheme)
        response = await pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response.stream),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            await pool.aclose()

    def _make_pool(self, scheme: str) -> Any:
        tls = self._trust() if scheme == "https" else _trusts_nobody()
        return httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=None,
            max_keepalive_connections=20,  # counted anew for each of them, at each request
            keepalive_expiry=30.0,
            network_backend=Backend(),
        )


@functools.cache
def _trusts_nobody() -> ssl.SSLContext:
    # Not used, but httpcore would load certificates of its own if it got none.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        iterator: AsyncIterator[bytes] = self._stream.__aiter__()
        return iterator

    async def aclose(self) -> None:
        await self._stream.aclose()
