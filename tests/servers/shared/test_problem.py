"""Errors as answers: their status, their code, and what they tell."""

import pytest

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
from trio_agent.servers._shared import problem
from trio_agent.servers._shared.problem import STORE_AWAY, Problem, problem_of
from trio_agent.servers._shared.seldom import Seldom


@pytest.mark.parametrize(
    ("exc", "status", "code", "later"),
    [
        (UnknownRun("x"), 404, "unknown-run", False),
        (UnknownBlob("x", "y"), 404, "unknown-blob", False),
        (UnknownThread("x"), 404, "unknown-thread", False),
        (TooLarge("too many bytes"), 413, "too-large", False),
        (CursorInvalid("no cursor"), 400, "cursor-invalid", False),
        (CursorExpired("gone"), 410, "cursor-expired", False),
        (LimitExceeded("full"), 503, "limit-exceeded", True),
        (KeyReused("another prompt"), 422, "key-reused", False),
        (AnswerRefused("it was answered"), 409, "answer-refused", False),
        (RunOver("x"), 409, "run-over", False),
        (FenceLost("moved"), 503, "run-moved", True),
    ],
)
def test_what_errors_mean(exc: Exception, status: int, code: str, later: bool) -> None:
    found = problem_of(exc)
    assert (found.status, found.code, found.message) == (status, code, str(exc))
    assert found.body == {"error": {"code": code, "message": str(exc)}}
    assert ("retry-after" in found.headers) == later


def test_a_thread_that_is_busy_names_the_run() -> None:
    busy = ThreadBusy("tea", "r")
    found = problem_of(busy)
    said = {"code": "thread-busy", "message": str(busy), "runId": "r"}
    assert (found.status, found.error, found.headers) == (409, said, {})


def test_what_a_store_says_is_for_the_operator(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problem, "_away", Seldom())
    for _ in range(3):
        found = problem_of(StoreUnavailable("/srv/runs.db: database is locked"))
        assert (found.status, found.code, found.message) == (503, "store-unavailable", STORE_AWAY)
        assert "retry-after" in found.headers
    [line] = caplog.messages
    assert "/srv/runs.db: database is locked" in line


def test_a_kind_of_an_error_means_the_same() -> None:
    class Broken(StoreUnavailable):
        pass

    assert problem_of(Broken("x")).code == "store-unavailable"


def test_each_wire_says_the_same() -> None:
    teapot = Problem(418, "teapot", "I am one", {"x-pot": "tea"})
    assert teapot.error == {"code": "teapot", "message": "I am one"}
    assert teapot.body == {"error": teapot.error}


def test_bugs_say_nothing() -> None:
    found = problem_of(KeyError("a secret"))
    assert (found.status, found.code, found.message) == (500, "internal", "internal error")
    teapot = Problem(418, "teapot", "I am one")
    assert problem_of(teapot) is teapot
    assert str(teapot) == "teapot: I am one"
