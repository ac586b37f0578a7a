"""What a client gets, whatever the wire: events, receipts, errors."""

import json

import msgspec
import pytest
from client_kit import END, STREAM, receive_all
from proxy_kit import canned

from trio_agent import (
    CursorExpired,
    CursorInvalid,
    KeyReused,
    LimitExceeded,
    Receipt,
    RunFinish,
    StoreUnavailable,
    TextDelta,
    TrioAgentError,
    UnknownRun,
)
from trio_agent._log.codec import EventInvalid
from trio_agent.client import RemoteEvent, ServerError
from trio_agent.client._remote import Cancelled, ErrorBody, error_of
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
        ('{"id":"r","status":"active"}', None),
        ("{}", None),
    ],
)
def test_receipts(answer: str, receipt: Receipt | None) -> None:
    assert msgspec.json.decode(answer, type=Cancelled).receipt == receipt


class TestErrors:
    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("cursor-invalid", CursorInvalid),
            ("cursor-expired", CursorExpired),
            ("limit-exceeded", LimitExceeded),
            ("store-unavailable", StoreUnavailable),
        ],
    )
    @pytest.mark.parametrize("passing", [True, False])
    def test_those_with_a_meaning(
        self, code: str, expected: type[Exception], passing: bool
    ) -> None:
        error = error_of(400, ErrorBody(code, "because"), "r", passing=passing)
        assert (type(error), str(error)) == (expected, "because")

    def test_a_run_that_there_is_not(self) -> None:
        error = error_of(
            404, ErrorBody("unknown-run", "as the server words it"), "r", passing=False
        )
        assert isinstance(error, UnknownRun)
        assert error.run_id == "r"

    @pytest.mark.parametrize("code", ["run-moved", "internal", "http-error"])
    def test_what_passes_is_worth_another_try(self, code: str) -> None:
        error = error_of(503, ErrorBody(code, "because"), "r", passing=True)
        assert (type(error), str(error)) == (StoreUnavailable, "because")

    def test_others_are_the_servers_words(self) -> None:
        error = error_of(403, ErrorBody("bad-origin", "because"), "r", passing=False)
        assert isinstance(error, ServerError)
        assert (error.status, error.code, error.message) == (403, "bad-origin", "because")
        assert str(error) == "bad-origin: because"

    def test_without_words(self) -> None:
        error = error_of(403, ErrorBody(), "r", passing=False)
        assert str(error) == "http-error: the server refused without saying why"

    @pytest.mark.parametrize(
        "error",
        [
            CursorInvalid("a"),
            CursorExpired("b"),
            LimitExceeded("c"),
            StoreUnavailable(STORE_AWAY),
            KeyReused("e"),
            UnknownRun("r"),
        ],
        ids=repr,
    )
    def test_what_a_server_means_arrives(self, error: TrioAgentError) -> None:
        """Client and server have a table each: they are the same."""
        problem = problem_of(error)
        body = msgspec.convert(problem.error, ErrorBody)
        again = error_of(problem.status, body, "r", passing=problem.status >= 500)
        assert (type(again), str(again)) == (type(error), str(error))


async def test_a_type_that_we_do_not_know() -> None:
    unknown = b'data: {"type":"waiting","at":1}\nid: r.e.1\n\n'
    async with canned(STREAM + unknown + END) as (url, _):
        first, last = await receive_all(url)
        assert (first.event, first.terminal) == (None, False)
        assert (json.loads(first.data)["type"], last.terminal) == ("waiting", True)
