"""The HTTP server: guard, routes, and their host."""

from collections.abc import Callable, Sequence
from typing import Final

import trio
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from trio_agent import Agent, OnDisconnect, Runtime

from .._shared.addresses import address_of
from .._shared.guard import Guard, path_of
from .._shared.service import Service
from ._answers import answer_to
from ._body import BodyLimit
from ._endpoint import Endpoint
from ._hypercorn import serve_asgi
from ._page import PATHS as PAGE_PATHS, Page
from ._routes import Routes

MAX_BODY: Final = 1 << 20

_PUBLIC: Final = frozenset({*PAGE_PATHS, "/health/live", "/health/ready"})
"""What needs no credentials."""


class _Guarded:
    """Lets the guard see every request before its handler does."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                public = path_of(scope) in _PUBLIC
                scope["principal"] = await self._guard.check(Request(scope), public=public)
            except Exception as exc:
                await answer_to(exc, scope)(scope, receive, send)
                return
        elif scope["type"] == "websocket":
            # That has a server of its own; below an app that takes handshakes, they may come.
            await receive()
            await send({"type": "websocket.close"})
            return
        await self._app(scope, receive, send)


def create_app(
    service: Service,
    guard: Guard | None = None,
    *,
    heartbeat: float = 15.0,
    websocket_port: Callable[[], int | None] = lambda: None,
) -> ASGIApp:
    """Make the ASGI app of all routes and the playground page.

    Args:
        service: what it serves.
        guard: who may talk to it; by default everybody, under loopback names only.
        heartbeat: seconds of silence after which an event stream sends a comment.
        websocket_port: tells the page where the same runtime is served over WebSocket, if it is.
    """
    guard = guard or Guard()
    routes = [*Routes(service, heartbeat).routes(), *Page(websocket_port).routes()]
    router = Router(routes, default=Endpoint({}), redirect_slashes=False)
    app: ASGIApp = BodyLimit(_Guarded(router, guard), max_bytes=MAX_BODY)
    if guard.origins:
        app = CORSMiddleware(
            app,
            allow_origins=sorted(guard.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "idempotency-key", "last-event-id"],
            expose_headers=["location", "retry-after"],
        )
    return app


async def serve_http(
    runtime: Runtime,
    agents: Sequence[Agent],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    guard: Guard | None = None,
    on_disconnect: OnDisconnect = "continue",
    write_deadline: float = 10.0,
    not_ready: Callable[[], str | None] = lambda: None,
    websocket_port: Callable[[], int | None] = lambda: None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve agents over HTTP: ``addresses = await nursery.start(serve_http, runtime, agents)``.

    Returns, all responses finished, when the runtime was drained; with a shared store as soon as
    that begins, for others can serve its runs. If cancelled, connections are cut at once; runs
    live on in the runtime.

    Args:
        runtime: where runs live.
        agents: what can be run; the first is the default.
        host: the address to bind.
        port: the port to bind, 0 for a free one.
        guard: who may talk to the server; by default everybody, under loopback names only.
        on_disconnect: what becomes of a run without viewers unless its client says otherwise.
        write_deadline: seconds after which a client that doesn't read is cut off.
        not_ready: says why new runs would fail now; shown by ``/health/ready``.
        websocket_port: tells the page where the same runtime is served over WebSocket, if it is.
        task_status: is told the addresses, such as ``http://127.0.0.1:8000``.

    Raises:
        OSError: the address can't be bound.
        ValueError: there are no agents, or two have the same name.
    """
    service = Service(runtime, agents, on_disconnect=on_disconnect, not_ready=not_ready)
    app = create_app(service, guard, websocket_port=websocket_port)
    listeners = await trio.open_tcp_listeners(port, host=host)
    task_status.started([address_of(listener, "http") for listener in listeners])
    await serve_asgi(app, listeners, until=service.wait_ending, write_deadline=write_deadline)
