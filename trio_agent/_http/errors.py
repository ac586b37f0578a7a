"""What goes wrong on the way to a server."""

from collections.abc import Mapping
from typing import Final

from .._errors import TrioAgentError

# The exceptions of httpx, of httpcore and of clients with the same API (which have classes of
# their own), by the names of the class and its bases; the most specific name decides.
_CODES: Final[Mapping[str, str]] = {
    "ConnectTimeout": "timeout-connect",
    "ConnectError": "connect",
    "ProxyError": "connect",
    "UnsupportedProtocol": "connect",
    "InvalidURL": "connect",
    "TransportError": "cut-stream",
    "NetworkError": "cut-stream",
    "ProtocolError": "cut-stream",
    "TimeoutException": "cut-stream",
}


class TransportError(TrioAgentError):
    """The way to a server failed.

    `code` is `connect` or `timeout-connect` (no connection, so the server saw nothing), or
    `cut-stream` (a connection broke, or what came can't be read; the server may have done the
    work).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def transport_error(exc: Exception) -> TransportError | None:
    """Say what an exception of an HTTP library means; None if it is none of theirs."""
    for cls in type(exc).__mro__:
        if (code := _CODES.get(cls.__name__)) is not None:
            return TransportError(code, str(exc) or type(exc).__name__)
    return None
