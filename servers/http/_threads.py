"""The threads of a client over HTTP: listed, shown and removed.

Rule: whose they are is the caller, never what the client says. A stranger learns of none.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from trio_agent import Thread, TurnPage, UnknownThread

from .._shared.guard import owner_of
from .._shared.problem import Problem
from .._shared.service import Service
from ._answers import json_response
from ._reading import limit_in, number_in


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
        last = request.query_params.get("last")
        if not number_in(request, "messages", default=1, most=1):
            return json_response(await self._runtime.thread(name, owner=owner))
        for _ in range(2):
            thread = await self._runtime.thread(name, owner=owner)
            try:
                page = await self._page(thread, owner, last)
            except ValueError as exc:
                if last is not None:
                    raise Problem(400, "bad-request", str(exc)) from None
                # The head was removed meanwhile, with its thread: there may be a new one.
                continue
            shown = {"messages": page.messages, "pageTurns": page.turns, "next": page.next}
            return json_response(msgspec.to_builtins(thread) | shown)
        raise UnknownThread(name)

    async def _page(self, thread: Thread, owner: str | None, last: str | None) -> TurnPage:
        """Return what was said up to the head that is shown, wherever it is by now."""
        if last is None and (last := thread.head) is None:
            return TurnPage((), (), None)
        return await self._runtime.thread_messages(thread.thread, owner=owner, last=last)

    async def delete(self, request: Request) -> Response:
        owner, name = owner_of(request["principal"]), request.path_params["thread"]
        await self._runtime.delete_thread(name, owner=owner)
        return Response(status_code=204)
