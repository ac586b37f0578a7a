"""Health: what load balancers, orchestrators and people may know of a server.

Rules: it is answered from memory, to everybody and under any name, for probes ask by addresses.
Strangers learn a category; what failed and why is told to those whom the guard lets in.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .._shared.guard import Guard
from .._shared.problem import Problem
from .._shared.service import Service
from ._answers import json_response
from ._endpoint import Endpoint

_LIVE: Final = "/health/live"
_READY: Final = "/health/ready"

PATHS: Final = frozenset({_LIVE, _READY})


class Health:
    """The two routes.

    Args:
        service: what may be ready.
        guard: tells who is a stranger.
    """

    def __init__(self, service: Service, guard: Guard) -> None:
        self._service = service
        self._guard = guard

    def routes(self) -> list[Route]:
        """Return both."""
        return [
            Route(_LIVE, Endpoint({"GET": self.live})),
            Route(_READY, Endpoint({"GET": self.ready})),
        ]

    async def live(self, request: Request) -> Response:
        return json_response({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        obstacle = self._service.obstacle()
        if obstacle is None:
            return json_response({"status": "ok"})
        message = obstacle.category
        if obstacle.detail is not None and await self._knows(request):
            message = obstacle.detail
        raise Problem(503, obstacle.code, message)

    async def _knows(self, request: Request) -> bool:
        """Whether the guard would let it in. It may be asked while all else fails."""
        try:
            await self._guard.check(request)
        except Exception:
            return False
        return True
