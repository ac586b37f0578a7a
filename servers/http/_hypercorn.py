"""Hypercorn's HTTP/1.1 on sockets of ours, so that no client can hold up the others or the end.

Hypercorn's own `serve` shields every send without a deadline and upgrades to HTTP/2, which
buffers without bound behind a slow reader. Here a client has to read, and HTTP/1.1 is all.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, cast

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr
from starlette.types import ASGIApp

from .._shared.accept import serve_connections
from .._shared.peer_stream import PeerStream

_LINGER: Final = 5.0
"""Seconds that open responses may take at the end before they are cut."""

_FIRST: Final = 15.0
"""Seconds that a connection may take to send the head of its first request."""

_VANISHED: Final = 30.0
"""Seconds after which a peer that acknowledges nothing is given up."""


class _HTTP11(H11Protocol):
    async def _check_protocol(self, event: h11.Request) -> None:
        """Upgrade to nothing."""

    async def _create_stream(self, request: h11.Request) -> None:
        names = {name for name, _ in request.headers}
        if {b"content-length", b"transfer-encoding"} <= names:
            # Somebody on the way may have read another request out of it (RFC 9112, section 6.1).
            await self._send_error_response(400)
            await self.send(Closed())
            return
        # Without its Upgrade header, a request for a WebSocket is one like any other (RFC 9110,
        # section 7.8), which the guard sees.
        headers = [(name, value) for name, value in request.headers if name != b"upgrade"]
        if len(headers) < len(request.headers):
            request = h11.Request(
                method=request.method,
                target=request.target,
                headers=headers,
                http_version=request.http_version,
            )
        await super()._create_stream(request)


class _Connection(TCPServer):
    """One client. What it is sent goes through `peer`."""

    peer: PeerStream

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._reading = trio.CancelScope()
        self._patience = _FIRST
        self._gone = False

    async def run(self) -> None:
        """Serve the client until the connection ends."""
        socket = self.stream.socket
        with suppress(OSError):
            client = parse_socket_addr(socket.family, socket.getpeername())
            server = parse_socket_addr(socket.family, socket.getsockname())
            async with TaskGroup() as task_group:
                self._task_group = task_group
                self.protocol = _HTTP11(  # type: ignore[assignment]
                    self.app,
                    self.config,
                    self.context,
                    task_group,
                    ConnectionState(self.state),
                    False,
                    client,
                    server,
                    self.protocol_send,
                )
                await self.idle_task.restart(task_group, self._idle_timeout)
                with self._reading:
                    await self._read_data()
                self._gone = True
                await self.idle_task.stop()
        await trio.aclose_forcefully(self.stream)

    async def protocol_send(self, event: Event) -> None:
        """Write bytes, or pass anything else on."""
        if isinstance(event, RawData):
            await self._send(event.data)
            return
        if isinstance(event, Updated):
            self._patience = self.config.keep_alive_timeout
        if not (isinstance(event, Updated) and self._gone):
            await super().protocol_send(event)
        # else nobody waits for a request of a client that is gone

    async def _idle_timeout(self) -> None:
        with trio.move_on_after(self._patience):
            await self.context.terminated.wait()
        with trio.CancelScope(shield=True):
            await self._initiate_server_close()

    async def _send(self, data: bytes) -> None:
        try:
            await self.peer.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            try:
                await self.protocol.handle(Closed())
            finally:
                # It may be waiting for the response's end, to read what the client pipelined.
                self._reading.cancel(reason="the client is cut off or gone")


def _notice_vanished(stream: trio.SocketStream) -> None:
    # A peer whose machine is gone acknowledges nothing, and would be a viewer for many minutes.
    # Linux only; elsewhere TCP's own patience decides.
    option = getattr(trio.socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        with suppress(OSError):
            stream.setsockopt(trio.socket.IPPROTO_TCP, option, int(_VANISHED * 1000))


async def serve_asgi(
    app: ASGIApp,
    listeners: list[trio.SocketListener],
    *,
    until: Callable[[], Awaitable[object]],
    write_deadline: float = 10.0,
    keep_alive: float = 75.0,
    max_connections: int = 10_000,
    root_path: str = "",
) -> None:
    """Serve an ASGI app until `until()` returns, then finish what is open, within 5 seconds.

    If cancelled, connections are cut at once.

    Args:
        app: the ASGI 3 app; it gets no lifespan scope.
        listeners: where to accept.
        until: returns when no new connections are to be accepted.
        write_deadline: seconds after which a client that doesn't read is cut off.
        keep_alive: seconds that a connection may idle between two requests.
        max_connections: connections at one time; more are answered with 503.
        root_path: what the app is told of the path at which it is shown.
    """
    config = Config()
    config.include_server_header = False
    config.keep_alive_timeout = keep_alive
    config.root_path = root_path
    context = WorkerContext(None)

    async def serve(stream: trio.SocketStream) -> None:
        _notice_vanished(stream)
        connection = _Connection(
            cast(AppWrapper, ASGIWrapper(cast(Any, app))), config, context, {}, stream
        )
        connection.peer = PeerStream(stream, write_deadline, shield=False)
        await connection.run()

    await serve_connections(
        serve,
        listeners,
        until=until,
        tell=context.terminated.set,
        linger=_LINGER,
        max_connections=max_connections,
    )
