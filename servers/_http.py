"""The HTTP server: guard, routes, and their host."""

from collections.abc import Callable, Sequence
from typing import Final

import trio
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from trio_agent import Agent, OnDisconnect, Runtime

from ._body import BodyLimit
from ._endpoint import Endpoint
from ._guard import Guard
from ._hypercorn import serve_asgi
from ._problem import answer_to
from ._routes import Routes
from ._service import Service

MAX_BODY: Final = 1 << 20


class _Guarded:
    """Lets the guard see every request before its handler does."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                scope["principal"] = await self._guard.check(Request(scope))
            except Exception as exc:
                await answer_to(exc, scope)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def create_app(service: Service, guard: Guard | None = None, *, heartbeat: float = 15.0) -> ASGIApp:
    """Make the ASGI app of all routes.

    Args:
        service: what it serves.
        guard: who may talk to it; by default everybody, under loopback names only.
        heartbeat: seconds of silence after which an event stream sends a comment.
    """
    guard = guard or Guard()
    router = Router(
        Routes(service, heartbeat).routes(), default=Endpoint({}), redirect_slashes=False
    )
    app: ASGIApp = _Guarded(router, guard)
    if guard.origins:
        app = CORSMiddleware(
            app,
            allow_origins=sorted(guard.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "idempotency-key", "last-event-id"],
            expose_headers=["location", "retry-after"],
        )
    return BodyLimit(app, max_bytes=MAX_BODY)


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
        task_status: is told the addresses, such as ``http://127.0.0.1:8000``.

    Raises:
        OSError: the address can't be bound.
        ValueError: there are no agents, or two have the same name.
    """
    service = Service(runtime, agents, on_disconnect=on_disconnect, not_ready=not_ready)
    app = create_app(service, guard)
    listeners = await trio.open_tcp_listeners(port, host=host)
    task_status.started([_address(listener) for listener in listeners])
    until = runtime.wait_draining if runtime.store.shared else runtime.wait_drained
    await serve_asgi(app, listeners, until=until, write_deadline=write_deadline)


def _address(listener: trio.SocketListener) -> str:
    host, port = listener.socket.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
