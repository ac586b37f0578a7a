"""Requests to the URLs below one base URL.

The rules of this package: our own limiter stands in front of a pool without a limit (a pool that
makes requests wait loses connections when these are cancelled); Trio deadlines instead of read
timeouts; and a response is left only by reading it to its end or by cancelling the task that
reads it, never by dropping an async iterator.
"""

import functools
import math
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import attrs
import trio

from .._nursery import open_plain_nursery
from .errors import TransportError, transport_error
from .exchange import Exchange, Receiver
from .library import httpx
from .pool import PoolTransport
from .proxies import find_proxy
from .response import Response
from .sharing import Share

DEFAULT_CONNECT_DEADLINE = 10.0
"""Seconds to connect, and again to agree on TLS."""


@attrs.frozen(eq=False)
class Transport:
    """Sends requests to the URLs below one base URL. Made by `open_transport`."""

    _client: Any = attrs.field(repr=False)
    _base_url: str
    _limiter: trio.CapacityLimiter

    async def exchange(
        self,
        method: str,
        path: str,
        receiver: Receiver,
        *,
        headers: Mapping[str, str],
        content: bytes = b"",
        connect_deadline: float = DEFAULT_CONNECT_DEADLINE,
    ) -> None:
        """Send a request and hand its response to `receiver` as it comes. A checkpoint.

        All in this task, so that what came is dealt with at once; what the receiver raises is
        raised here. Cancelling it, or an error, closes the connection; after the end it is kept
        for the next request. Redirects within the host are followed.

        Raises:
            TransportError: there was no connection, or it broke.
        """
        try:
            request = self._client.build_request(
                method=method,
                url=self._base_url + path,
                headers={"Accept-Encoding": "identity", **headers},
                content=content,
                timeout=(connect_deadline, None, None, None),
            )
        except Exception as exc:
            if (error := transport_error(exc)) is None:
                raise
            raise error from exc  # the URL is none
        byte_stream: type[object] = type(request.stream)
        request.stream = _body_class(byte_stream)(request.content)  # type: ignore[arg-type]
        borrower = object()  # not the task: it may have several responses open
        await self._limiter.acquire_on_behalf_of(borrower)
        try:
            await Exchange(receiver).run(self._client, request)
        finally:
            self._limiter.release_on_behalf_of(borrower)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        content: bytes = b"",
        connect_deadline: float = DEFAULT_CONNECT_DEADLINE,
        silence: float = math.inf,
    ) -> AsyncGenerator[Response]:
        """Send a request and receive its response in the background while the context lasts.

        Leaving the context, by whatever way, before the response has ended closes its
        connection; after the end the connection is kept for the next request. Exceptions of the
        body come out as they are, in no group.

        After `silence` seconds without a byte the connection is taken for broken.
        """
        response = Response(silence=silence)

        async def receive() -> None:
            error: TransportError | None = None
            try:
                with response.silence.scope as heard:
                    await self.exchange(
                        method,
                        path,
                        response,
                        headers=headers,
                        content=content,
                        connect_deadline=connect_deadline,
                    )
                if heard.cancelled_caught:
                    error = TransportError("cut-stream", f"nothing came for {silence:g} seconds")
            except TransportError as exc:
                error = exc
            response.end(error)

        async with open_plain_nursery() as nursery:
            nursery.start_soon(receive)
            try:
                yield response
            finally:
                response.leave()
            nursery.cancel_scope.cancel("the response was left")


@asynccontextmanager
async def open_transport(
    base_url: str,
    *,
    client: Any = None,
    limiter: trio.CapacityLimiter | None = None,
) -> AsyncGenerator[Transport]:
    """Open connections to the URLs below `base_url`, and close them at the end.

    All that lead to the same host by the same way share their connections as long as any of them
    is open.

    Args:
        base_url: where paths are appended, such as `https://api.example.com/v1`.
        client: an `httpx.AsyncClient`, or a client with the same API, to use instead of an own
            one. It is never closed here.
        limiter: bounds the requests at one time. By default 1000.

    Raises:
        TransportError: `connect`: the environment names a proxy that can't be used.
    """
    base_url = base_url.rstrip("/")
    limiter = limiter or trio.CapacityLimiter(1000)
    if client is not None:
        yield Transport(client, base_url, limiter)
        return
    if base_url.lower().startswith("https:"):
        _ssl_context()  # now rather than within the first request
    proxy = find_proxy(base_url, getproxies())
    scheme, host, *_ = urlsplit(base_url)
    place = scheme, host.rpartition("@")[2].lower(), proxy
    share = Share(place, partial(_connections, proxy))
    # httpx asks no proxy of the environment if it is given a transport.
    async with httpx.AsyncClient(transport=share) as own_client:
        yield Transport(own_client, base_url, limiter)


def _connections(proxy: str | None) -> httpx.AsyncBaseTransport:
    if proxy is None:
        return PoolTransport(_ssl_context)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    try:
        return httpx.AsyncHTTPTransport(verify=_ssl_context(), limits=limits, proxy=proxy)
    except (ImportError, ValueError, httpx.InvalidURL) as exc:
        # Its URL may hold a password, and what is wrong with it may quote the URL.
        problem = str(exc) if isinstance(exc, ImportError) else "its URL can't be understood"
        raise TransportError(
            "connect",
            f"the proxy in the environment (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY): {problem}",
        ) from exc


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # loads all certificates, which takes some 30 ms


@functools.cache
def _body_class(byte_stream: type[object]) -> type[Any]:
    """Derive a request body that is iterated without an async generator.

    httpcore drops the body's iterator when it is cancelled while it sends. An async generator
    would then be left to the garbage collector, about which Trio warns.
    """
    return type("Body", (byte_stream,), {"__aiter__": lambda self: _BodyIterator(iter(self))})


@attrs.define
class _BodyIterator:
    _chunks: Iterator[bytes]

    def __aiter__(self) -> "_BodyIterator":
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration
