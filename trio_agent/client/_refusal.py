"""What a server's refusal means.

A server's words may be anything: those that become an exception's are one printable line.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .._errors import (
    AnswerRefused,
    CursorExpired,
    CursorInvalid,
    KeyReused,
    LimitExceeded,
    RunOver,
    StoreUnavailable,
    ThreadBusy,
    TrioAgentError,
    UnknownRun,
    UnknownThread,
)
from .._http.words import clean
from .._log.plain import UNREADABLE

MAX_ERROR: Final = 64 << 10
"""Bytes that are read of an answer that refuses."""


_ERRORS: Final[Mapping[str, type[TrioAgentError]]] = {
    "answer-refused": AnswerRefused,
    "cursor-invalid": CursorInvalid,
    "cursor-expired": CursorExpired,
    "key-reused": KeyReused,
    "limit-exceeded": LimitExceeded,
    "store-unavailable": StoreUnavailable,
}

_NAMING: Final[Mapping[str, type[UnknownRun | RunOver | UnknownThread]]] = {
    "unknown-run": UnknownRun,
    "run-over": RunOver,
    "unknown-thread": UnknownThread,
}
"""Errors that name a run, or a thread, in words of their own."""

_PASSING: Final = ("draining", "internal", "not-ready", "run-moved")
"""Other codes of errors that trying again may help with."""


class ServerError(TrioAgentError):
    """The server refused a request, or its answer can't be understood (`bad-response`).

    `status` is that of HTTP, 0 for what was said over a WebSocket; otherwise `code` and `message`
    are the server's, made printable.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        code, message = clean(code), clean(message)
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Passing(Exception):
    """An error with which trying again may help."""

    def __init__(self, error: TrioAgentError, retry_after: float = 0.0) -> None:
        super().__init__(error, retry_after)
        self.error = error
        self.retry_after = retry_after
        """Seconds that the server wants us to wait before that."""


class ErrorBody(msgspec.Struct, frozen=True):
    """What an error says."""

    code: str = "http-error"
    message: str = "the server refused without saying why"
    run_id: str = msgspec.field(default="", name="runId")
    """The run that is in the way."""


class _Refusal(msgspec.Struct, frozen=True):
    """What is understood of a JSON body: ours, and what proxies and frameworks say."""

    error: ErrorBody | str | None = None
    detail: Any = None
    message: Any = None
    title: Any = None


def read_error(status: int, body: bytes) -> ErrorBody:
    """Find what a body says of an error.

    That may be an error of ours, problem details (RFC 9457), or a line of text.
    """
    try:
        said = msgspec.json.decode(body, type=_Refusal)
    except UNREADABLE:
        text = body.decode("utf-8", "replace").strip()
        words = "" if text.startswith(("<", "{", "[")) else text.partition("\n")[0]
    else:
        if isinstance(said.error, ErrorBody):
            return said.error
        texts = (said.error, said.detail, said.message, said.title)
        words = next((text for text in texts if isinstance(text, str)), "")
    message = f"the server answered {status}"
    return ErrorBody(message=f"{message}: {words}" if words else message)


def error_of(status: int, error: ErrorBody, about: str, retry_after: float = 0.0) -> Exception:
    """Say what a server's error means; `Passing` if trying again may help.

    What was asked is about a run, or a thread.
    """
    cls = _ERRORS.get(error.code)
    if cls is None and status == 429:
        cls = LimitExceeded
    if cls is None and (status >= 500 or error.code in _PASSING):
        cls = StoreUnavailable
    if cls in (LimitExceeded, StoreUnavailable):
        return Passing(cls(clean(error.message)), retry_after)
    if cls is not None:
        return cls(clean(error.message))
    if (naming := _NAMING.get(error.code)) is not None:
        return naming(about)
    if error.code == "thread-busy":
        return ThreadBusy(about, clean(error.run_id))
    return ServerError(status, error.code, error.message)
