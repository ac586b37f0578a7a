"""The client's way over HTTP: what it asks, and what it makes of answers."""

import hashlib
import math
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from client_kit import DONE, END, EVENT, STREAM, answer, head_of, receive_all
from proxy_kit import canned
from server_kit import StepModel, open_server, talking_model
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from trio_agent import (
    CursorExpired,
    CursorInvalid,
    File,
    Receipt,
    ToolResult,
    UnknownBlob,
    UnknownRun,
    UserMessage,
)
from trio_agent._events import ToolOutcome
from trio_agent.client import Client, ServerError, TransportError, _http, open_client
from trio_agent.servers import Guard, bearer_tokens
from trio_agent.testing import ScriptedModel
from trio_agent.wire import encode_event


async def test_cancelling() -> None:
    async with open_server(ScriptedModel(["a", trio.Event()])) as server:
        run = await server.start()
        async with open_client(server.url) as client:
            receipt = await client.cancel(run.id)
            assert receipt == await run.cancel() == await client.cancel(run.id)
            for act in (client.cancel, client.info):
                with pytest.raises(UnknownRun, match=r"^there is no run 'no\?pe'$"):
                    await act("no?pe")


async def test_a_receipt_that_takes_long() -> None:
    receipt = {"id": "r", "outcome": "error", "lastOffset": 7, "abandoned": ["1"]}
    async with (
        canned(answer(202, {"id": "r", "status": "active"}), answer(200, receipt)) as (
            url,
            _,
        ),
        open_client(url) as client,
    ):
        assert await client.cancel("r") is None
        assert await client.cancel("r") == Receipt("error", 7, ("1",))


async def test_files() -> None:
    data = bytes(range(256)) * 8_000
    digest = hashlib.sha256(data).hexdigest()
    async with (
        open_server(talking_model("a")) as server,
        open_client(server.url) as client,
    ):
        run_id = await client.start(messages=[UserMessage((File("image/png", data=data),))])
        assert await client.blob(run_id, digest) == data
        with pytest.raises(UnknownRun):
            await client.blob("no?pe", digest)
        for other in ("0" * 64, "x"):
            with pytest.raises(UnknownBlob) as caught:
                await client.blob(run_id, other)
            assert (caught.value.run_id, caught.value.digest) == (run_id, other)


async def test_a_file_that_is_another_one_or_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "MAX_BLOB", 10)
    digest = hashlib.sha256(b"x" * 20).hexdigest()
    cut = answer(200, b"x" * 20)[:-1]
    async with (
        canned(answer(200, b"y"), answer(200, b"x" * 20), cut) as (url, _),
        open_client(url) as client,
    ):
        for _ in range(2):
            with pytest.raises(ServerError) as caught:
                await client.blob("r", digest)
            assert caught.value.code == "bad-response"
        monkeypatch.setattr(_http, "MAX_BLOB", 100)
        with pytest.raises(TransportError):
            await client.blob("r", digest)


async def test_a_token() -> None:
    guard = Guard(authorize=bearer_tokens({"me": "secret"}))
    async with open_server(talking_model("a"), guard=guard) as server:
        async with open_client(server.url, token="secret") as client:
            run_id = await client.start("hi")
            assert "secret" not in repr(client)
        assert (await receive_all(server.url, run_id, token="secret"))[-1].terminal
        for token in (None, "wrong"):
            with pytest.raises(ServerError) as caught:
                await receive_all(server.url, run_id, token=token)
            assert (caught.value.status, caught.value.code) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("after", "expected"),
    [("?", CursorInvalid), ("{id}.other.1", CursorExpired), ("{id}.{epoch}.99", CursorExpired)],
)
async def test_cursors_that_are_none(after: str, expected: type[Exception]) -> None:
    async with open_server(talking_model("a")) as server:
        run = await server.start()
        await run.wait()
        cursor = after.format(id=run.id, epoch=run.cursor.epoch)
        for _ in range(2):
            with pytest.raises(expected):
                await receive_all(server.url, run.id, after=cursor)
        with pytest.raises(UnknownRun, match=r"^there is no run 'nope'$"):
            await receive_all(server.url, "nope")


class TestNothingFollows:
    async def test_behind_the_end(self) -> None:
        async with canned(DONE) as (url, _):
            assert await receive_all(url, after="r.e.9") == []

    async def test_behind_an_event_that_is_newer_than_we_are(self) -> None:
        new = b'data: {"type":"archived","at":1}\nid: r.e.1\n\n'
        async with canned(STREAM + new, DONE) as (url, _):
            assert len(await receive_all(url)) == 1

    @pytest.mark.parametrize("answers", [[DONE], [STREAM + EVENT % (b"a", 1), DONE]])
    async def test_no_end_without_a_terminal_event(self, answers: list[bytes]) -> None:
        async with canned(*answers) as (url, _):
            with pytest.raises(ServerError, match="no terminal event"):
                await receive_all(url)


@pytest.mark.parametrize(
    "garbage",
    [
        answer(200, b"<html>a login page</html>"),
        STREAM + b"data: no JSON\nid: r.e.1\n\n",
        STREAM + b'data: {"type":"text-delta"}\nid: r.e.1\n\n',
        STREAM + b"data: " + b"x" * (17 << 20) + b"\n\n",
        STREAM + b"data: " + b"[" * 100_000 + b"\nid: r.e.1\n\n",
        STREAM
        + b'data: {"type":"text-delta","at":1,"delta":'
        + b"[" * 100_000
        + b"\nid: r.e.1\n\n",
    ],
)
async def test_garbage(garbage: bytes) -> None:
    async with canned(garbage) as (url, _):
        with pytest.raises(ServerError) as caught:
            await receive_all(url)
        assert caught.value.code == "bad-response"
        assert str(caught.value).startswith("bad-response: ")


@pytest.mark.parametrize(
    "garbage", [b"", b"<html>", b"[]", b"{}", b'{"outcome":7}', b"\xff", b"[" * 100_000]
)
async def test_garbage_for_an_answer(garbage: bytes) -> None:
    async with canned(*[answer(200, garbage)] * 2) as (url, _), open_client(url) as client:
        with pytest.raises(ServerError, match="bad-response"):
            await client.start("hi")
        if garbage != b"{}":
            with pytest.raises(ServerError, match="bad-response"):
                await client.cancel("r")


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"", ""),
            (b"<html><h1>Forbidden</h1>", ""),
            (b"{broken", ""),
            (b"nothing here\nat all", ": nothing here"),
            (b"\x1b[2Jgone\x07\xff", ": [2Jgone \ufffd"),
            ("\u202e\u009bm evil".encode(), ": m evil"),
            (b"x" * 1_000_000, ": " + "x" * 474 + "…"),
            (b'{"detail": "Not Found"}', ": Not Found"),
            (b'{"error": "nope"}', ": nope"),
            (b'{"type": "about:blank", "title": "No", "status": 404, "detail": "a\\nb"}', ": a b"),
            (b'{"title": "No"}', ": No"),
            (b'{"message": "No"}', ": No"),
            (b'{"message": 7}', ""),
        ],
    )
    async def test_what_the_server_said(self, body: bytes, words: str) -> None:
        async with canned(answer(404, body)) as (url, _):
            with pytest.raises(ServerError) as caught:
                await receive_all(url)
        assert (caught.value.status, caught.value.code) == (404, "http-error")
        assert caught.value.message == f"the server answered 404{words}"
        assert str(caught.value).isprintable()

    async def test_a_code_that_is_none(self) -> None:
        error = {"code": "\x1b[31mred", "message": "two\nlines\x00"}
        async with canned(answer(400, {"error": error})) as (url, _):
            with pytest.raises(ServerError, match=r"^\[31mred: two lines$"):
                await receive_all(url)

    async def test_an_endless_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        head = b"HTTP/1.1 404 X\r\n\r\n"
        async with canned(head + b"no\n" * 10_000_000) as (url, _):
            with pytest.raises(ServerError, match=r"404: no$"):
                await receive_all(url)

    @pytest.mark.parametrize("status", [500, 502, 504, 520, 521, 522, 523, 524, 429])
    async def test_a_proxy_whose_server_restarts(self, status: int) -> None:
        html = answer(status, b"<!DOCTYPE html><title>A timeout occurred</title>")
        async with canned(html, STREAM + EVENT % (b"a", 1), html, STREAM + END % 2) as (url, _):
            assert len(await receive_all(url)) == 2


class TestComingBack:
    """When the server says when: not earlier, but not in a year either."""

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [("7", 7), ("99999999", 30), ("0", 0), ("-9", 0), ("soon", 0), ("9" * 5000, 0)],
    )
    async def test_after_a_refusal(
        self, header: str, seconds: float, mock_clock: trio.testing.MockClock
    ) -> None:
        busy = f"HTTP/1.1 503 X\r\nRetry-After: {header}\r\nContent-Length: 0\r\n\r\n".encode()
        assert await self._pause([busy, STREAM + END % 1], mock_clock) == seconds

    @pytest.mark.parametrize(("retry", "seconds"), [(b"2000", 2), (b"0", 0), (b"9" * 17, 30)])
    async def test_after_an_end_in_good_order(
        self, retry: bytes, seconds: float, mock_clock: trio.testing.MockClock
    ) -> None:
        ended = STREAM + b"retry: %b\n\n" % retry
        assert await self._pause([ended, STREAM + END % 1], mock_clock) == seconds

    async def test_at_once_after_a_cut(self, mock_clock: trio.testing.MockClock) -> None:
        chunked = STREAM.replace(b"Connection: close", b"Transfer-Encoding: chunked")
        cut = chunked + b"d\r\nretry: 9000\n\n\r\n"
        assert await self._pause([cut, STREAM + END % 1], mock_clock) == 0

    async def _pause(self, answers: list[bytes], clock: trio.testing.MockClock) -> float:
        """Receive everything, and tell how long it took by the clock, which moves by seconds."""
        events: list[object] = []
        begin = clock.current_time()

        async def receive(url: str) -> None:
            events.extend(await receive_all(url))
            scope.cancel()

        async with canned(*answers, seconds=math.inf) as (url, _), trio.open_nursery() as nursery:
            nursery.start_soon(receive, url)
            with trio.CancelScope() as scope:
                while True:
                    # On a socket of this machine, something that is under way is there by then.
                    for _ in range(20):
                        await trio.testing.wait_all_tasks_blocked(0)
                    clock.jump(1)
        assert len(events) == 1
        return clock.current_time() - begin


class TestSilence:
    async def test_a_connection_without_a_sign_of_life_is_dead(
        self, mock_clock: trio.testing.MockClock
    ) -> None:
        answers = (STREAM + EVENT % (b"a", 1), STREAM + EVENT % (b"b", 2) + END % 3)
        async with (
            canned(*answers, hold=True, seconds=math.inf) as (url, requests),
            open_client(url) as client,
            client.subscribe("r") as events,
        ):
            await events.receive()
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(44)
            await trio.testing.wait_all_tasks_blocked()
            assert events.reconnects == 0
            mock_clock.jump(6)  # it is noticed by a tenth of the deadline later
            assert [event.cursor async for event in events] == ["r.e.2", "r.e.3"]
            assert events.reconnects == 1
            assert head_of(requests[1])[1]["last-event-id"] == "r.e.1"

    @pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nX:", STREAM[:-2]])
    async def test_a_server_that_never_begins(
        self, begun: bytes, mock_clock: trio.testing.MockClock
    ) -> None:
        async with (
            canned(begun, STREAM + END % 1, hold=True, seconds=math.inf) as (url, requests),
            open_client(url, heartbeat_deadline=5) as client,
            client.subscribe("r") as events,
        ):
            while not requests:
                await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(6)
            assert (await events.receive()).terminal
            assert events.reconnects == 1

    async def test_heartbeats_are_enough(self, mock_clock: trio.testing.MockClock) -> None:
        async with (
            open_server(StepModel(), heartbeat=15, seconds=math.inf) as server,
            open_client(server.url) as client,
        ):
            run_id = await client.start("hi")
            async with client.subscribe(run_id) as events:
                for _ in range(2):
                    await events.receive()
                for _ in range(20):
                    await trio.testing.wait_all_tasks_blocked(0.01)
                    mock_clock.jump(15)
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert events.reconnects == 0

    async def test_who_does_not_read_hears_nothing(
        self, mock_clock: trio.testing.MockClock
    ) -> None:
        """Then silence is no sign of death."""
        body = b"".join(EVENT % (b"x" * 50_000, n) for n in range(1, 100))
        async with (
            canned(STREAM + body + END % 100, hold=True, seconds=math.inf) as (url, requests),
            open_client(url) as client,
            client.subscribe("r") as events,
        ):
            await events.receive()
            await trio.testing.wait_all_tasks_blocked(0.01)
            mock_clock.jump(1000)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert len([event async for event in events]) == 99
            assert (len(requests), events.reconnects) == (1, 0)


def moved(status: int, location: str) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n"
    return f"{head}Connection: close\r\n\r\n".encode()


class TestRedirects:
    @pytest.mark.parametrize("status", [307, 308])
    @pytest.mark.parametrize(
        ("location", "path"),
        [
            ("/v2/runs/", "/v2/runs/"),
            ("runs/?x=1", "/api/runs/?x=1"),
            ("{url}/elsewhere", "/elsewhere"),
        ],
    )
    async def test_within_the_server(self, status: int, location: str, path: str) -> None:
        async with (
            canned(moved(status, location), answer(201, {"id": "r"})) as (url, requests),
            open_client(f"{url}/api", token="secret") as client,
        ):
            assert await client.start("hi", idempotency_key="k") == "r"
        first, second = requests
        assert head_of(first)[0] == "POST /api/runs"
        assert head_of(second)[0] == f"POST {path}"
        for name in ("authorization", "idempotency-key", "content-length", "content-type"):
            assert head_of(first)[1][name] == head_of(second)[1][name]

    async def test_a_stream(self) -> None:
        async with canned(moved(307, "/b"), STREAM + END % 1) as (url, requests):
            assert len(await receive_all(url, after="r.e.0")) == 1
        assert head_of(requests[1])[0] == "GET /b"
        assert head_of(requests[1])[1]["last-event-id"] == "r.e.0"

    @pytest.mark.parametrize(
        "location", ["http://example.com/", "//example.com/runs", "https://127.0.0.1/", "http://[x"]
    )
    async def test_away_from_it(self, location: str) -> None:
        async with canned(moved(308, location)) as (url, requests):
            with pytest.raises(ServerError) as caught:
                await receive_all(url, token="secret")
        assert (caught.value.status, caught.value.code) == (308, "redirected")
        assert len(requests) == 1

    async def test_in_a_circle(self) -> None:
        async with canned(*[moved(307, "/a")] * 9) as (url, requests):
            with pytest.raises(ServerError, match=r"redirected: .* URL: /a$"):
                await receive_all(url)
            assert len(requests) == 6

    @pytest.mark.parametrize(
        ("answered", "code"),
        [(moved(302, "/login"), "redirected"), (answer(307, b""), "http-error")],
    )
    async def test_others(self, answered: bytes, code: str) -> None:
        async with canned(answered) as (url, _), open_client(url) as client:
            with pytest.raises(ServerError) as caught:
                await client.start("hi")
            assert caught.value.code == code


class TestRequests:
    @pytest.mark.parametrize(
        ("act", "line", "headers"),
        [
            (
                lambda c: c.start("hi", idempotency_key="k"),
                "POST /runs",
                {"content-type": "application/json", "idempotency-key": "k"},
            ),
            (lambda c: c.cancel("r"), "POST /runs/r/cancel", {}),
            (lambda c: c.cancel("a/../b?c#é"), "POST /runs/a%2F..%2Fb%3Fc%23%C3%A9/cancel", {}),
            (lambda c: c.info("r"), "GET /runs/r", {}),
            (lambda c: c.info("../health/ready"), "GET /runs/..%2Fhealth%2Fready", {}),
            (lambda c: c.not_ready(), "GET /health/ready", {}),
        ],
    )
    async def test_what_is_asked(
        self, act: Callable[[Client], Awaitable[object]], line: str, headers: dict[str, str]
    ) -> None:
        async with (
            canned(answer(200, {"id": "r"})) as (url, requests),
            open_client(url, token="secret") as client,
        ):
            await act(client)
        [request] = requests
        asked, sent = head_of(request)
        assert asked == line
        assert sent["authorization"] == "Bearer secret"
        names = ("content-type", "idempotency-key", "last-event-id")
        assert {name: sent[name] for name in names if name in sent} == headers

    async def test_a_subscription(self) -> None:
        async with canned(STREAM + END % 2) as (url, requests):
            await receive_all(url, "a/b", after="r.e.1", token="secret")
        line, headers = head_of(requests[0])
        assert line == "GET /runs/a%2Fb/events"
        assert headers["accept"] == "text/event-stream, application/json"
        assert headers["last-event-id"] == "r.e.1"
        assert headers["authorization"] == "Bearer secret"

    async def test_below_a_prefix(self) -> None:
        """As where the app is mounted below another one."""

        def mounted(app: ASGIApp) -> ASGIApp:
            return Starlette(routes=[Mount("/agents", app=app)])

        async with open_server(talking_model("a"), wrap=mounted) as server:
            for url in (f"{server.url}/agents", f"{server.url}/agents/"):
                async with open_client(url) as client:
                    assert await client.not_ready() is None
                    run_id = await client.start("hi")
                    assert (await client.info(run_id))["id"] == run_id
                    await client.cancel(run_id)
                assert (await receive_all(url, run_id))[-1].terminal


@pytest.mark.parametrize("kind", ["application/json", "text/html", "text/plain"])
async def test_what_is_no_event_stream(kind: str) -> None:
    other = STREAM.replace(b"text/event-stream", kind.encode())
    async with canned(other + EVENT % (b"a", 1)) as (url, _):
        with pytest.raises(ServerError, match="this is no event stream") as caught:
            await receive_all(url)
        assert (caught.value.status, caught.value.code) == (200, "bad-response")


async def test_a_stream_may_say_how_it_is_encoded() -> None:
    stream = STREAM.replace(b"event-stream", b"event-stream; charset=utf-8")
    async with canned(stream + END % 1) as (url, _):
        assert len(await receive_all(url)) == 1


async def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_agent.client._http.MAX_EVENT", 1000)
    for status, code in ((200, "bad-response"), (404, "http-error")):
        large = answer(status, {"id": "r", "more": "x" * 10_000})
        async with canned(large) as (url, _), open_client(url) as client:
            with pytest.raises(ServerError) as caught:
                await client.info("r")
            assert (caught.value.status, caught.value.code) == (status, code)


async def test_a_result_with_the_largest_file() -> None:
    file = File("image/png", data=bytes(4 << 20), name="plot.png")
    outcome = ToolOutcome("1", "plot", {}, "a plot", "ok", (file,))
    data = encode_event(ToolResult(at=1, tool=outcome))
    stream = STREAM + b"data: " + data + b"\nid: r.e.1\n\n" + END % 2
    async with canned(stream, DONE) as (url, _):
        result, _ = await receive_all(url)
    assert isinstance(result.event, ToolResult)
    assert result.event.tool.files == (file,)
