"""Connections for httpcore whose reads and writes cost no more than they have to.

httpcore opens a cancel scope around each read and write even if it has no deadline. Ours never
have one (Trio's deadlines stand around the whole exchange), and a token is a read.
"""

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import trio

from .library import httpcore

# Of a socket, of a Trio stream around one, of one that we closed ourselves.
_BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class Backend(httpcore.TrioBackend):
    """httpcore's backend for Trio, with connections of ours."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a host.

        Raises:
            httpcore.ConnectTimeout, httpcore.ConnectError: that failed.
        """
        try:
            with _deadline(timeout, httpcore.ConnectTimeout):
                stream = await trio.open_tcp_stream(host, port, local_address=local_address)
            for option in socket_options or ():
                stream.setsockopt(*option)
        except _BROKEN as exc:
            raise httpcore.ConnectError(str(exc)) from exc
        return Connection(stream)


class Connection(httpcore.AsyncNetworkStream):
    """A socket, or TLS on it."""

    def __init__(
        self, socket_stream: trio.SocketStream, tls: trio.SSLStream[trio.SocketStream] | None = None
    ) -> None:
        self._socket = socket_stream.socket
        self._stream: trio.abc.Stream = socket_stream if tls is None else tls
        self._socket_stream = socket_stream
        self._receive: Any = self._socket.recv if tls is None else tls.receive_some

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Return what has come, `b""` at the end. If cancelled, nothing is lost."""
        if timeout is not None:
            with _deadline(timeout, httpcore.ReadTimeout):
                return await self.read(max_bytes)
        try:
            data: bytes = await self._receive(max_bytes)
        except _BROKEN as exc:
            raise httpcore.ReadError(str(exc)) from exc
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Send all of it."""
        if timeout is not None:
            with _deadline(timeout, httpcore.WriteTimeout):
                await self.write(buffer)
            return
        try:
            await self._stream.send_all(buffer)
        except _BROKEN as exc:
            raise httpcore.WriteError(str(exc)) from exc

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """Agree on TLS; returns the connection to use from now on."""
        tls = trio.SSLStream(
            self._socket_stream, ssl_context, server_hostname=server_hostname, https_compatible=True
        )
        try:
            with _deadline(timeout, httpcore.ConnectTimeout):
                await tls.do_handshake()
        except _BROKEN as exc:
            await self.aclose()
            raise httpcore.ConnectError(str(exc.__cause__ or exc)) from exc
        except BaseException:
            self._socket.close()
            raise
        return Connection(self._socket_stream, tls)

    def get_extra_info(self, info: str) -> Any:
        """Tell the `socket`, and whether it `is_readable`, which an idle one is when it ends."""
        if info == "socket":
            return self._socket
        if info == "is_readable":
            return self._socket.is_readable()
        return None


@contextmanager
def _deadline(seconds: float | None, error: type[Exception]) -> Iterator[None]:
    try:
        with trio.CancelScope() if seconds is None else trio.fail_after(seconds):
            yield
    except trio.TooSlowError as exc:
        raise error(f"not within {seconds} s") from exc
