"""The client's way over HTTP: what it asks, and what it makes of answers."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from client_kit import DONE, END, EVENT, STREAM, answer, receive_all
from proxy_kit import canned
from server_kit import open_server, talking_model
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from trio_agent import CursorExpired, CursorInvalid, Receipt, UnknownRun
from trio_agent.client import Client, ServerError, TransportError, open_client
from trio_agent.servers import Guard, bearer_tokens
from trio_agent.testing import ScriptedModel


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


async def test_a_run_of_which_all_was_seen() -> None:
    async with canned(STREAM + EVENT % (b"a", 1), DONE) as (url, _):
        assert len(await receive_all(url)) == 1


@pytest.mark.parametrize(
    "garbage",
    [
        answer(200, b"<html>a login page</html>"),
        STREAM + b"data: no JSON\nid: r.e.1\n\n",
        STREAM + b'data: {"type":"text-delta"}\nid: r.e.1\n\n',
        STREAM + b"data: " + b"x" * (2 << 20) + b"\n\n",
    ],
)
async def test_garbage(garbage: bytes) -> None:
    async with canned(garbage) as (url, _):
        with pytest.raises(ServerError) as caught:
            await receive_all(url)
        assert caught.value.code == "bad-response"
        assert str(caught.value).startswith("bad-response: ")


@pytest.mark.parametrize("garbage", [b"", b"<html>", b"[]", b"{}", b'{"outcome":7}', b"\xff"])
async def test_garbage_for_an_answer(garbage: bytes) -> None:
    async with canned(*[answer(200, garbage)] * 2) as (url, _), open_client(url) as client:
        with pytest.raises(ServerError, match="bad-response"):
            await client.start("hi")
        if garbage != b"{}":
            with pytest.raises(ServerError, match="bad-response"):
                await client.cancel("r")


async def test_refusals_that_say_nothing() -> None:
    async with canned(answer(404, b"<html>"), answer(302, b"")) as (url, _):
        for status in (404, 302):
            with pytest.raises(ServerError, match="http-error") as caught:
                await receive_all(url)
            assert caught.value.status == status


async def test_an_answer_cut_in_the_middle_is_no_bad_answer() -> None:
    """With an idempotency key the client may ask again, as after any broken connection."""
    whole = answer(201, {"id": "r"})
    for size in range(whole.index(b"\r\n\r\n"), len(whole)):
        async with canned(whole[:size]) as (url, _), open_client(url) as client:
            with pytest.raises(TransportError):
                await client.start("hi", idempotency_key="k")


def head_of(request: bytes) -> tuple[str, dict[str, str]]:
    """The request line without its version, and the headers."""
    line, *fields = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    headers = dict(field.split(": ", 1) for field in fields)
    return line.rpartition(" ")[0], {name.lower(): value for name, value in headers.items()}


class TestRequests:
    @pytest.mark.parametrize(
        ("act", "line", "headers"),
        [
            (lambda c: c.start("hi"), "POST /runs", {"content-type": "application/json"}),
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
        async with canned(STREAM + END) as (url, requests):
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
    async with canned(stream + END) as (url, _):
        assert len(await receive_all(url)) == 1


async def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_agent.client._http._MAX_ANSWER", 1000)
    for status, code in ((200, "bad-response"), (404, "http-error")):
        large = answer(status, {"id": "r", "more": "x" * 10_000})
        async with canned(large) as (url, _), open_client(url) as client:
            with pytest.raises(ServerError) as caught:
                await client.info("r")
            assert (caught.value.status, caught.value.code) == (status, code)
