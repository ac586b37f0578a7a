"""The WebSocket server: handshakes under guard, and the end of connections."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import h11
import msgspec
import trio
from starlette.requests import HTTPConnection
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    wrap_server_stream,
)
from wsproto.utilities import LocalProtocolError

from trio_agent import Agent, OnDisconnect, Runtime

from .._shared.accept import serve_connections
from .._shared.addresses import address_of, require_guard
from .._shared.guard import Caller, Guard
from .._shared.intake import LARGEST_AT_ONCE, Intake
from .._shared.problem import Problem, problem_of
from .._shared.service import Service
from ._closing_stream import ClosingStream
from ._requests import MAX_MESSAGE
from ._session import Session

logger = logging.getLogger("trio_agent.servers")

_HARD_LIMIT: Final = 2
"""Times what a message may have: characters at which the library gives up, and closes with 1009."""

_BEARER: Final = "bearer"
"""The subprotocol behind which a token may stand. Who offers it has to get it."""

_READ: Final = 1024
"""Bytes that are read at once: others get their turn behind each, however tiny frames are."""

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
        max_message: bytes of a request.
        max_connections: connections at one time; more are answered with 503.
    """

    def __init__(
        self,
        service: Service,
        guard: Guard | None = None,
        *,
        write_deadline: float = 10.0,
        ping_interval: float = 15.0,
        pong_deadline: float = 30.0,
        max_message: int = MAX_MESSAGE,
        max_connections: int = 10_000,
    ) -> None:
        self._service = service
        self._guard = guard or Guard()
        self._write_deadline = write_deadline
        self._ping_interval = ping_interval
        self._pong_deadline = pong_deadline
        self._max_message = max_message
        self._max_connections = max_connections
        self._drained = trio.Event()
        self._intake = Intake(LARGEST_AT_ONCE * max_message)

    async def serve(
        self, listeners: Sequence[trio.SocketListener], *, until: Callable[[], Awaitable[object]]
    ) -> None:
        """Accept connections until `until()` returns, then end those that are open.

        Takes some seconds to end them. If cancelled, they are cut at once.
        """
        await serve_connections(
            self.serve_connection,
            listeners,
            until=until,
            tell=self._tell,
            linger=_LINGER,
            max_connections=self._max_connections,
        )

    async def _tell(self) -> None:
        self._drained.set()

    async def serve_connection(self, socket_stream: trio.SocketStream) -> None:
        """Serve one connection to its end."""
        stream = ClosingStream(socket_stream, self._write_deadline, self._intake)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.close_when_cancelled)
                await self._serve_stream(stream)
                await stream.linger()
                nursery.cancel_scope.cancel(reason="the connection has ended")
        finally:
            stream.share.clear()

    async def _serve_stream(self, stream: ClosingStream) -> None:
        try:
            async with trio.open_nursery() as reading:  # where trio-websocket's reader lives
                reading.start_soon(_cancel_when_ended, stream, reading.cancel_scope)
                shaken = await self._shake_hands(stream, reading)
                if shaken is not None:
                    await self._serve_websocket(*shaken, stream)
                reading.cancel_scope.cancel(reason="the connection has ended")
        except* (ConnectionClosed, LocalProtocolError, h11.ProtocolError, UnicodeError):
            pass  # So the library tells of some things that a peer did wrong.
        except* Exception:
            logger.exception("a WebSocket connection failed by a bug")

    async def _shake_hands(
        self, stream: ClosingStream, nursery: trio.Nursery
    ) -> tuple[WebSocketConnection, Caller] | None:
        """Accept a client and return who it is, too; refuse it and return None."""
        limit = _HARD_LIMIT * self._max_message
        with trio.move_on_after(_HANDSHAKE):
            request = await wrap_server_stream(
                nursery, stream, max_message_size=limit, receive_buffer_size=_READ
            )
            connection = _asgi_connection(request)
            try:
                if connection["path"] != "/":
                    raise Problem(404, "not-found", "the WebSocket is at /")
                caller = await self._guard.check(connection)
            except Exception as exc:
                problem = problem_of(exc)
                if problem.status == 500:
                    logger.error("a WebSocket handshake failed by a bug", exc_info=exc)
                await _reject(request, problem)
            else:
                offered = [p for p in _subprotocols(request) if p.lower() == _BEARER]
                websocket = await request.accept(subprotocol=offered[0] if offered else None)
                stream.websocket = websocket
                return websocket, caller
        return None

    async def _serve_websocket(
        self, websocket: WebSocketConnection, caller: Caller, stream: ClosingStream
    ) -> None:
        session = Session(
            self._service,
            caller,
            websocket,
            stream,
            drained=self._drained,
            ping_interval=self._ping_interval,
            pong_deadline=self._pong_deadline,
            max_message=self._max_message,
        )
        code = 1012  # unless the client is gone, in which case no code is sent
        try:
            await session.run()
        except Exception:
            logger.exception("a WebSocket connection failed by a bug")
            code = 1011
        with trio.move_on_after(_CLOSE):
            await websocket.aclose(code)


async def _cancel_when_ended(stream: ClosingStream, scope: trio.CancelScope) -> None:
    await stream.ended.wait()
    scope.cancel(reason="the client is gone")


def _asgi_connection(request: WebSocketRequest) -> HTTPConnection:
    """Show a handshake in the form that guards check, whatever the wire."""
    path, _, query = request.path.partition("?")
    # The library keeps these two from the headers.
    host: str = request._event.host  # noqa: SLF001
    protocols = ", ".join(_subprotocols(request)).encode()
    scope = {
        "type": "websocket",
        "scheme": "ws",
        "path": path,
        "query_string": query.encode(),
        "headers": [
            (b"host", host.encode("idna")),
            *([(b"sec-websocket-protocol", protocols)] if protocols else []),
            *request.headers,
        ],
    }
    return HTTPConnection(scope)


def _subprotocols(request: WebSocketRequest) -> Sequence[str]:
    offered: Sequence[str] = request._event.subprotocols  # noqa: SLF001
    return offered


async def _reject(request: WebSocketRequest, problem: Problem) -> None:
    body = msgspec.json.encode(problem.body)
    fields = {"content-type": "application/json", "connection": "close", **problem.headers}
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    await request.reject(problem.status, extra_headers=headers, body=body)


async def serve_websocket(
    runtime: Runtime,
    agents: Sequence[Agent],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    guard: Guard | None = None,
    on_disconnect: OnDisconnect = "continue",
    allow_options: Iterable[str] = (),
    allow_limits: Iterable[str] = (),
    allow_client_tools: bool = False,
    heartbeat: float = 15.0,
    max_message: int = MAX_MESSAGE,
    max_connections: int = 10_000,
    write_deadline: float = 10.0,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve agents over WebSocket: ``await nursery.start(serve_websocket, runtime, agents)``.

    Returns when the runtime was drained and all connections have ended, closed with 1012 behind a
    message that tells the cursors. If cancelled, connections are cut at once; runs live on in
    the runtime.

    Args:
        runtime: where runs live; `serve_http` may serve the same one.
        agents: what can be run; the first is the default.
        host: the address to bind.
        port: the port to bind, 0 for a free one.
        guard: who may talk to the server; by default everybody, under loopback names only. A
            page of another port is of another origin. With another address than a loopback one
            it has to have an `authorize`.
        on_disconnect: what becomes of a run without viewers unless its client says otherwise.
        allow_options: names of the options that a client may set for its run; by default none.
        allow_limits: names of the limits that it may lower, such as ``maxTokens``; by default
            none.
        allow_client_tools: whether a client may bring tools of its own, whose calls it answers.
        heartbeat: seconds between two pings.
        max_message: bytes of a request, with the files in it; 8 MiB by default. All that are
            being received have 16 times as many together.
        max_connections: connections at one time, or fewer, if the process may not have so many
            open files; more are answered with 503.
        write_deadline: seconds after which a client that doesn't read is cut off.
        task_status: is told the addresses, such as ``ws://127.0.0.1:8000``.

    Raises:
        OSError: the address can't be bound.
        ValueError: there are no agents, or two have the same name; others than this machine can
            reach the address and there is no `authorize`; or there is no such limit.
    """
    require_guard(host, guard)
    service = Service(
        runtime,
        agents,
        on_disconnect=on_disconnect,
        allow_options=allow_options,
        allow_limits=allow_limits,
        allow_client_tools=allow_client_tools,
    )
    server = WebSocketServer(
        service,
        guard,
        write_deadline=write_deadline,
        ping_interval=heartbeat,
        max_message=max_message,
        max_connections=max_connections,
    )
    listeners = await trio.open_tcp_listeners(port, host=host)
    task_status.started([address_of(listener, "ws") for listener in listeners])
    await server.serve(listeners, until=service.wait_ending)
