"""The HTTP server: guard, routes, and their host."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import trio
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from trio_agent import Agent, OnDisconnect, Runtime
from trio_agent.abc import open_plain_nursery

from .._shared.addresses import address_of, require_guard
from .._shared.guard import Caller, Guard, path_of
from .._shared.service import Service
from ._answers import answer_to
from ._blobs import Blobs
from ._body import BodyLimit, refuse
from ._endpoint import Endpoint
from ._health import PATHS as HEALTH_PATHS, Health
from ._hypercorn import serve_asgi
from ._page import PATHS as PAGE_PATHS, Page
from ._routes import Routes

MAX_BODY: Final = 8 << 20

_PUBLIC: Final = frozenset(PAGE_PATHS)
"""What can be seen without credentials."""

_READ: Final = ("authorization", "content-type", "idempotency-key", "last-event-id")
_ADDED: Final = (
    *("b3", "baggage", "sentry-trace", "traceparent", "tracestate", "uber-trace-id"),
    *("x-b3-sampled", "x-b3-spanid", "x-b3-traceid", "newrelic", "elastic-apm-traceparent"),
    *("x-datadog-origin", "x-datadog-parent-id", "x-datadog-sampling-priority"),
    *("x-datadog-trace-id", "x-request-id", "x-requested-with", "cache-control"),
)
"""Headers that tracing and SSE libraries add to requests of pages, which don't know of it."""


class _Guarded:
    """Lets the guard see the head of every request before anybody reads its body.

    Health is for everybody, whatever the name they ask by.
    """

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                scope["principal"] = await self._check(scope)
            except Exception as exc:
                await refuse(answer_to(exc, scope), scope, receive, send)
                return
        elif scope["type"] == "websocket":
            # That has a server of its own; below an app that takes handshakes, they may come.
            await receive()
            await send({"type": "websocket.close"})
            return
        await self._app(scope, receive, send)

    async def _check(self, scope: Scope) -> Caller:
        path = path_of(scope)
        if path in HEALTH_PATHS:
            return None
        public = path in _PUBLIC and scope["method"] in ("GET", "HEAD")
        return await self._guard.check(Request(scope), public=public)


def create_app(
    service: Service,
    guard: Guard | None = None,
    *,
    heartbeat: float = 15.0,
    max_body: int = MAX_BODY,
    websocket_port: Callable[[], int | None] = lambda: None,
) -> ASGIApp:
    """Make the ASGI app of all routes and the playground page.

    Its `/health/ready` knows of the store if ``service.watch_store()`` runs beside it.

    Args:
        service: what it serves.
        guard: who may talk to it; by default everybody, under loopback names only.
        heartbeat: seconds of silence after which an event stream sends a comment.
        max_body: bytes of a request's body, with the files in it; 8 MiB by default. All that are
            being received have 16 times as many together.
        websocket_port: tells the page where the same runtime is served over WebSocket, if it is.
    """
    guard = guard or Guard()
    routes = [
        *Routes(service, heartbeat).routes(),
        *Blobs(service).routes(),
        *Health(service, guard).routes(),
        *Page(websocket_port).routes(),
    ]
    router = Router(routes, default=Endpoint({}), redirect_slashes=False)
    app: ASGIApp = _Guarded(BodyLimit(router, max_bytes=max_body), guard)
    if guard.origins:
        app = CORSMiddleware(
            app,
            allow_origins=sorted(guard.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=[*_READ, *_ADDED, *sorted(guard.headers)],
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
    heartbeat: float = 15.0,
    keep_alive: float = 75.0,
    max_body: int = MAX_BODY,
    max_connections: int = 10_000,
    root_path: str = "",
    write_deadline: float = 10.0,
    not_ready: Callable[[], str | None] = lambda: None,
    allow_options: Iterable[str] = (),
    allow_limits: Iterable[str] = (),
    allow_client_tools: bool = False,
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
        guard: who may talk to the server; by default everybody, under loopback names only. With
            another address it has to have an `authorize`.
        on_disconnect: what becomes of a run without viewers unless its client says otherwise.
        heartbeat: seconds of silence after which an event stream sends a comment.
        keep_alive: seconds that a connection may idle between two requests. Longer than load
            balancers keep theirs, which send a request into a connection that is being closed.
        max_body: bytes of a request's body, with the files in it; 8 MiB by default. All that are
            being received have 16 times as many together.
        max_connections: connections at one time, or fewer, if the process may not have so many
            open files; more are answered with 503.
        root_path: the path at which a proxy shows the server, such as ``/agents``; links begin
            with it. The proxy may cut it off or leave it.
        write_deadline: seconds after which a client that doesn't read is cut off.
        not_ready: says why new runs would fail now; shown by ``/health/ready``.
        allow_options: names of the options that a client may set for its run; by default none.
        allow_limits: names of the limits that it may lower, such as ``maxTokens``; by default
            none.
        allow_client_tools: whether a client may bring tools of its own, whose calls it answers.
        websocket_port: tells the page where the same runtime is served over WebSocket, if it is.
        task_status: is told the addresses, such as ``http://127.0.0.1:8000``.

    Raises:
        OSError: the address can't be bound.
        ValueError: there are no agents, or two have the same name; others than this machine can
            reach the address and there is no `authorize`; there is no such limit; or `root_path`
            is no path.
    """
    require_guard(host, guard)
    if root_path and (not root_path.startswith("/") or root_path.endswith("/")):
        raise ValueError(f"root_path begins with a slash and ends without one, not {root_path!r}")
    service = Service(
        runtime,
        agents,
        on_disconnect=on_disconnect,
        not_ready=not_ready,
        allow_options=allow_options,
        allow_limits=allow_limits,
        allow_client_tools=allow_client_tools,
    )
    app = create_app(
        service, guard, heartbeat=heartbeat, max_body=max_body, websocket_port=websocket_port
    )
    listeners = await trio.open_tcp_listeners(port, host=host)
    task_status.started([address_of(listener, "http") for listener in listeners])
    async with open_plain_nursery() as nursery:
        nursery.start_soon(service.watch_store)
        await serve_asgi(
            app,
            listeners,
            until=service.wait_ending,
            write_deadline=write_deadline,
            keep_alive=keep_alive,
            max_connections=max_connections,
            root_path=root_path,
        )
        nursery.cancel_scope.cancel(reason="the server has ended")
