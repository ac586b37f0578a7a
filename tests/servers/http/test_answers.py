"""Answers as JSON: values, problems, and what failed by a bug."""

import json
import logging
from typing import Any

import msgspec
import pytest

from trio_agent import LimitExceeded, UnknownRun
from trio_agent.servers._shared.problem import Problem
from trio_agent.servers.http._answers import answer_to, json_response, problem_response

SCOPE: dict[str, Any] = {"type": "http", "method": "DELETE", "path": "/runs/x"}


class Point(msgspec.Struct, rename="camel"):
    far_away: int


def test_any_value_that_msgspec_encodes() -> None:
    response = json_response({"points": [Point(1)], "text": "é\u2028"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert json.loads(bytes(response.body)) == {"points": [{"farAway": 1}], "text": "é\u2028"}


def test_status_and_headers() -> None:
    headers = {"location": "/runs/x", "cache-control": "no-cache"}
    response = json_response([], status=201, headers=headers)
    assert response.status_code == 201
    assert headers.items() <= dict(response.headers).items()


def test_problem() -> None:
    response = problem_response(Problem(405, "teapot", "short and stout", {"allow": "BREW"}))
    assert (response.status_code, response.headers["allow"]) == (405, "BREW")
    assert json.loads(bytes(response.body)) == {
        "error": {"code": "teapot", "message": "short and stout"}
    }


@pytest.mark.parametrize(
    ("exc", "status", "code"),
    [
        (Problem(418, "teapot", "no"), 418, "teapot"),
        (UnknownRun("x"), 404, "unknown-run"),
        (LimitExceeded("full"), 503, "limit-exceeded"),
    ],
)
def test_errors_of_clients_are_not_logged(
    exc: Exception, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = answer_to(exc, SCOPE)
    assert response.status_code == status
    assert json.loads(bytes(response.body))["error"]["code"] == code
    assert not caplog.records


def test_a_bug_is_logged_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    bug = ZeroDivisionError("with a secret")
    response = answer_to(bug, SCOPE)
    assert response.status_code == 500
    assert b"secret" not in bytes(response.body)
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (
        logging.ERROR,
        "DELETE /runs/x failed by a bug",
    )
    assert record.exc_info is not None
    assert record.exc_info[1] is bug


def test_no_log_names_a_thread(caplog: pytest.LogCaptureFixture) -> None:
    path, named = "/agents/threads/my/illness", {"thread": "my/illness"}
    answer_to(ZeroDivisionError(), {**SCOPE, "path": path, "path_params": named})
    assert caplog.messages == ["DELETE /agents/threads/{thread} failed by a bug"]
