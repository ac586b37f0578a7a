"""What refusals of servers mean."""

import msgspec
import pytest

from trio_agent import (
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
from trio_agent.client import ServerError
from trio_agent.client._refusal import ErrorBody, Passing, error_of
from trio_agent.servers._shared.problem import STORE_AWAY, problem_of


def meaning(status: int, error: ErrorBody) -> tuple[TrioAgentError, bool]:
    """What an error means, and whether it may pass."""
    found = error_of(status, error, "r")
    if isinstance(found, Passing):
        return found.error, True
    assert isinstance(found, TrioAgentError)
    return found, False


@pytest.mark.parametrize(
    ("code", "expected", "passing"),
    [
        ("answer-refused", AnswerRefused, False),
        ("cursor-invalid", CursorInvalid, False),
        ("cursor-expired", CursorExpired, False),
        ("key-reused", KeyReused, False),
        ("limit-exceeded", LimitExceeded, True),
        ("store-unavailable", StoreUnavailable, True),
    ],
)
@pytest.mark.parametrize("status", [0, 400, 503])
def test_those_with_a_meaning(
    code: str, expected: type[Exception], passing: bool, status: int
) -> None:
    error, passes = meaning(status, ErrorBody(code, "be\tcause\x9b"))
    assert (type(error), str(error), passes) == (expected, "be cause", passing)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("unknown-run", UnknownRun("r")),
        ("run-over", RunOver("r")),
        ("unknown-thread", UnknownThread("r")),
        ("thread-busy", ThreadBusy("r", "a b")),
    ],
)
def test_what_was_asked_about(code: str, expected: Exception) -> None:
    error, passes = meaning(404, ErrorBody(code, "as the server words it", "a\tb"))
    assert (type(error), error.args, passes) == (type(expected), expected.args, False)


@pytest.mark.parametrize("code", ["run-moved", "internal", "draining", "not-ready"])
@pytest.mark.parametrize("status", [0, 500, 503])
def test_what_passes_is_worth_another_try(code: str, status: int) -> None:
    error, passes = meaning(status, ErrorBody(code, "because"))
    assert (type(error), str(error), passes) == (StoreUnavailable, "because", True)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(429, LimitExceeded), (502, StoreUnavailable), (524, StoreUnavailable)],
)
def test_a_proxy_between_us(status: int, expected: type[Exception]) -> None:
    error, passes = meaning(status, ErrorBody())
    assert (type(error), passes) == (expected, True)


def test_others_are_the_servers_words() -> None:
    error, passes = meaning(403, ErrorBody("bad-origin", "because"))
    assert isinstance(error, ServerError)
    assert (error.status, error.code, error.message) == (403, "bad-origin", "because")
    assert (str(error), passes) == ("bad-origin: because", False)


def test_without_words() -> None:
    error, _ = meaning(403, ErrorBody())
    assert str(error) == "http-error: the server refused without saying why"


@pytest.mark.parametrize(
    "error",
    [
        CursorInvalid("a"),
        CursorExpired("b"),
        LimitExceeded("c"),
        StoreUnavailable(STORE_AWAY),
        KeyReused("e"),
        AnswerRefused("f"),
        RunOver("r"),
        UnknownRun("r"),
        UnknownThread("r"),
        ThreadBusy("r", "x"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("wire", ["http", "websocket"])
def test_what_a_server_means_arrives(error: TrioAgentError, wire: str) -> None:
    """Client and server have a table each: they are the same."""
    problem = problem_of(error)
    body = msgspec.convert(problem.error, ErrorBody)
    again, _ = meaning(problem.status if wire == "http" else 0, body)
    assert (type(again), str(again)) == (type(error), str(error))
