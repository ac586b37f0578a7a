"""The threads of a client over HTTP: listed, shown and removed.

Rule: whose they are is the caller, never what the client says. A stranger learns of none.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from .._shared.guard import owner_of
from .._shared.problem import Problem
from .._shared.service import Service
from ._answers import json_response
from ._reading import limit_in


class Threads:
    """The handlers.

    Args:
        service: whose threads.
    """

    def __init__(self, service: Service) -> None:
        self._runtime = service.runtime

    async def list(self, request: Request) -> Response:
        limit, before = limit_in(request), request.query_params.get("before")
        owner = owner_of(request["principal"])
        try:
            page = await self._runtime.threads(owner, before=before, limit=limit)
        except ValueError as exc:
            raise Problem(400, "bad-request", str(exc)) from None
        return json_response(page)

    async def show(self, request: Request) -> Response:
        owner, name = owner_of(request["principal"]), request.path_params["thread"]
        thread = await self._runtime.thread(name, owner=owner)
        # What was said up to the head that is shown, wherever it is by now.
        last = request.query_params.get("last", thread.head)
        try:
            page = await self._runtime.thread_messages(name, owner=owner, last=last)
        except ValueError as exc:
            raise Problem(400, "bad-request", str(exc)) from None
        return json_response(msgspec.to_builtins(thread) | msgspec.structs.asdict(page))

    async def delete(self, request: Request) -> Response:
        owner, name = owner_of(request["principal"]), request.path_params["thread"]
        await self._runtime.delete_thread(name, owner=owner)
        return Response(status_code=204)
