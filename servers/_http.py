"""The HTTP routes, and how to serve them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import trio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from trio_agent import Agent, Cursor, OnDisconnect, Runtime
from trio_agent._subscription import resolve_cursor
from trio_agent.wire import event_schema

from ._body import BodyLimit
from ._guard import Guard
from ._hypercorn import serve_asgi
from ._json import json_response
from ._problem import EXCEPTION_HANDLERS, Problem, problem_response
from ._service import Service, Start
from ._sse import HEADERS, EventStream

MAX_BODY: Final = 1 << 20
_PAGE: Final = 50
_MAX_PAGE: Final = 500
_CANCEL_WAIT: Final = 30.0

_decode_start = msgspec.json.Decoder(Start).decode


class _Guarded:
    """Lets the guard see every request before its handler does."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                scope["principal"] = await self._guard.check(Request(scope))
            except Problem as problem:
                await problem_response(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Routes:
    """The handlers."""

    def __init__(self, service: Service, heartbeat: float) -> None:
        self._service = service
        self._heartbeat = heartbeat

    def routes(self) -> list[Route]:
        return [
            _route("/runs", GET=self.list_runs, POST=self.start),
            _route("/runs/{run_id}", GET=self.show, DELETE=self.delete),
            _route("/runs/{run_id}/events", GET=self.events),
            _route("/runs/{run_id}/cancel", POST=self.cancel),
            _route("/agents", GET=self.list_agents),
            _route("/stream", GET=self.stream),
            _route("/stream/{run_id}/resume", GET=self.resume),
            _route("/schema", GET=self.schema),
            _route("/health/live", GET=self.live),
            _route("/health/ready", GET=self.ready),
        ]

    async def start(self, request: Request) -> Any:
        if _content_type(request) != "application/json":
            raise Problem(415, "not-json", "send the body as application/json")
        try:
            start = _decode_start(await request.body())
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise Problem(400, "bad-request", str(exc)) from None
        run = await self._service.start(
            request["principal"], start, key=request.headers.get("idempotency-key")
        )
        location = f"/runs/{run.id}"
        if "text/event-stream" in request.headers.get("accept", ""):
            return EventStream(
                run.subscribe(), status=201, location=location, heartbeat=self._heartbeat
            )
        view = await self._service.view(request["principal"], run.id)
        return json_response(view, status=201, headers={"location": location})

    async def list_runs(self, request: Request) -> Response:
        limit = _number(request, "limit", default=_PAGE, least=1, most=_MAX_PAGE)
        before = request.query_params.get("before")
        runs = await self._service.views(request["principal"], before, limit)
        more = runs[-1].id if len(runs) == limit else None
        return json_response({"runs": runs, "next": more})

    async def show(self, request: Request) -> Response:
        run_id = request.path_params["run_id"]
        return json_response(await self._service.view(request["principal"], run_id))

    async def delete(self, request: Request) -> Response:
        await self._service.delete(request["principal"], request.path_params["run_id"])
        return Response(status_code=204)

    async def events(self, request: Request) -> Any:
        after = request.headers.get("last-event-id") or request.query_params.get("after", "0")
        return await self._follow(request, request.path_params["run_id"], after)

    async def _follow(self, request: Request, run_id: str, after: str) -> Any:
        run = await self._service.run(request["principal"], run_id)
        offset = resolve_cursor(run.feed, 0 if after == "0" else after)
        if run.feed.closed and offset == run.feed.tail:
            # EventSource reconnects after every end; only this status tells it to stop.
            return Response(status_code=204)
        if request.method == "HEAD":
            # Who only asks is no viewer.
            return Response(headers=HEADERS)
        return EventStream(run.subscribe(after=offset), heartbeat=self._heartbeat)

    async def cancel(self, request: Request) -> Response:
        owner, run_id = request["principal"], request.path_params["run_id"]
        with trio.move_on_after(_CANCEL_WAIT):
            receipt = await self._service.cancel(owner, run_id, "requested by a client")
            return json_response(
                {
                    "id": run_id,
                    "outcome": receipt.outcome,
                    "lastOffset": receipt.last_offset,
                    "abandoned": receipt.abandoned,
                }
            )
        return json_response(await self._service.view(owner, run_id), status=202)

    async def list_agents(self, request: Request) -> Response:
        agents = [
            {"name": agent.name, "tools": [tool.name for tool in agent.tools]}
            for agent in self._service.agents.values()
        ]
        return json_response({"agents": agents})

    async def stream(self, request: Request) -> Any:
        """The seed's route. A browser that reconnects to it resumes its run."""
        cursor = request.headers.get("last-event-id")
        if cursor:
            return await self._follow(request, Cursor.parse(cursor).run_id, cursor)
        if request.method == "HEAD" or "prefetch" in _purpose(request):
            raise Problem(403, "no-start", "only a GET that is meant starts a run")
        prompt = request.query_params.get("prompt")
        if prompt is None:
            raise Problem(400, "bad-request", "say something: /stream?prompt=...")
        start = Start(prompt=prompt, agent=request.query_params.get("agent"))
        key = request.query_params.get("key")
        run = await self._service.start(request["principal"], start, key=key)
        return EventStream(run.subscribe(), heartbeat=self._heartbeat)

    async def resume(self, request: Request) -> Any:
        """The seed's route: the events behind the offset `position`."""
        run = await self._service.run(request["principal"], request.path_params["run_id"])
        position = _number(request, "position", default=0, most=1 << 53)
        after = request.headers.get("last-event-id")
        return await self._follow(
            request, run.id, after or str(Cursor(run.id, run.feed.epoch, position))
        )

    async def schema(self, request: Request) -> Response:
        return json_response(event_schema())

    async def live(self, request: Request) -> Response:
        return json_response({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        if not self._service.runtime.accepting:
            raise Problem(503, "draining", "the server is shutting down")
        if (problem := self._service.not_ready()) is not None:
            raise Problem(503, "not-ready", problem)
        return json_response({"status": "ok"})


def _route(path: str, **handlers: Callable[[Request], Awaitable[Any]]) -> Route:
    # One route a path, so that 405 names all its methods.
    async def handle(request: Request) -> Any:
        method = "GET" if request.method == "HEAD" else request.method
        return await handlers[method](request)

    return Route(path, handle, methods=list(handlers))


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _purpose(request: Request) -> str:
    return request.headers.get("sec-purpose", "") + request.headers.get("purpose", "")


def _number(request: Request, name: str, *, default: int, least: int = 0, most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and least <= int(text) <= most):
        raise Problem(400, "bad-request", f"{name} is a number from {least} to {most}")
    return int(text)


def create_app(service: Service, guard: Guard | None = None, *, heartbeat: float = 15.0) -> ASGIApp:
    """Make the ASGI app of all routes.

    Args:
        service: what it serves.
        guard: who may talk to it; by default everybody, under loopback names only.
        heartbeat: seconds of silence after which an event stream sends a comment.
    """
    guard = guard or Guard()
    middleware = [Middleware(_Guarded, guard=guard)]
    if guard.origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=sorted(guard.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "idempotency-key", "last-event-id"],
            expose_headers=["location", "retry-after"],
        )
        middleware.insert(0, cors)
    handlers: Mapping[Any, Any] = EXCEPTION_HANDLERS
    app = Starlette(
        routes=_Routes(service, heartbeat).routes(),
        middleware=middleware,
        exception_handlers=handlers,
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

    Returns, all responses finished, when the runtime was drained. If cancelled, connections are
    cut at once; runs live on in the runtime.

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
    await serve_asgi(app, listeners, until=runtime.wait_drained, write_deadline=write_deadline)


def _address(listener: trio.SocketListener) -> str:
    host, port = listener.socket.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
