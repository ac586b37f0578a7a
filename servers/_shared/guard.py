"""Who may talk to a server: hosts, origins, principals."""

import hmac
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs
from starlette.requests import HTTPConnection

from trio_agent import Principal

from .problem import Problem

Caller: TypeAlias = str | Principal | None
"""Who asks: the id of a principal, or a principal with claims for the tools of its runs. None is
nobody in particular, who sees every run."""

Authorize: TypeAlias = Callable[[HTTPConnection], Awaitable[Caller]]
"""Tells who sends a request, or raises `Unauthorized`. It is asked for every route and for the
WebSocket handshake."""

LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")
"""The names that a guard allows by default; add them to your own."""

_PORT: Final = re.compile(r":[0-9]*\Z")


def owner_of(caller: Caller) -> str | None:
    """Return whose the runs are that this caller starts and sees; None: anybody's."""
    return caller.id if isinstance(caller, Principal) else caller


def path_of(scope: Mapping[str, Any]) -> str:
    """Return the path of a request below the one at which the app is mounted, if it is."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    below = path.removeprefix(root)
    return below if below.startswith("/") else path


class Unauthorized(Exception):
    """The request has no valid credentials. The message goes to the client."""


async def allow_everybody(request: HTTPConnection) -> str | None:
    """Let everybody in, as nobody in particular."""
    return None


def bearer_tokens(tokens: Mapping[str, str]) -> Authorize:
    """Let in who has a bearer token (RFC 6750); `tokens` maps principals to tokens.

    It is the `Authorization` header's, or, for a WebSocket's handshake, the subprotocol behind
    `bearer`: ``new WebSocket(url, ["bearer", token])`` is all that a browser can send. In a URL
    it is not accepted: those end up in logs.
    """
    return _bearer([(principal, token.encode()) for principal, token in tokens.items()])


def one_bearer_token(token: str) -> Authorize:
    """Let in who has this bearer token, as nobody in particular."""
    return _bearer([(None, token.encode())])


def _bearer(known: Sequence[tuple[str | None, bytes]]) -> Authorize:
    async def authorize(request: HTTPConnection) -> str | None:
        header, separator = "authorization", " "
        if request.scope["type"] == "websocket" and header not in request.headers:
            header, separator = "sec-websocket-protocol", ","
        scheme, _, token = request.headers.get(header, "").partition(separator)
        given = token.strip().encode()
        # All are compared, in constant time each, so that nothing is learned from the time.
        found = [name for name, token in known if hmac.compare_digest(token, given)]
        if scheme.strip().lower() != "bearer" or not found:
            raise Unauthorized("send a valid token: Authorization: Bearer ...")
        return found[0]

    return authorize


def _names(hosts: Iterable[str]) -> frozenset[str]:
    return frozenset(host.lower() for host in hosts)


@attrs.frozen
class Guard:
    """Checks a request before anything else sees it.

    Args:
        authorize: tells the principal.
        hosts: names that the `Host` header may have, without a port. Guards against DNS
            rebinding; loopback names by default.
        origins: foreign origins, such as ``https://app.example.com``, that may send requests.
            The server's own is always allowed.
        headers: request headers that pages of those origins may send, besides those that the
            server reads and those of the usual tracing.
    """

    authorize: Authorize = allow_everybody
    hosts: frozenset[str] = attrs.field(default=_names(LOOPBACK_HOSTS), converter=_names)
    origins: frozenset[str] = attrs.field(default=frozenset(), converter=_names)
    headers: frozenset[str] = attrs.field(default=frozenset(), converter=_names)

    async def check(self, request: HTTPConnection, *, public: bool = False) -> Caller:
        """Return the caller of the request. A checkpoint if `authorize` is one.

        What is `public` needs no credentials, but the right host and origin all the same.

        Raises:
            Problem: 400 for a foreign host, 403 for a foreign origin, 401 without credentials.
        """
        self._check_host(request)
        self._check_origin(request)
        if public:
            return None
        try:
            return await self.authorize(request)
        except Unauthorized as exc:
            headers = {"www-authenticate": "Bearer"}
            raise Problem(401, "unauthorized", str(exc), headers) from None

    def _check_host(self, request: HTTPConnection) -> None:
        if _PORT.sub("", request.headers.get("host", "").lower()) not in self.hosts:
            message = "this server does not go by that Host; allow it with --allow-host"
            raise Problem(400, "bad-host", message)

    def _check_origin(self, request: HTTPConnection) -> None:
        origin = request.headers.get("origin")
        if origin is not None:
            own = origin.lower().partition("://")[2] == request.headers.get("host", "").lower()
            if own or origin.lower() in self.origins:
                return
        elif request.headers.get("sec-fetch-site", "none") in ("none", "same-origin") or (
            path_of(request.scope) == "/" and request.headers.get("sec-fetch-mode") == "navigate"
        ):
            return
        message = "requests from this origin are not allowed; allow it with --allow-origin"
        raise Problem(403, "bad-origin", message)
