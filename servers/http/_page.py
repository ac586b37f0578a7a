"""The playground: a page that is served with the runs, without a build step."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ._answers import json_response
from ._endpoint import Endpoint

_FOLDER: Final = Path(__file__).with_name("page")

_FILES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page/page.css": ("page.css", "text/css; charset=utf-8"),
    **{
        f"/page/{name}.js": (f"{name}.js", "text/javascript; charset=utf-8")
        for name in (
            "api",
            "app",
            "asked",
            "card",
            "elements",
            "figures",
            "files",
            "say",
            "streams",
            "transcript",
            "viewer",
        )
    },
}
_SETTINGS: Final = "/page/settings.json"

PATHS: Final = (*_FILES, _SETTINGS)
"""What everybody may see: the page knows nothing before it asks, with its user's token."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src {};"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)


_PORT: Final = re.compile(r":[0-9]*\Z")


@attrs.frozen
class Page:
    """The page's files. They are read once.

    Args:
        websocket_port: tells where the WebSocket server listens on the same host, if there is
            one.
    """

    websocket_port: Callable[[], int | None] = lambda: None

    def routes(self) -> list[Route]:
        """Return its routes."""
        return [
            *(Route(path, self._file(path, *file)) for path, file in _FILES.items()),
            Route(_SETTINGS, Endpoint({"GET": self.settings})),
        ]

    def _file(self, path: str, name: str, media_type: str) -> Endpoint:
        body = (_FOLDER / name).read_bytes()
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'

        async def show(request: Request) -> Response:
            headers = {
                "cache-control": "no-cache",
                "etag": etag,
                "referrer-policy": "no-referrer",
                "x-content-type-options": "nosniff",
            }
            if path == "/":
                headers["content-security-policy"] = self._policy(request)
            known = request.headers.get("if-none-match", "")
            if etag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
                return Response(status_code=304, headers=headers)
            return Response(body, headers=headers, media_type=media_type)

        return Endpoint({"GET": show})

    def _policy(self, request: Request) -> str:
        sources = ["'self'"]
        if (port := self.websocket_port()) is not None:
            # The guard has checked the name.
            host = _PORT.sub("", request.headers["host"])
            sources += [f"{scheme}://{host}:{port}" for scheme in ("ws", "wss")]
        return _POLICY.format(" ".join(sources))

    async def settings(self, request: Request) -> Response:
        return json_response({"websocketPort": self.websocket_port()})
