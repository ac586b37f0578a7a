"""Errors as answers: their status, their code, and what they tell."""

import pytest

from trio_agent import (
    CursorExpired,
    CursorInvalid,
    FenceLost,
    LimitExceeded,
    StoreUnavailable,
    UnknownRun,
)
from trio_agent.servers._shared.problem import Problem, problem_of


@pytest.mark.parametrize(
    ("exc", "status", "code", "later"),
    [
        (UnknownRun("x"), 404, "unknown-run", False),
        (CursorInvalid("no cursor"), 400, "cursor-invalid", False),
        (CursorExpired("gone"), 410, "cursor-expired", False),
        (LimitExceeded("full"), 503, "limit-exceeded", True),
        (StoreUnavailable("away"), 503, "store-unavailable", True),
        (FenceLost("moved"), 503, "run-moved", True),
    ],
)
def test_what_errors_mean(exc: Exception, status: int, code: str, later: bool) -> None:
    problem = problem_of(exc)
    assert (problem.status, problem.code, problem.message) == (status, code, str(exc))
    assert problem.body == {"error": {"code": code, "message": str(exc)}}
    assert ("retry-after" in problem.headers) == later


def test_a_kind_of_an_error_means_the_same() -> None:
    class Broken(StoreUnavailable):
        pass

    assert problem_of(Broken("x")).code == "store-unavailable"


def test_each_wire_says_the_same() -> None:
    problem = Problem(418, "teapot", "I am one", {"x-pot": "tea"})
    assert problem.error == {"code": "teapot", "message": "I am one"}
    assert problem.body == {"error": problem.error}


def test_bugs_say_nothing() -> None:
    problem = problem_of(KeyError("a secret"))
    assert (problem.status, problem.code, problem.message) == (500, "internal", "internal error")
    problem = Problem(418, "teapot", "I am one")
    assert problem_of(problem) is problem
    assert str(problem) == "teapot: I am one"
