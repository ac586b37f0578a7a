"""What goes wrong: what each error says, what it is, and what it carries."""

import pickle

import pytest

import trio_agent
from trio_agent import _errors
from trio_agent._errors import (
    AnswerRefused,
    CursorExpired,
    CursorInvalid,
    FenceLost,
    KeyReused,
    LimitExceeded,
    LogDamaged,
    ModelError,
    RunFailed,
    RunIncomplete,
    RunOver,
    StoreUnavailable,
    TextRetracted,
    ThreadBusy,
    ThreadMoved,
    TooLarge,
    ToolError,
    ToolSourceError,
    TrioAgentError,
    UnknownBlob,
    UnknownRun,
    UnknownThread,
)
from trio_agent._events import Usage
from trio_agent._run.result import Result

RESULT = Result("r", "", 1, "error", Usage(), ())

ERRORS: list[tuple[TrioAgentError, str, type[Exception], dict[str, object]]] = [
    (UnknownRun("r'1"), 'there is no run "r\'1"', LookupError, {"run_id": "r'1"}),
    (
        UnknownBlob("r", "d"),
        "run 'r' was given no file with the SHA-256 'd'",
        LookupError,
        {"run_id": "r", "digest": "d"},
    ),
    (UnknownThread("t'1"), 'there is no thread "t\'1"', LookupError, {"thread": "t'1"}),
    (
        ThreadBusy("t", "r"),
        "run 'r' is active in the thread 't'",
        TrioAgentError,
        {"thread": "t", "run_id": "r"},
    ),
    (ThreadMoved("whereto"), "whereto", TrioAgentError, {}),
    (CursorInvalid("what it is"), "what it is", ValueError, {}),
    (CursorExpired("why it is gone"), "why it is gone", LookupError, {}),
    (LogDamaged("whose"), "whose", CursorExpired, {}),
    (TooLarge("how large"), "how large", ValueError, {}),
    (KeyReused("which"), "which", ValueError, {}),
    (LimitExceeded("which"), "which", TrioAgentError, {}),
    (KeyReused("another prompt"), "another prompt", ValueError, {}),
    (StoreUnavailable("where"), "where", TrioAgentError, {}),
    (FenceLost("to whom"), "to whom", TrioAgentError, {}),
    (ToolError("in your words"), "in your words", TrioAgentError, {}),
    (ToolSourceError("which server"), "which server", TrioAgentError, {}),
    (
        ModelError("rate-limit", "too fast"),
        "rate-limit: too fast",
        TrioAgentError,
        {"code": "rate-limit", "message": "too fast", "retryable": False, "retry_after": None},
    ),
    (
        ModelError("rate-limit", "too fast", retryable=True, retry_after=1.5),
        "rate-limit: too fast",
        TrioAgentError,
        {"code": "rate-limit", "message": "too fast", "retryable": True, "retry_after": 1.5},
    ),
    (
        RunFailed("model", "it broke"),
        "model: it broke",
        TrioAgentError,
        {"code": "model", "message": "it broke", "result": None},
    ),
    (
        RunFailed("model", "it broke", RESULT),
        "model: it broke",
        TrioAgentError,
        {"result": RESULT},
    ),
    (
        AnswerRefused("the call 'c1' was answered already"),
        "the call 'c1' was answered already",
        TrioAgentError,
        {},
    ),
    (RunOver("r1"), "run 'r1' has ended", TrioAgentError, {"run_id": "r1"}),
    (
        TextRetracted(7),
        "all but the first 7 characters of the text were taken back",
        TrioAgentError,
        {"keep": 7},
    ),
    (
        RunIncomplete("max-steps"),
        "the run finished with 'max-steps': its answer is incomplete",
        TrioAgentError,
        {"finish_reason": "max-steps"},
    ),
]


def kind(value: object) -> str | None:
    return type(value).__name__ if isinstance(value, TrioAgentError) else None


@pytest.mark.parametrize(("error", "text", "base", "attributes"), ERRORS, ids=kind)
def test_an_error(
    error: TrioAgentError, text: str, base: type[Exception], attributes: dict[str, object]
) -> None:
    # Twice: an error of a process may be told in another.
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert type(each) is type(error)
        assert str(each) == text
        assert isinstance(each, base)
        assert {name: getattr(each, name) for name in attributes} == attributes


def test_one_base_catches_them_all() -> None:
    defined = {each for each in vars(_errors).values() if isinstance(each, type)}
    assert defined == {type(error) for error, *_ in ERRORS} | {TrioAgentError}
    for each in defined:
        assert issubclass(each, TrioAgentError)
        assert getattr(trio_agent, each.__name__) is each
