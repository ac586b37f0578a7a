"""What a client gets, whatever the wire: events, receipts, errors."""

import json

import msgspec
import pytest
from client_kit import END, STREAM, receive_all
from proxy_kit import canned

from trio_agent import (
    AnswerRefused,
    CursorExpired,
    CursorInvalid,
    KeyReused,
    LimitExceeded,
    Nested,
    Receipt,
    RunFinish,
    RunOver,
    StoreUnavailable,
    TextDelta,
    ThreadBusy,
    TrioAgentError,
    UnknownRun,
    UnknownThread,
)
from trio_agent._log.codec import EventInvalid
from trio_agent.client import RemoteEvent, ServerError
from trio_agent.client._remote import Cancelled, ErrorBody, Passing, error_of
from trio_agent.servers._shared.problem import STORE_AWAY, problem_of

FINISH = (
    '{"type":"run-finish","at":1,"run":{"id":"r","text":"","steps":1,"finishReason":"stop",'
    '"usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0}}}'
)


class TestEvents:
    def test_text(self) -> None:
        event = RemoteEvent.read("r.e.1", '{"type":"text-delta","at":1,"delta":"é"}')
        assert (event.cursor, event.terminal) == ("r.e.1", False)
        assert event.event == TextDelta(at=1, delta="é")

    def test_nested(self) -> None:
        inner = '{"type":"text-delta","at":1,"delta":"é"}'
        for call in ("a/b", "a"):
            inner = f'{{"type":"nested","at":1,"call":"{call}","event":{inner}}}'
        event = RemoteEvent.read("r.e.1", inner)
        assert not event.terminal
        assert isinstance(event.event, Nested)
        assert isinstance(event.event.event, Nested)
        assert event.event.event.event == TextDelta(at=1, delta="é")

    @pytest.mark.parametrize("inner", ['{"type":"news","x":[1]}', '{"type":"text-delta"}', FINISH])
    def test_whatever_is_nested_the_run_goes_on(self, inner: str) -> None:
        data = f'{{"type":"nested","at":1,"call":"c","event":{inner}}}'
        event = RemoteEvent.read("r.e.1", data)
        assert (event.terminal, event.data) == (False, data)
        assert isinstance(event.event, Nested)
        assert bytes(event.event.raw) == inner.encode()
        assert (event.event.event is None) == (inner != FINISH)

    def test_the_last(self) -> None:
        event = RemoteEvent.read("r.e.1", FINISH)
        assert isinstance(event.event, RunFinish)
        assert event.terminal

    @pytest.mark.parametrize("data", ["", "[]", "{}", '{"type":"text-delta"}', '{"type":1}'])
    def test_what_is_none(self, data: str) -> None:
        with pytest.raises(EventInvalid):
            RemoteEvent.read("r.e.1", data)


@pytest.mark.parametrize(
    ("answer", "receipt"),
    [
        ('{"outcome":"stop","lastOffset":7,"abandoned":["c1"]}', Receipt("stop", 7, ("c1",))),
        ('{"outcome":"error","lastOffset":1}', Receipt("error", 1)),
        ('{"outcome":"paused-for-ever","lastOffset":2}', Receipt("paused-for-ever", 2)),  # type: ignore[arg-type]
        ('{"id":"r","status":"active"}', None),
        ("{}", None),
    ],
)
def test_receipts(answer: str, receipt: Receipt | None) -> None:
    assert msgspec.json.decode(answer, type=Cancelled).receipt == receipt


def meaning(status: int, error: ErrorBody) -> tuple[TrioAgentError, bool]:
    """What an error means, and whether it may pass."""
    found = error_of(status, error, "r")
    if isinstance(found, Passing):
        return found.error, True
    assert isinstance(found, TrioAgentError)
    return found, False


class TestErrors:
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
        self, code: str, expected: type[Exception], passing: bool, status: int
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
    def test_what_was_asked_about(self, code: str, expected: Exception) -> None:
        error, passes = meaning(404, ErrorBody(code, "as the server words it", "a\tb"))
        assert (type(error), error.args, passes) == (type(expected), expected.args, False)

    @pytest.mark.parametrize("code", ["run-moved", "internal", "draining", "not-ready"])
    @pytest.mark.parametrize("status", [0, 500, 503])
    def test_what_passes_is_worth_another_try(self, code: str, status: int) -> None:
        error, passes = meaning(status, ErrorBody(code, "because"))
        assert (type(error), str(error), passes) == (StoreUnavailable, "because", True)

    @pytest.mark.parametrize(
        ("status", "expected"),
        [(429, LimitExceeded), (502, StoreUnavailable), (524, StoreUnavailable)],
    )
    def test_a_proxy_between_us(self, status: int, expected: type[Exception]) -> None:
        error, passes = meaning(status, ErrorBody())
        assert (type(error), passes) == (expected, True)

    def test_others_are_the_servers_words(self) -> None:
        error, passes = meaning(403, ErrorBody("bad-origin", "because"))
        assert isinstance(error, ServerError)
        assert (error.status, error.code, error.message) == (403, "bad-origin", "because")
        assert (str(error), passes) == ("bad-origin: because", False)

    def test_without_words(self) -> None:
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
    def test_what_a_server_means_arrives(self, error: TrioAgentError, wire: str) -> None:
        """Client and server have a table each: they are the same."""
        problem = problem_of(error)
        body = msgspec.convert(problem.error, ErrorBody)
        again, _ = meaning(problem.status if wire == "http" else 0, body)
        assert (type(again), str(again)) == (type(error), str(error))


async def test_a_type_that_we_do_not_know() -> None:
    unknown = b'data: {"type":"news","at":1}\nid: r.e.1\n\n'
    async with canned(STREAM + unknown + END % 2) as (url, _):
        first, last = await receive_all(url)
        assert (first.event, first.terminal) == (None, False)
        assert (json.loads(first.data)["type"], last.terminal) == ("news", True)
