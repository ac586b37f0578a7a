"""The files that were given to runs, as they were given.

Rule: a file is a stranger's. No browser runs it, shows it as a page of this server, or guesses
what it is.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .._shared.service import Service
from ._endpoint import Endpoint

_HEADERS: Final = {
    # It is named by its hash, so that what it is never changes; but it is not for everybody.
    "cache-control": "private, max-age=31536000, immutable",
    "vary": "authorization",
    "content-disposition": "attachment",
    "content-security-policy": "sandbox; default-src 'none'",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


class Blobs:
    """The route.

    Args:
        service: whose runs.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Return it."""
        return [Route("/runs/{run_id}/blobs/{digest}", Endpoint({"GET": self.show}))]

    async def show(self, request: Request) -> Response:
        run_id, digest = request.path_params["run_id"], request.path_params["digest"]
        data = await self._service.blob(request["principal"], run_id, digest)
        headers = {**_HEADERS, "etag": f'"{digest}"'}
        if digest in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(data, headers=headers, media_type="application/octet-stream")
