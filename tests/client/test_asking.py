"""What becomes of an answer of a server that is lost, or never comes, and of one that refuses."""

import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import pytest
import trio
import trio.testing
from client_kit import answer, error, head_of
from proxy_kit import canned
from server_kit import StepModel, open_server
from websocket_kit import open_websocket_server

from trio_agent import (
    AnswerRefused,
    CursorExpired,
    KeyReused,
    LimitExceeded,
    RunOver,
    StoreUnavailable,
    UnknownRun,
)
from trio_agent.client import Client, ServerError, TransportError, open_client

Act: TypeAlias = Callable[[Client], Awaitable[object]]

TOLD: Final[list[Act]] = [
    lambda client: client.answer("r", "c", approved=True),
    lambda client: client.say("r", "wait"),
]


class TestLostAnswers:
    async def test_one_run_however_often_the_answer_is_lost(self) -> None:
        whole = answer(201, {"id": "r"})
        cuts = [whole[:size] for size in range(0, len(whole), 10)]
        for cut in cuts:
            async with canned(cut, whole) as (url, requests), open_client(url) as client:
                assert await client.start("hi") == "r"
            keys = [head_of(request)[1]["idempotency-key"] for request in requests]
            assert len(keys) == 2, cut
            assert keys[0] == keys[1]
            assert len(keys[0]) == 32

    async def test_each_start_has_a_key_of_its_own(self) -> None:
        for opener in (open_server, open_websocket_server):
            async with opener(StepModel()) as server, open_client(server.url) as client:
                assert await client.start("hi") != await client.start("hi")

    async def test_a_busy_server_behind_a_lost_answer_is_asked_again(self) -> None:
        answers = (b"", error(503, "limit-exceeded"), error(502, "x"), answer(201, {"id": "r"}))
        async with canned(*answers) as (url, requests), open_client(url) as client:
            assert await client.start("hi", idempotency_key="k") == "r"
            assert len(requests) == len(answers)

    async def test_patience(self) -> None:
        async with canned(*[b""] * 9) as (url, requests), open_client(url, patience=0) as client:
            with pytest.raises(TransportError, match="cut-stream"):
                await client.start("hi")
            assert len(requests) == 2

    @pytest.mark.parametrize("act", TOLD)
    async def test_what_a_run_is_told_is_told_again(self, act: Act) -> None:
        """The same words with the same key: it is there once."""
        answers = (b"", error(503, "draining"), b"HTTP/1.1 200 OK\r\n", answer(200, {}))
        async with canned(*answers) as (url, requests), open_client(url) as client:
            await act(client)
        assert len(requests) == len(answers)
        heads = [head_of(request) for request in requests]
        assert all(head == heads[0] for head in heads)

    @pytest.mark.parametrize("act", TOLD)
    async def test_what_is_not_taken_yet_is_waited_for(
        self, act: Act, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("trio_agent.client._client._PENDING", 0.0)
        pending = answer(200, {"pending": True})
        async with canned(pending, b"", pending, answer(200, {})) as (url, requests):
            async with open_client(url) as client:
                await act(client)
            assert len(requests) == 4

    @pytest.mark.parametrize("act", TOLD)
    async def test_the_run_may_be_over_until_then(self, act: Act) -> None:
        """Perhaps by what it was told: that is not known."""
        answers = (b"", error(409, "run-over"))
        async with canned(*answers) as (url, _), open_client(url) as client:
            with pytest.raises(RunOver, match="'r'"):
                await act(client)

    @pytest.mark.parametrize("act", TOLD)
    @pytest.mark.parametrize(
        ("status", "code", "expected"),
        [
            (409, "answer-refused", AnswerRefused),
            (409, "run-over", RunOver),
            (404, "unknown-run", UnknownRun),
            (410, "cursor-expired", CursorExpired),
            (400, "bad-request", ValueError),
            (429, "limit-exceeded", LimitExceeded),
            (503, "store-unavailable", StoreUnavailable),
            (401, "unauthorized", ServerError),
        ],
    )
    async def test_a_run_that_is_not_told(
        self, act: Act, status: int, code: str, expected: type[Exception]
    ) -> None:
        async with canned(error(status, code)) as (url, requests), open_client(url) as client:
            with pytest.raises(expected) as caught:
                await act(client)
            assert type(caught.value) is expected
            assert len(requests) == 1

    @pytest.mark.parametrize(
        ("status", "code", "expected"),
        [
            (503, "limit-exceeded", LimitExceeded),
            (429, "slow-down", LimitExceeded),
            (503, "store-unavailable", StoreUnavailable),
            (502, "x", StoreUnavailable),
            (422, "key-reused", KeyReused),
            (401, "unauthorized", ServerError),
        ],
    )
    async def test_a_refusal_is_no_lost_answer(
        self, status: int, code: str, expected: type[Exception]
    ) -> None:
        async with canned(error(status, code)) as (url, requests), open_client(url) as client:
            with pytest.raises(expected, match="because"):
                await client.start("hi")
            assert len(requests) == 1

    async def test_a_server_that_is_not_there_has_started_nothing(self) -> None:
        async with canned() as (url, _):
            pass
        async with open_client(url) as client:
            with pytest.raises(TransportError, match="connect"):
                await client.start("hi")
            assert "connect" in str(await client.not_ready())


@pytest.mark.parametrize(
    "act",
    [lambda c: c.cancel("r"), lambda c: c.info("r"), lambda c: c.start("hi"), *TOLD],
)
@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
async def test_a_server_that_never_answers(
    act: Act, begun: bytes, mock_clock: trio.testing.MockClock
) -> None:
    async with (
        canned(*[begun] * 2, hold=True, seconds=math.inf) as (url, requests),
        open_client(url, patience=0) as client,
        trio.open_nursery() as nursery,
    ):

        async def expect_failure() -> None:
            with pytest.raises(TransportError, match="did not answer within 60 seconds"):
                await act(client)
            nursery.cancel_scope.cancel()

        nursery.start_soon(expect_failure)
        while True:
            while not requests:
                await trio.lowlevel.checkpoint()
            requests.clear()
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(61)
