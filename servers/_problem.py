"""Errors as answers: a status, a code for programs, a sentence for people."""

from collections.abc import Mapping
from typing import Final

import attrs
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from trio_agent import (
    CursorExpired,
    CursorInvalid,
    FenceLost,
    LimitExceeded,
    StoreUnavailable,
    UnknownRun,
)

from ._json import json_response


@attrs.frozen
class Problem(Exception):
    """What is wrong with a request, in the form that every wire gives it."""

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


_LATER: Final = {"retry-after": "1"}

_CODES: Final[Mapping[type[Exception], tuple[int, str, Mapping[str, str]]]] = {
    UnknownRun: (404, "unknown-run", {}),
    CursorInvalid: (400, "cursor-invalid", {}),
    CursorExpired: (410, "cursor-expired", {}),
    LimitExceeded: (503, "limit-exceeded", _LATER),
    StoreUnavailable: (503, "store-unavailable", _LATER),
    FenceLost: (503, "run-moved", _LATER),
}

_HTTP_CODES: Final = {404: "not-found", 405: "method-not-allowed"}


def problem_of(exc: Exception) -> Problem:
    """Say what an exception of ours, or of the router, means to a client."""
    if isinstance(exc, Problem):
        return exc
    if isinstance(exc, HTTPException):
        code = _HTTP_CODES.get(exc.status_code, "http-error")
        return Problem(exc.status_code, code, exc.detail, exc.headers or {})
    for cls, (status, code, headers) in _CODES.items():
        if isinstance(exc, cls):
            return Problem(status, code, str(exc), headers)
    return Problem(500, "internal", "internal error")


def problem_response(problem: Problem) -> Response:
    """Make the answer that carries a problem."""
    body = {"error": {"code": problem.code, "message": problem.message}}
    return json_response(body, status=problem.status, headers=problem.headers)


async def handle_exception(request: Request, exc: Exception) -> Response:
    """Answer an exception of a handler."""
    return problem_response(problem_of(exc))


EXCEPTION_HANDLERS: Final = dict.fromkeys(
    (HTTPException, Problem, *_CODES, Exception), handle_exception
)
