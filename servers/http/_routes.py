"""The HTTP routes: what each says and takes.

A request that carries a cursor goes on with that run, whatever else it is. It starts nothing.
"""

from typing import Final
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from trio_agent import Cursor, Run, Subscription
from trio_agent.wire import event_schema

from .._shared.problem import Problem
from .._shared.service import Service
from .._shared.start import Start
from ._answers import json_response
from ._endpoint import Endpoint
from ._reading import body_of, limit_in, number_in
from ._resume import accepts_events, cursor_of, for_reconnects
from ._sse import HEADERS, EventStream
from ._threads import Threads
from ._told import Told
from ._views import RunView, view_of, whole_view_of

_decode_start: Final = msgspec.json.Decoder(Start).decode


class Routes:
    """The handlers."""

    def __init__(self, service: Service, heartbeat: float) -> None:
        self._service = service
        self._heartbeat = heartbeat

    def routes(self) -> list[Route]:
        """Return all of them."""
        told = Told(self._service)
        threads = Threads(self._service)
        return [
            Route(
                "/runs",
                Endpoint({"GET": self.list_runs, "POST": for_reconnects(self.start)}),
            ),
            Route("/runs/{run_id}", Endpoint({"GET": self.show, "DELETE": self.delete})),
            Route("/runs/{run_id}/events", Endpoint({"GET": for_reconnects(self.events)})),
            Route("/runs/{run_id}/messages", Endpoint({"GET": self.messages, "POST": told.say})),
            Route("/runs/{run_id}/answers", Endpoint({"POST": told.answer})),
            Route("/runs/{run_id}/cancel", Endpoint({"POST": self.cancel})),
            Route("/threads", Endpoint({"GET": threads.list})),
            # Names may have slashes.
            Route(
                "/threads/{thread:path}",
                Endpoint({"GET": threads.show, "DELETE": threads.delete}),
            ),
            Route("/agents", Endpoint({"GET": self.list_agents})),
            Route("/stream", Endpoint({"GET": for_reconnects(self.stream)})),
            Route("/stream/{run_id}/resume", Endpoint({"GET": for_reconnects(self.resume)})),
            Route("/schema", Endpoint({"GET": self.schema})),
        ]

    async def start(self, request: Request) -> ASGIApp:
        if cursor := cursor_of(request):
            return await self._go_on(request, cursor)
        start = await body_of(request, _decode_start)
        run = await self._service.start(
            request["principal"], start, key=request.headers.get("idempotency-key")
        )
        if accepts_events(request):
            # Not 201: to readers of event streams, every status but 200 is an error.
            return self._stream(run.subscribe(), location=_location(request, run))
        view = await self._view(request, run.id)
        return json_response(view, status=201, headers={"location": _location(request, run)})

    async def _go_on(self, request: Request, cursor: str) -> ASGIApp:
        """Answer a start that is repeated by a client which has seen its run already."""
        run = await self._service.run(request["principal"], Cursor.parse(cursor).run_id)
        location = _location(request, run)
        if accepts_events(request) or request.method != "POST":
            return self._follow(request, run, cursor, location=location)
        return json_response(await self._view(request, run.id), headers={"location": location})

    async def _view(self, request: Request, run_id: str) -> RunView:
        return view_of(await self._service.info(request["principal"], run_id), _root(request))

    async def list_runs(self, request: Request) -> Response:
        limit = limit_in(request)
        before, thread = map(request.query_params.get, ("before", "thread"))
        infos = await self._service.infos(request["principal"], before, limit, thread)
        runs = [view_of(info, _root(request)) for info in infos]
        # A page may be short of what was asked for: only an empty one is the end.
        more = runs[-1].id if runs else None
        return json_response({"runs": runs, "next": more})

    async def show(self, request: Request) -> Response:
        caller = request["principal"]
        info = await self._service.info(caller, request.path_params["run_id"])
        waiting = await self._service.open_calls(caller, info)
        return json_response(whole_view_of(info, _root(request), waiting))

    async def messages(self, request: Request) -> Response:
        after = number_in(request, "after", default=0, most=1 << 53)
        run_id = request.path_params["run_id"]
        page = await self._service.messages(request["principal"], run_id, after)
        return json_response(page)

    async def delete(self, request: Request) -> Response:
        await self._service.delete(request["principal"], request.path_params["run_id"])
        return Response(status_code=204)

    async def events(self, request: Request) -> ASGIApp:
        after = cursor_of(request)
        run = await self._service.run(request["principal"], request.path_params["run_id"])
        return self._follow(request, run, 0 if after in (None, "0") else after)

    def _follow(
        self, request: Request, run: Run, after: str | int, *, location: str | None = None
    ) -> ASGIApp:
        cursor = run.resolve(after)
        if run.finished and cursor == run.cursor:
            # EventSource reconnects after every end; only this status tells it to stop.
            return Response(status_code=204)
        if request.method == "HEAD":
            # Who only asks is no viewer.
            return Response(headers=HEADERS)
        return self._stream(run.subscribe(after=cursor), location=location)

    def _stream(self, subscription: Subscription, *, location: str | None) -> EventStream:
        return EventStream(
            subscription,
            location=location,
            heartbeat=self._heartbeat,
            leaving=self._service.wait_ending,
        )

    async def cancel(self, request: Request) -> Response:
        run_id = request.path_params["run_id"]
        receipt = await self._service.cancel(request["principal"], run_id)
        if receipt is None:
            return json_response(await self._view(request, run_id), status=202)
        return json_response({"id": run_id, **receipt})

    async def list_agents(self, request: Request) -> Response:
        agents = [
            {"name": agent.name, "tools": [tool.name for tool in agent.tools]}
            for agent in self._service.agents.values()
        ]
        return json_response({"agents": agents})

    async def stream(self, request: Request) -> ASGIApp:
        """The seed's route. A browser that reconnects to it resumes its run."""
        if cursor := cursor_of(request):
            return await self._go_on(request, cursor)
        if request.method == "HEAD" or "prefetch" in _purpose(request):
            raise Problem(403, "no-start", "only a GET that is meant starts a run")
        prompt = request.query_params.get("prompt")
        if prompt is None:
            raise Problem(400, "bad-request", "say something: /stream?prompt=...")
        start = Start(prompt=prompt, agent=request.query_params.get("agent"))
        key = request.query_params.get("key")
        run = await self._service.start(request["principal"], start, key=key)
        return self._stream(run.subscribe(), location=_location(request, run))

    async def resume(self, request: Request) -> ASGIApp:
        """The seed's route: the events behind the offset `position`."""
        run = await self._service.run(request["principal"], request.path_params["run_id"])
        position = number_in(request, "position", default=0, most=1 << 53)
        return self._follow(request, run, cursor_of(request) or position)

    async def schema(self, request: Request) -> Response:
        return json_response(event_schema())


def _root(request: Request) -> str:
    """Return the path below which the app is mounted, as a URL has it."""
    return quote(request.scope.get("root_path", ""))


def _location(request: Request, run: Run) -> str:
    return f"{_root(request)}/runs/{run.id}"


def _purpose(request: Request) -> str:
    return request.headers.get("sec-purpose", "") + request.headers.get("purpose", "")
