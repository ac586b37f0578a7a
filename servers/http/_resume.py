"""Requests of clients that come back: what they have seen, and how to make them come again.

Rules:

- What a client has seen is taken from wherever it says so. `Last-Event-ID` wins: libraries repeat
  the URL of their first request, where what stands is older.
- A client that comes back only to go on must not be sent away for good by what will pass:
  `EventSource` never comes again after a 503 (WHATWG HTML, section 9.2.3).
"""

import random
from functools import wraps
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from trio_agent.wire import format_sse

from .._shared.problem import problem_of
from ._endpoint import Handler
from ._sse import HEADERS

_PARAMETERS: Final = ("lasteventid", "evslasteventid", "cursor", "after")
"""Names in a query, without case and separators, the newer knowledge first. Polyfills of
`EventSource` use the first two, because a header would need a preflight."""

_RETRY: Final = (1000, 5000)
"""Milliseconds after which clients come back that can't be served now, at least and at most."""


def cursor_of(request: Request) -> str | None:
    """Return the cursor that a client sends, whichever way it does; None if it has none."""
    if header := request.headers.get("last-event-id"):
        return header
    given = {_plain(name): text for name, text in request.query_params.multi_items()}
    # Polyfills send an empty one along at first.
    return next((given[name] for name in _PARAMETERS if given.get(name)), given.get("after"))


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def accepts_events(request: Request) -> bool:
    """Whether the answer may be an event stream where it could be JSON, too."""
    return "text/event-stream" in request.headers.get("accept", "")


def for_reconnects(handler: Handler) -> Handler:
    """Let clients come again that only want to go on, where the handler can't serve them now.

    Who takes JSON as well gets the error.
    """

    @wraps(handler)
    async def handle(request: Request) -> ASGIApp:
        try:
            return await handler(request)
        except Exception as exc:
            if problem_of(exc).status == 503 and _must_not_fail(request):
                return _come_again
            raise

    return handle


def _must_not_fail(request: Request) -> bool:
    names_its_run = (
        "run_id" in request.path_params
        or cursor_of(request) is not None
        or "idempotency-key" in request.headers
        or "key" in request.query_params
    )
    accepted = request.headers.get("accept", "")
    return names_its_run and accepts_events(request) and "json" not in accepted


async def _come_again(scope: Scope, receive: Receive, send: Send) -> None:
    # A response of its own kind, and without its end: clients that take an end for success, such
    # as fetch-event-source, repeat this one, too.
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    body = format_sse(retry=random.randint(*_RETRY))  # noqa: S311
    await send({"type": "http.response.body", "body": body, "more_body": True})
