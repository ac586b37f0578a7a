"""Streamed HTTP responses over httpx, which nothing else imports.

The rules of this module: our own limiter stands in front of a pool without a limit (a pool that
makes requests wait loses connections when these are cancelled); Trio deadlines instead of read
timeouts; and a response is left only by reading it to its end or by cancelling the task that
reads it, never by dropping an async iterator.
"""

import functools
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import attrs
import httpcore
import httpx
import trio

from .._errors import TrioAgentError
from .._nursery import open_plain_nursery
from .backend import Backend
from .before_waiting import BeforeWaiting

DEFAULT_CONNECT_DEADLINE = 10.0
"""Seconds to connect, and again to agree on TLS."""

_MAX_UNREAD = 1 << 16
_LIMITS = httpx.Limits(
    max_connections=None,
    max_keepalive_connections=20,  # httpcore counts them for each of them, at each request
    keepalive_expiry=30.0,
)

# The exceptions of httpx and of clients with the same API (which have classes of their own), by
# the names of the class and its bases; the most specific name decides.
_CODES: Mapping[str, str] = {
    "ConnectTimeout": "timeout-connect",
    "ConnectError": "connect",
    "ProxyError": "connect",
    "UnsupportedProtocol": "connect",
    "TransportError": "cut-stream",
    "InvalidURL": "connect",
}


class TransportError(TrioAgentError):
    """The way to a server failed.

    `code` is `connect` or `timeout-connect` (no connection, so the server saw nothing), or
    `cut-stream` (a connection broke; the server may have done the work).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Response:
    """A response that is being received. Only one task may read it."""

    def __init__(self) -> None:
        self._head: tuple[int, Mapping[str, str]] | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = False
        self._left = False
        self._error: TransportError | None = None
        self._news = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()

    async def head(self) -> tuple[int, Mapping[str, str]]:
        """Wait for the status and the headers (whose names are case-insensitive). A checkpoint.

        Raises:
            TransportError: there was no connection, or it broke before the headers came.
        """
        if self._head is not None or self._ended:
            await trio.lowlevel.checkpoint()
        while self._head is None and not self._ended:
            await self._news.park()
        if self._head is None:
            assert self._error is not None
            raise self._error
        return self._head

    @property
    def error(self) -> TransportError | None:
        """What broke the connection, if anything did so far."""
        return self._error

    async def receive(self) -> bytes:
        """Return everything that has come since the last call, or `b""` at the end.

        A checkpoint. If cancelled, nothing is lost.

        Raises:
            TransportError: the connection broke. What came before was returned before.
        """
        if self._chunks or self._ended:
            await trio.lowlevel.checkpoint()
        while not self._chunks and not self._ended:
            await self._news.park()
        if not self._chunks:
            if self._error is not None:
                raise self._error
            return b""
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        self._room.unpark_all()
        return data

    async def receive_rest(self, *, seconds: float, max_bytes: int) -> bytes:
        """Return what comes until the end, a bound or a broken connection. A checkpoint.

        A response whose end was read leaves its connection to the next request. Whether it broke
        is told by `error`.
        """
        rest = b""
        with trio.move_on_after(seconds):
            try:
                while len(rest) < max_bytes and (data := await self.receive()):
                    rest += data
            except TransportError:
                pass
        return rest[:max_bytes]

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Hear the head."""
        self._head = status, headers
        self._news.unpark_all()

    def end(self, error: TransportError | None) -> None:
        """Hear that no more will come, and why if it is not the end."""
        self._error = error
        self._ended = True
        self._news.unpark_all()

    def leave(self) -> None:
        """Say that nobody will read any more."""
        self._left = True
        self._room.unpark_all()

    def put(self, data: bytes) -> bool:
        """Hand over what came in one read; False if the reader is far behind."""
        self._chunks.append(data)
        self._size += len(data)
        self._news.unpark_all()
        return self._size < _MAX_UNREAD

    async def room(self) -> None:
        """Wait while the reader is far behind."""
        while self._size >= _MAX_UNREAD and not self._left:
            await self._room.park()


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
        *,
        on_head: Callable[[int, Mapping[str, str]], None],
        on_data: Callable[[bytes], bool],
        room: Callable[[], Awaitable[None]],
        headers: Mapping[str, str],
        content: bytes = b"",
        connect_deadline: float = DEFAULT_CONNECT_DEADLINE,
    ) -> None:
        """Send a request and pass its response on as it comes, until its end. A checkpoint.

        All in this task, so that what came is dealt with at once: `on_data` gets what came in one
        read; if it returns False, `room` is awaited before more is read. What they raise is
        raised here.
        Cancelling it, or an error, closes the connection; after the end it is kept for the next
        request.

        Raises:
            TransportError: there was no connection, or it broke.
        """
        request = {
            "method": method,
            "url": self._base_url + path,
            "headers": {"Accept-Encoding": "identity", **headers},
            "content": content,
            "timeout": (connect_deadline, None, None, None),
        }
        borrower = object()  # not the task: it may have several responses open
        await self._limiter.acquire_on_behalf_of(borrower)
        try:
            await _exchange(self._client, request, on_head, on_data, room)
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
    ) -> AsyncGenerator[Response]:
        """Send a request and receive its response in the background while the context lasts.

        Leaving the context, by whatever way, before the response has ended closes its
        connection; after the end the connection is kept for the next request. Exceptions of the
        body come out as they are, in no group.
        """
        response = Response()

        async def receive() -> None:
            error: TransportError | None = None
            try:
                await self.exchange(
                    method,
                    path,
                    on_head=response.begin,
                    on_data=response.put,
                    room=response.room,
                    headers=headers,
                    content=content,
                    connect_deadline=connect_deadline,
                )
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


async def _exchange(
    client: Any,
    request: Mapping[str, Any],
    on_head: Callable[[int, Mapping[str, str]], None],
    on_data: Callable[[bytes], bool],
    room: Callable[[], Awaitable[None]],
) -> None:
    # What ends the reading has to rise in httpx's innermost read: an iterator that is dropped
    # in the middle would be left to the garbage collector. So a failure cancels, and waits.
    failure: BaseException | None = None
    chunks: list[bytes] = []
    has_room = True

    def deliver() -> None:
        nonlocal failure, has_room
        if chunks and failure is None:
            try:
                has_room = on_data(b"".join(chunks))
            except Exception as exc:
                failure = exc
                reading.cancel(reason="the response is not wanted any more")
        chunks.clear()

    async def receive() -> None:
        nonlocal failure, has_room
        source = await client.send(_build_request(client, request), stream=True)
        on_head(source.status_code, source.headers)
        async for chunk in source.stream:
            chunks.append(chunk)
            if not has_room and failure is None:
                has_room = True
                try:
                    await room()
                except BaseException as exc:  # noqa: ASYNC103
                    failure = exc
                    reading.cancel(reason="the response is not wanted any more")
        await source.aclose()

    try:
        with trio.CancelScope() as reading:
            await BeforeWaiting(receive(), deliver)
            deliver()
    except Exception as exc:
        code = _code(exc)
        if code is None or failure is not None:
            raise
        raise TransportError(code, str(exc) or type(exc).__name__) from exc
    if failure is not None:
        raise failure


@asynccontextmanager
async def open_transport(
    base_url: str,
    *,
    client: Any = None,
    limiter: trio.CapacityLimiter | None = None,
) -> AsyncGenerator[Transport]:
    """Open connections to the URLs below `base_url`, and close them at the end.

    Args:
        base_url: where paths are appended, such as `https://api.example.com/v1`.
        client: an `httpx.AsyncClient`, or a client with the same API, to use instead of an own
            one. It is never closed here.
        limiter: bounds the requests at one time. By default 1000.
    """
    base_url = base_url.rstrip("/")
    limiter = limiter or trio.CapacityLimiter(1000)
    if client is not None:
        yield Transport(client, base_url, limiter)
        return
    # A proxy is not asked for this machine: it could not reach it, and would see the key.
    trust_env = urlsplit(base_url).hostname not in ("127.0.0.1", "::1", "localhost")
    verify = _ssl_context() if base_url.lower().startswith("https:") else _no_certificates()
    async with httpx.AsyncClient(
        trust_env=trust_env,
        verify=verify,
        limits=_LIMITS,
        # httpx asks no proxy of the environment if it is given a transport.
        transport=None if trust_env and getproxies() else _DirectTransport(verify),
    ) as own_client:
        yield Transport(own_client, base_url, limiter)


class _DirectTransport(httpx.AsyncHTTPTransport):
    """httpx's transport on connections of ours."""

    def __init__(self, verify: ssl.SSLContext) -> None:
        super().__init__(verify=verify)
        # httpx has no option for the backend. Should it keep its pool elsewhere one day, then
        # connections are httpcore's own again: slower, and otherwise the same.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=verify,
            max_connections=_LIMITS.max_connections,
            max_keepalive_connections=_LIMITS.max_keepalive_connections,
            keepalive_expiry=_LIMITS.keepalive_expiry,
            network_backend=Backend(),
        )


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # loads all certificates, which takes some 30 ms


@functools.cache
def _no_certificates() -> ssl.SSLContext:
    """Trusts nobody, at no cost: for URLs that need no TLS."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _build_request(client: Any, request: Mapping[str, Any]) -> Any:
    built = client.build_request(**request)
    byte_stream: type[object] = type(built.stream)
    built.stream = _body_class(byte_stream)(built.content)  # type: ignore[arg-type]
    return built


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


def _code(exc: Exception) -> str | None:
    return next((_CODES[cls.__name__] for cls in type(exc).__mro__ if cls.__name__ in _CODES), None)
