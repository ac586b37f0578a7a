"""Errors as answers: a status, a code for programs, a sentence for people.

What a store says of its failure is for the operator: it may have paths and addresses.
"""

from collections.abc import Mapping
from typing import Final

import attrs

from trio_agent import (
    AnswerRefused,
    CursorExpired,
    CursorInvalid,
    FenceLost,
    KeyReused,
    LimitExceeded,
    RunOver,
    StoreUnavailable,
    ThreadBusy,
    TooLarge,
    UnknownBlob,
    UnknownRun,
    UnknownThread,
)

from .seldom import Seldom


@attrs.frozen
class Problem(Exception):
    """What is wrong with a request, in the form that every wire gives it."""

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = attrs.field(factory=dict)
    run_id: str | None = None
    """The run that is in the way, if one is."""

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    @property
    def error(self) -> Mapping[str, str]:
        """What every wire says of it."""
        said = {"code": self.code, "message": self.message}
        return said if self.run_id is None else {**said, "runId": self.run_id}

    @property
    def body(self) -> Mapping[str, Mapping[str, str]]:
        """What an answer of HTTP carries, a refused handshake's too."""
        return {"error": self.error}


_LATER: Final = {"retry-after": "1"}

STORE_AWAY: Final = "the store can't be reached, or can't take more"
"""All that clients learn of it."""

_away: Final = Seldom()

_CODES: Final[Mapping[type[Exception], tuple[int, str, Mapping[str, str]]]] = {
    UnknownRun: (404, "unknown-run", {}),
    UnknownBlob: (404, "unknown-blob", {}),
    UnknownThread: (404, "unknown-thread", {}),
    TooLarge: (413, "too-large", {}),
    CursorInvalid: (400, "cursor-invalid", {}),
    CursorExpired: (410, "cursor-expired", {}),
    LimitExceeded: (503, "limit-exceeded", _LATER),
    KeyReused: (422, "key-reused", {}),
    ThreadBusy: (409, "thread-busy", {}),
    AnswerRefused: (409, "answer-refused", {}),
    RunOver: (409, "run-over", {}),
    FenceLost: (503, "run-moved", _LATER),
}


def problem_of(exc: Exception) -> Problem:
    """Say what an exception means to a client."""
    if isinstance(exc, Problem):
        return exc
    if isinstance(exc, StoreUnavailable):
        _away.warn("a request failed, the store is away: %s", exc)
        return Problem(503, "store-unavailable", STORE_AWAY, _LATER)
    for cls, (status, code, headers) in _CODES.items():
        if isinstance(exc, cls):
            busy = exc.run_id if isinstance(exc, ThreadBusy) else None
            return Problem(status, code, str(exc), headers, busy)
    return Problem(500, "internal", "internal error")
