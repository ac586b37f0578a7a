"""One path of the server: its handlers by method, and their errors as answers."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from .._shared.problem import Problem
from ._answers import answer_to

Handler: TypeAlias = Callable[[Request], Awaitable[ASGIApp]]
"""Answers a request with a response, which is an ASGI app."""


class Endpoint:
    """An ASGI app. Between a response and the server it leaves nothing: a stream's sends are many.

    HEAD is handled like GET.
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            # Nobody holds the request, and its body, while a stream goes on.
            response = await self._handle(Request(scope, receive))
        except Exception as exc:
            response = answer_to(exc, scope)
        await response(scope, receive, send)

    async def _handle(self, request: Request) -> ASGIApp:
        method = "GET" if request.method == "HEAD" else request.method
        handler = self._handlers.get(method)
        if handler is not None:
            return await handler(request)
        if not self._handlers:
            raise Problem(404, "not-found", "there is nothing at this path")
        allowed = [*self._handlers, "HEAD"] if "GET" in self._handlers else list(self._handlers)
        message = f"this path takes {', '.join(allowed)}"
        raise Problem(405, "method-not-allowed", message, {"allow": ", ".join(allowed)})
