"""The client over WebSocket: the same as over SSE, through a proxy that cuts."""

import json
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
import trustme
from client_kit import pairs, receive_all
from proxy_kit import canned, open_proxy
from server_kit import SOON, StepModel, endless, logged, open_server, talking_model
from thorough_kit import ends_of_frames, places_to_cut
from trio_websocket import WebSocketRequest, serve_websocket
from websocket_kit import open_websocket_server

from trio_agent import (
    Agent,
    CursorExpired,
    CursorInvalid,
    LimitExceeded,
    Receipt,
    RuntimeLimits,
    StoreUnavailable,
    UnknownRun,
)
from trio_agent.client import ServerError, TransportError, open_client
from trio_agent.servers import Guard, bearer_tokens

ACCEPT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)


async def test_everything_once_and_in_order_as_over_sse() -> None:
    async with (
        open_websocket_server(talking_model("a", "é\u2028")) as kit,
        open_client(kit.url) as client,
    ):
        run_id = await client.start("hi", metadata={"a": 1}, idempotency_key="k")
        async with client.subscribe(run_id) as events:
            seen = [event async for event in events]
            assert events.reconnects == 0
        run = await kit.runtime.find(run_id)
        assert pairs(seen) == await logged(run, kit)  # type: ignore[arg-type]
        assert await receive_all(kit.url, run_id, after=seen[2].cursor) == seen[3:]
        assert await receive_all(kit.url, run_id, after=seen[-1].cursor) == []
        assert await client.not_ready() is None
        with pytest.raises(ServerError, match="over HTTP"):
            await client.info(run_id)
        with pytest.raises(ServerError, match="over HTTP"):
            await client.blob(run_id, "0" * 64)


@pytest.mark.parametrize("transport", ["http", "ws"])
async def test_two_wires_tell_the_same(transport: str) -> None:
    opener = open_server if transport == "http" else open_websocket_server
    async with opener(talking_model("a", "b")) as server:
        run = await server.start()
        await run.wait()
        assert pairs(await receive_all(server.url, run.id)) == await logged(run, server)


async def test_cut_after_every_byte() -> None:
    async with (
        open_websocket_server(talking_model("é"), seconds=6 * SOON) as kit,
        open_proxy(kit.port) as proxy,
    ):
        url = proxy.url.replace("http:", "ws:")
        run = await kit.start()
        await run.wait()
        expected = await logged(run, kit)  # type: ignore[arg-type]
        assert pairs(await receive_all(url, run.id)) == expected
        raw = bytes(proxy.answer)
        places = places_to_cut(raw, ends_of_frames(raw))
        for place in places:
            proxy.cuts = iter([place])
            assert pairs(await receive_all(url, run.id)) == expected, place
        before_its_end = sum(place <= raw.index(b'"run-finish"') for place in places)
        assert proxy.connections >= 1 + len(places) + before_its_end
        assert before_its_end > 100


@pytest.mark.parametrize("seed", range(10))
async def test_cut_at_random(seed: int) -> None:
    model = StepModel()
    async with open_websocket_server(model) as kit, open_proxy(kit.port) as proxy:
        run = await kit.start()
        for letter in "abcdef":
            model.say(letter)
        model.finish()
        await run.wait()
        places = random.Random(seed)
        proxy.cuts = (places.randrange(2000) for _ in range(20))
        url = proxy.url.replace("http:", "ws:")
        assert pairs(await receive_all(url, run.id)) == await logged(run, kit)  # type: ignore[arg-type]


async def test_cut_again_and_again_while_it_goes_on() -> None:
    model = StepModel()
    async with open_websocket_server(model) as kit, open_proxy(kit.port) as proxy:
        run = await kit.start()
        proxy.cuts = iter([900] * 100)
        url = proxy.url.replace("http:", "ws:")
        async with open_client(url) as client, client.subscribe(run.id) as events:
            seen = []
            for number in range(20):
                model.say(str(number))
                seen.append(await events.receive())
            model.finish()
            seen += [event async for event in events]
            assert events.reconnects >= 5
        assert pairs(seen) == await logged(run, kit)  # type: ignore[arg-type]


async def test_a_run_starts_without_a_viewer() -> None:
    async with open_websocket_server(StepModel()) as kit, open_client(kit.url) as client:
        run_id = await client.start("hi", on_disconnect="cancel")
        run = await kit.runtime.find(run_id)
        await trio.testing.wait_all_tasks_blocked()
        assert run.status == "active"
        async with client.subscribe(run_id) as events:
            await events.receive()
        while run.status == "active":
            await trio.testing.wait_all_tasks_blocked()
        assert run.status == "cancelled"


async def test_cancel() -> None:
    async with open_websocket_server(StepModel()) as kit, open_client(kit.url) as client:
        run_id = await client.start("hi")
        receipt = await client.cancel(run_id)
        run = await kit.runtime.find(run_id)
        assert receipt == Receipt("cancelled", run.cursor.offset)
        with pytest.raises(UnknownRun, match="nope"):
            await client.cancel("nope")


async def test_cancel_that_takes_too_long(monkeypatch: Any) -> None:
    monkeypatch.setattr("trio_agent.servers._shared.service._CANCEL_WAIT", 0.0)
    async with open_websocket_server(StepModel()) as kit, open_client(kit.url) as client:
        run = await kit.start()
        assert await client.cancel(run.id) is None
        await run.cancel()


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        ("answered", lambda client: client.answer("r", "c", approved=True)),
        ("said", lambda client: client.say("r", "wait")),
        ("cancelled", lambda client: client.cancel("r")),
    ],
)
async def test_answers_that_can_not_be_read(kind: str, act: Any) -> None:
    text = json.dumps({"type": kind, "pending": 7, "lastOffset": "x"})
    async with saying(text) as url, open_client(url) as client:
        with pytest.raises(ServerError, match="bad-response"):
            await act(client)


async def test_errors_are_those_of_the_other_wire() -> None:
    limits = RuntimeLimits(max_streams=1)
    async with (
        open_websocket_server(StepModel(), limits=limits) as kit,
        open_client(kit.url, patience=0) as client,
    ):
        run = await kit.start()
        with pytest.raises(LimitExceeded):
            await client.start("hi")
        with pytest.raises(ServerError, match="unknown-agent"):
            await client.start("hi", agent="nobody")
        for run_id, after, error in (
            ("nope", "", UnknownRun),
            (run.id, "garbage", CursorInvalid),
            (run.id, f"{run.id}.old.1", CursorExpired),
        ):
            with pytest.raises(error):
                async with client.subscribe(run_id, after=after) as events:
                    await events.receive()


async def test_subscription_that_fails_later_is_tried_again() -> None:
    async with (
        open_websocket_server(StepModel()) as kit,
        open_client(kit.url, patience=0) as client,
    ):
        run = await kit.start()
        async with client.subscribe(run.id) as events:
            for _ in range(2):
                await events.receive()
            run._feed.break_off(StoreUnavailable("it is away"))
            with pytest.raises(StoreUnavailable):
                await events.receive()
            assert events.reconnects > 1


async def test_drained_server_delivers_the_end() -> None:
    async with (
        open_websocket_server(StepModel()) as kit,
        open_client(kit.url, patience=0) as client,
    ):
        run_id = await client.start("hi")
        async with client.subscribe(run_id) as events:
            await events.receive()
            await kit.runtime.drain(0)
            assert [event async for event in events][-1].terminal
        await kit.done.wait()


async def test_tokens() -> None:
    guard = Guard(authorize=bearer_tokens({"a": "t" * 16}))
    async with open_websocket_server(endless("a"), guard=guard) as kit:
        async with open_client(kit.url, token="t" * 16) as client:
            assert await client.not_ready() is None
        async with open_client(kit.url, token="wrong") as client:
            with pytest.raises(ServerError) as caught:
                await client.start("hi")
            assert (caught.value.status, caught.value.code) == (401, "unauthorized")
            assert "unauthorized" in str(await client.not_ready())


async def test_nobody_there() -> None:
    async with open_client("ws://127.0.0.1:1", patience=0) as client:
        with pytest.raises(TransportError, match="connect"):
            await client.start("hi")
        async with client.subscribe("r") as events:
            with pytest.raises(trio.BrokenResourceError):
                await events.receive()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", TransportError),
        (b"HTTP/1.1 101", TransportError),
        (b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\n{}", StoreUnavailable),
        (b"HTTP/1.1 404 X\r\nContent-Length: 2\r\n\r\nno", ServerError),
        (b"HTTP/1.1 404 X\r\n\r\n" + b"no" * 10_000_000, TransportError),
        (b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\nno", StoreUnavailable),
        (b"HTTP/1.1 204 X\r\n\r\n", ServerError),
        (b"this is no HTTP\r\n\r\n", ServerError),
        (ACCEPT % b"wrong", ServerError),
    ],
)
async def test_servers_that_misbehave(answer: bytes, error: type[Exception]) -> None:
    async with (
        canned(*[answer] * 2) as (url, _),
        open_client(url.replace("http:", "ws:"), patience=0) as client,
    ):
        with pytest.raises(error):
            await client.start("hi")


@asynccontextmanager
async def saying(*texts: str) -> AsyncIterator[str]:
    """A server that says this, whatever it is asked."""

    async def handle(request: WebSocketRequest) -> None:
        websocket = await request.accept()
        await websocket.get_message()
        for text in texts:
            await websocket.send_message(text)
        with suppress(Exception):
            await websocket.get_message()

    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_websocket, handle, "127.0.0.1", 0, None))
        yield f"ws://127.0.0.1:{server.port}"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{{",
        '{"type":"started"}',
        '{"type":"started","runId":1}',
        '{"type":"\\u001b[2J","ended":7}',
        '{"a":' + "[" * 100_000,
    ],
)
async def test_answers_that_are_none(text: str) -> None:
    async with saying(text) as url, open_client(url) as client:
        with pytest.raises(ServerError, match="bad-response") as caught:
            await client.start("hi")
        assert str(caught.value).isprintable()


SUBSCRIBED = '{"type":"subscribed","runId":"r"}'
DELTA = '"type":"text-delta","at":1,"delta":"a"}'


@pytest.mark.parametrize(
    "text",
    [
        '{"id":"s.e.1","runId":"s",' + DELTA,
        '{"id":"r.e.1","runId":"s",' + DELTA,
        '{"id":"r.e.1",' + DELTA,
        '{"id":"r.e.2","runId":"r",' + DELTA,
        '{"id":"r.e.1","runId":"r","type":"text-delta"}',
        SUBSCRIBED.replace("}", ',"ended":true}'),
    ],
)
async def test_events_that_are_not_the_next_of_the_run(text: str) -> None:
    said = [text] if "ended" in text else [SUBSCRIBED, text]
    async with saying(*said) as url:
        with pytest.raises(ServerError, match="bad-response"):
            await receive_all(url, "r")


async def test_a_subscription_that_is_never_answered() -> None:
    async with saying('{"type":"news"}') as url:
        with pytest.raises(trio.BrokenResourceError, match="did not answer"):
            await receive_all(url, "r", patience=0, heartbeat_deadline=0.05)


async def test_server_that_is_gone_without_a_word(monkeypatch: Any) -> None:
    async with (
        open_websocket_server(StepModel()) as kit,
        open_client(kit.url, heartbeat_deadline=0.1) as client,
    ):
        run = await kit.start()
        monkeypatch.setattr("trio_websocket.WebSocketConnection._handle_ping_event", _never_answer)
        async with client.subscribe(run.id) as events:
            for _ in range(2):
                await events.receive()
            while not events.reconnects:
                await trio.sleep(0.01)  # real deadlines of a real socket


async def _never_answer(self: object, event: object) -> None:
    await trio.lowlevel.checkpoint()


async def test_leaving_in_the_middle() -> None:
    async with open_websocket_server(StepModel()) as kit, open_client(kit.url) as client:
        run = await kit.start()
        async with client.subscribe(run.id) as events:
            await events.receive()
            with trio.CancelScope() as scope:
                scope.cancel()
                await events.receive()
            assert run.statistics().viewers == 1
        while run.statistics().viewers:
            await trio.testing.wait_all_tasks_blocked()


async def test_a_slow_subscription_holds_up_no_other() -> None:
    model = StepModel()
    async with open_websocket_server(Agent(model=model)) as kit, open_client(kit.url) as client:
        run = await kit.start()
        async with client.subscribe(run.id), client.subscribe(run.id) as quick:
            for _ in range(5):
                model.say(*["x" * 1000] * 100)
            model.finish()
            assert json.loads([event async for event in quick][-1].data)["type"] == "run-finish"


async def test_tls(monkeypatch: Any, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    async def handle(request: WebSocketRequest) -> None:
        websocket = await request.accept()
        await websocket.get_message()
        await websocket.send_message('{"type":"started","runId":"r"}')
        with suppress(Exception):
            await websocket.get_message()

    async with trio.open_nursery() as nursery:
        start = partial(serve_websocket, handle, "localhost", 0, context)
        server = await nursery.start(start)
        port = next(endpoint.port for endpoint in server.listeners)
        async with open_client(f"wss://localhost:{port}", patience=0) as client:
            with pytest.raises(TransportError, match=r"connect.*certificate"):
                await client.start("hi")
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
            assert await client.start("hi") == "r"
        nursery.cancel_scope.cancel()
