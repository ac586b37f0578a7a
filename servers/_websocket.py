"""The WebSocket server: handshakes under guard, and the end of connections."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import msgspec
import trio
from starlette.requests import HTTPConnection
from trio_websocket import WebSocketConnection, WebSocketRequest, wrap_server_stream
from wsproto.utilities import LocalProtocolError

from trio_agent import Agent, OnDisconnect, Runtime
from trio_agent._peer_stream import PeerStream

from ._guard import Guard
from ._problem import Problem, problem_of
from ._service import Service
from ._ws_requests import MAX_MESSAGE
from ._ws_session import Session

logger = logging.getLogger("trio_agent.servers")

_HARD_LIMIT: Final = 4 * MAX_MESSAGE
"""Characters of a message at which the library gives up, and closes with 1009."""

_HANDSHAKE: Final = 10.0
"""Seconds for the whole handshake."""

_CLOSE: Final = 2.0
"""Seconds that a peer may take to answer a Close frame."""

_LINGER: Final = 8.0
"""Seconds that connections may take at the end before they are cut."""


class WebSocketServer:
    """Serves each connection that it is given.

    Args:
        service: what it serves.
        guard: who may talk to it; by default everybody, under loopback names only.
        write_deadline: seconds after which a client that doesn't read is cut off.
        ping_interval: seconds between two pings.
        pong_deadline: seconds after which a client that does not answer one is cut off.
        max_connections: connections at one time; more are closed as they come.
    """

    def __init__(
        self,
        service: Service,
        guard: Guard | None = None,
        *,
        write_deadline: float = 10.0,
        ping_interval: float = 15.0,
        pong_deadline: float = 30.0,
        max_connections: int = 10_000,
    ) -> None:
        self._service = service
        self._guard = guard or Guard()
        self._write_deadline = write_deadline
        self._ping_interval = ping_interval
        self._pong_deadline = pong_deadline
        self._max_connections = max_connections
        self._connections = 0
        self._drained = trio.Event()

    async def serve(
        self, listeners: Sequence[trio.SocketListener], *, until: Callable[[], Awaitable[object]]
    ) -> None:
        """Accept connections until `until()` returns, then end those that are open.

        Takes some seconds to end them. If cancelled, they are cut at once.
        """
        async with trio.open_nursery() as handlers:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(
                    partial(
                        trio.serve_listeners,
                        self.serve_connection,
                        list(listeners),
                        handler_nursery=handlers,
                    )
                )
                await until()
                accepting.cancel_scope.cancel(reason="drained")
            self._drained.set()
            handlers.cancel_scope.deadline = trio.current_time() + _LINGER

    async def serve_connection(self, socket_stream: trio.SocketStream) -> None:
        """Serve one connection to its end."""
        if self._connections >= self._max_connections:
            await trio.aclose_forcefully(socket_stream)
            return
        self._connections += 1
        stream = PeerStream(socket_stream, self._write_deadline)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.close_when_cancelled)
                await self._serve_stream(stream)
                await stream.linger()
                nursery.cancel_scope.cancel(reason="the connection has ended")
        finally:
            self._connections -= 1

    async def _serve_stream(self, stream: PeerStream) -> None:
        try:
            async with trio.open_nursery() as reading:  # where trio-websocket's reader lives
                reading.start_soon(_cancel_when_ended, stream, reading.cancel_scope)
                with trio.move_on_after(_HANDSHAKE):
                    websocket = await self._shake_hands(stream, reading)
                    if websocket is not None:
                        await self._serve_websocket(websocket)
                reading.cancel_scope.cancel(reason="the connection has ended")
        except* (LocalProtocolError, UnicodeError):
            pass  # So the library tells of some things that a peer did wrong.
        except* Exception:
            logger.exception("a WebSocket connection failed by a bug")
