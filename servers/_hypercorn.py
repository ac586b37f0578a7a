"""Hypercorn's HTTP/1.1 on sockets of ours, so that no client can hold up the others or the end.

Hypercorn's own `serve` shields every send without a deadline and upgrades to HTTP/2, which
buffers without bound behind a slow reader. Here a send has a deadline, and HTTP/1.1 is all.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, cast

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr
from starlette.types import ASGIApp

logger = logging.getLogger("trio_agent.servers")

_LINGER: Final = 5.0
"""Seconds that open responses may take at the end before they are cut."""


class _HTTP11(H11Protocol):
    async def _check_protocol(self, event: h11.Request) -> None:
        """Upgrade to nothing."""


class _Connection(TCPServer):
    """One client.

    `write_deadline` is in seconds: who takes longer to read what one send wrote is cut off.
    """

    write_deadline: float

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._sending = trio.CancelScope(shield=True)

    def hurry(self, deadline: float) -> None:
        """Let what is being sent now take until `deadline` at most."""
        self._sending.deadline = min(self._sending.deadline, deadline)

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
                await self._read_data()
        await trio.aclose_forcefully(self.stream)

    async def protocol_send(self, event: Event) -> None:
        """Write bytes, or pass anything else on."""
        if not isinstance(event, RawData):
            await super().protocol_send(event)
            return
        async with self.send_lock:
            with trio.CancelScope(shield=True) as self._sending:
                self._sending.deadline = trio.current_time() + self.write_deadline
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self.stream.send_all(event.data)
                    return
        # Cut off or gone: half a message may be written, so that nothing can follow it.
        await trio.aclose_forcefully(self.stream)
        await self.protocol.handle(Closed())


async def serve_asgi(
    app: ASGIApp,
    listeners: list[trio.SocketListener],
    *,
    until: Callable[[], Awaitable[object]],
    write_deadline: float = 10.0,
    max_connections: int = 10_000,
) -> None:
    """Serve an ASGI app until `until()` returns, then finish what is open, within seconds.

    If cancelled, connections are cut at once.

    Args:
        app: the ASGI 3 app; it gets no lifespan scope.
        listeners: where to accept.
        until: returns when no new connections are to be accepted.
        write_deadline: seconds after which a client that doesn't read is cut off.
        max_connections: connections at one time; more are closed as they come.
    """
    config = Config()
    config.include_server_header = False
    config.keep_alive_timeout = 15
    context = WorkerContext(None)
    connections: set[_Connection] = set()

    async def serve_connection(stream: trio.SocketStream) -> None:
        if len(connections) >= max_connections:
            await trio.aclose_forcefully(stream)
            return
        connection = _Connection(
            cast(AppWrapper, ASGIWrapper(cast(Any, app))), config, context, {}, stream
        )
        connection.write_deadline = write_deadline
        connections.add(connection)
        try:
            await connection.run()
        except Exception:
            logger.exception("a connection failed by a bug")
        finally:
            connections.discard(connection)

    async with trio.open_nursery() as handlers:
        try:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(
                    partial(
                        trio.serve_listeners,
                        serve_connection,
                        listeners,
                        handler_nursery=handlers,
                    )
                )
                await until()
                accepting.cancel_scope.cancel()
            await context.terminated.set()
            handlers.cancel_scope.deadline = trio.current_time() + _LINGER
        except trio.Cancelled:
            for connection in connections:
                connection.hurry(trio.current_time())
            raise
        for connection in connections:
            connection.hurry(handlers.cancel_scope.deadline)
