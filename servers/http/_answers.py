"""Answers of HTTP: JSON, and errors as JSON."""

import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Scope

from .._shared.problem import Problem, problem_of

logger = logging.getLogger("trio_agent.servers")


def json_response(
    value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Make a response of any value that msgspec encodes."""
    return Response(
        msgspec.json.encode(value),
        status_code=status,
        headers={"cache-control": "no-store", **(headers or {})},
        media_type="application/json",
    )


def problem_response(problem: Problem) -> Response:
    """Make the answer that carries a problem."""
    return json_response(problem.body, status=problem.status, headers=problem.headers)


def answer_to(exc: Exception, scope: Scope) -> Response:
    """Make the answer to a request that failed; a bug of ours is logged."""
    problem = problem_of(exc)
    if problem.status == 500:
        logger.error("%s %s failed by a bug", scope["method"], _path(scope), exc_info=exc)
    return problem_response(problem)


def _path(scope: Scope) -> str:
    """Return the path of a request for the log, where no thread is named: users choose those."""
    path: str = scope["path"]
    thread = scope.get("path_params", {}).get("thread")
    return path if thread is None else path.removesuffix(thread) + "{thread}"
