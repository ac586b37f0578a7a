"""Errors as answers: a status, a code for programs, a sentence for people."""

import logging
from collections.abc import Mapping
from typing import Final

import attrs
from starlette.responses import Response
from starlette.types import Scope

from trio_agent import (
    CursorExpired,
    CursorInvalid,
    FenceLost,
    LimitExceeded,
    StoreUnavailable,
    UnknownRun,
)

from ..http._json import json_response

logger = logging.getLogger("trio_agent.servers")


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


def problem_of(exc: Exception) -> Problem:
    """Say what an exception means to a client."""
    if isinstance(exc, Problem):
        return exc
    for cls, (status, code, headers) in _CODES.items():
        if isinstance(exc, cls):
            return Problem(status, code, str(exc), headers)
    return Problem(500, "internal", "internal error")


def problem_response(problem: Problem) -> Response:
    """Make the answer that carries a problem."""
    body = {"error": {"code": problem.code, "message": problem.message}}
    return json_response(body, status=problem.status, headers=problem.headers)


def answer_to(exc: Exception, scope: Scope) -> Response:
    """Make the answer to a request that failed; a bug of ours is logged."""
    problem = problem_of(exc)
    if problem.status == 500:
        logger.error("%s %s failed by a bug", scope["method"], scope["path"], exc_info=exc)
    return problem_response(problem)
