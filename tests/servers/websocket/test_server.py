"""The WebSocket server: handshakes under guard, the protocol, and the end of connections."""

from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from server_kit import ALICE, BOB, TOKENS, StepModel, endless, live_tasks
from websocket_kit import WebSocketKit, error, open_websocket_server, until_tasks
from wsproto.events import Ping

from trio_agent import Agent, open_runtime
from trio_agent.servers import Guard, bearer_tokens, serve_websocket
from trio_agent.servers.websocket._frames import text_frame
from trio_agent.servers.websocket._requests import MAX_MESSAGE

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: %d\r\nSec-WebSocket-Key: x\r\n\r\n"
)


class TestHandshake:
    async def test_principals_see_their_own_runs(self) -> None:
        guard = Guard(authorize=bearer_tokens(TOKENS))
        async with (
            open_websocket_server(StepModel(), guard=guard) as kit,
            await kit.open(**ALICE) as alice,
            await kit.open(**BOB) as bob,
        ):
            run_id = (await alice.ask({"prompt": "x"}))["runId"]
            for kind in ("subscribe", "cancel"):
                answer = await bob.ask({"type": kind, "runId": run_id})
                assert answer == error("unknown-run")
            assert (await kit.runtime.store.info(run_id)).record.owner == "alice"

    @pytest.mark.parametrize(
        ("offered", "echoed"),
        [("bearer, alice-has-a-token", True), ("Bearer,bob-has-another-one", True), (None, False)],
    )
    async def test_token_as_a_subprotocol(self, offered: str | None, echoed: bool) -> None:
        """Browsers can send it so, and want to have a subprotocol of theirs back."""
        guard = Guard(authorize=bearer_tokens(TOKENS))
        headers = ALICE if offered is None else {"Sec_WebSocket_Protocol": offered}
        async with (
            open_websocket_server(StepModel(), guard=guard) as kit,
            await kit.connect() as stream,
        ):
            await stream.send_all(kit.handshake(**headers))
            answer = await stream.receive_some()
            assert answer.startswith(b"HTTP/1.1 101 ")
            # As it was offered: anything else is a failure to a browser.
            name = (offered or "bearer").partition(",")[0]
            assert (f"Protocol: {name}\r\n".encode() in answer) == echoed
            assert b"-has-a" not in answer

    async def test_wrong_token_as_a_subprotocol(self) -> None:
        guard = Guard(authorize=bearer_tokens(TOKENS))
        async with open_websocket_server(StepModel(), guard=guard) as kit:
            handshake = kit.handshake(Sec_WebSocket_Protocol="bearer, wrong")
            assert (await kit.refused(handshake))[0] == 401

    async def test_no_token(self) -> None:
        guard = Guard(authorize=bearer_tokens(TOKENS))
        async with open_websocket_server(StepModel(), guard=guard) as kit:
            status, headers, body = await kit.refused(kit.handshake())
            assert (status, body["error"]["code"]) == (401, "unauthorized")
            assert headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize(
        ("settings", "status", "code"),
        [
            ({"host": "evil.example.com"}, 400, "bad-host"),
            ({"Origin": "https://evil.example.com"}, 403, "bad-origin"),
            ({"Origin": "null"}, 403, "bad-origin"),
            ({"Origin": "http://127.0.0.1:1"}, 403, "bad-origin"),
            ({"Sec_Fetch_Site": "cross-site"}, 403, "bad-origin"),
            ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "websocket"}, 403, "bad-origin"),
            ({"path": "/nope"}, 404, "not-found"),
        ],
    )
    async def test_refused(self, settings: Any, status: int, code: str) -> None:
        async with open_websocket_server(StepModel()) as kit:
            tasks = await live_tasks()
            answer, headers, body = await kit.refused(kit.handshake(**settings))
            assert (answer, body["error"]["code"]) == (status, code)
            assert headers["content-type"] == "application/json"
            await until_tasks(tasks)

    async def test_allowed_origins(self) -> None:
        guard = Guard(origins=["https://app.example.com"])
        async with open_websocket_server(endless("a"), guard=guard) as kit:
            for origin in ("https://app.example.com", f"http://127.0.0.1:{kit.port}"):
                async with await kit.open(Origin=origin) as socket:
                    assert (await socket.ask({"prompt": "x"}))["type"] == "started"

    async def test_query_is_no_path(self) -> None:
        async with (
            open_websocket_server(endless("a")) as kit,
            await kit.open(path="/?a=b") as socket,
        ):
            assert (await socket.ask({"prompt": "x"}))["type"] == "started"

    async def test_bug_in_authorize(self, caplog: pytest.LogCaptureFixture) -> None:
        async def bug(request: object) -> None:
            raise RuntimeError("secret")

        async with open_websocket_server(StepModel(), guard=Guard(authorize=bug)) as kit:
            status, _, body = await kit.refused(kit.handshake())
            assert (status, body["error"]["code"]) == (500, "internal")
            assert len(caplog.records) == 1

    @pytest.mark.parametrize(
        "handshake",
        [
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
            b"\x16\x03\x01 this is TLS\r\n\r\n",
            UPGRADE % (b"\xff\xff", 13),
            UPGRADE % (b"localhost", 12),
            b"\r\n" * 10,
            b"",
        ],
    )
    async def test_no_handshake(self, handshake: bytes, caplog: pytest.LogCaptureFixture) -> None:
        async with open_websocket_server(StepModel()) as kit:
            tasks = await live_tasks()
            async with await kit.connect() as stream:
                await stream.send_all(handshake)
                await stream.send_eof()
                raw = b"".join([data async for data in stream])
            assert raw == b"" or raw.startswith(b"HTTP/1.1 4")
            await until_tasks(tasks)
            assert not caplog.records

    async def test_handshake_that_does_not_come(self, monkeypatch: Any) -> None:
        monkeypatch.setattr("trio_agent.servers.websocket._server._HANDSHAKE", 0.01)
        async with open_websocket_server(StepModel()) as kit, await kit.connect() as stream:
            assert await stream.receive_some() == b""

    async def test_connections_are_limited(self) -> None:
        async with open_websocket_server(endless("a"), max_connections=1) as kit:
            async with await kit.open() as socket:
                async with await kit.connect() as stream:
                    assert (await stream.receive_some()).startswith(b"HTTP/1.1 503 ")
                assert (await socket.ask({"prompt": "x"}))["type"] == "started"
            await trio.testing.wait_all_tasks_blocked()
            async with await kit.open() as socket:
                assert (await socket.ask({"prompt": "x"}))["type"] == "started"


class TestProtocol:
    async def test_pings_of_clients_are_answered(self) -> None:
        async with open_websocket_server(StepModel()) as kit, await kit.open() as socket:
            await socket.send_event(Ping(payload=b"x"))
            assert await socket.receive() == "pong"

    async def test_frames_that_break_the_protocol(self, caplog: pytest.LogCaptureFixture) -> None:
        async with open_websocket_server(endless("a")) as kit:
            tasks = await live_tasks()
            for garbage, code in (
                (b"\xff" * 100, 1002),  # reserved bits
                (text_frame(b"{}"), 1002),  # not masked
                (b"\x81\x82\0\0\0\0\xff\xff", 1007),  # no UTF-8
                (b"\x89\xfe\x01\x00\0\0\0\0" + b"x" * 256, 1002),  # too long a ping
                (b"\x80\x80\0\0\0\0", 1002),  # a continuation of nothing
                (b"\x88\x81\0\0\0\0x", 1002),  # half a close code
            ):
                async with await kit.open() as socket:
                    await socket.stream.send_all(garbage + b"\x8a\x80\0\0\0\0" * 10)
                    assert await socket.receive() is None
                    assert socket.close_code == code, garbage
            await until_tasks(tasks)
            assert not caplog.records

    async def test_far_too_large_a_message_closes_with_1009(self) -> None:
        async with open_websocket_server(endless("a")) as kit, await kit.open() as socket:
            socket.silent = True  # it is busy sending

            async def flood() -> None:
                with suppress(trio.BrokenResourceError):
                    await socket.send("x" * (3 * MAX_MESSAGE))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(flood)
                assert await socket.receive() is None
                nursery.cancel_scope.cancel()
            assert socket.close_code == 1009
            async with await kit.open() as other:
                assert (await other.ask({"prompt": "x"}))["type"] == "started"

    async def test_bug_elsewhere_closes_with_1011(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: Any
    ) -> None:
        def bug(*args: object) -> bytes:
            raise RuntimeError("secret")

        async with open_websocket_server(endless("a")) as kit, await kit.open() as socket:
            monkeypatch.setattr("trio_agent.servers.websocket._session.event_frames", bug)
            await socket.ask({"prompt": "x"})
            assert await socket.receive() is None
            assert socket.close_code == 1011
            [record] = caplog.records
            assert record.exc_info is not None
            monkeypatch.undo()
            async with await kit.open() as other:
                assert (await other.ask({"prompt": "x"}))["type"] == "started"


class TestEnd:
    async def test_peer_that_ignores_the_close_is_cut(self, monkeypatch: Any) -> None:
        monkeypatch.setattr("trio_agent.servers.websocket._server._CLOSE", 0.05)
        monkeypatch.setattr("trio_agent.servers._shared.peer_stream._LINGER_SECONDS", 0.05)
        async with open_websocket_server(StepModel()) as kit, await kit.open() as socket:
            socket.silent = True
            await kit.runtime.drain(0)
            await kit.done.wait()

    async def test_cancelled_server_cuts_everybody_at_once(self, monkeypatch: Any) -> None:
        monkeypatch.setattr("trio_agent.servers.websocket._server._CLOSE", 1000)
        monkeypatch.setattr("trio_agent.servers._shared.peer_stream._LINGER_SECONDS", 1000)
        model = StepModel()
        async with open_websocket_server(model) as kit:
            run = await kit.start()
            async with await kit.open(receive_buffer=4096) as deaf:
                await deaf.ask({"type": "subscribe", "runId": run.id})
                for _ in range(8):
                    model.say("x" * 1_000_000)
                    await trio.testing.wait_all_tasks_blocked()
                kit.cancel()
                await kit.done.wait()
            assert run.status == "active"


async def test_serve_websocket_tells_its_address() -> None:
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        agents = [Agent(model=endless("a"))]
        start = partial(serve_websocket, runtime, agents, host="::1")
        [url] = await nursery.start(start)
        assert url.startswith("ws://[::1]:")
        await runtime.drain(0)


async def test_agents_are_checked() -> None:
    async with open_runtime() as runtime:
        with pytest.raises(ValueError, match="at least one agent"):
            await serve_websocket(runtime, [])
        with pytest.raises(ValueError, match="without authorize only loopback addresses"):
            await serve_websocket(runtime, [Agent(model=StepModel())], host="0.0.0.0")


async def test_settings() -> None:
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        agents = [Agent(model=endless("a"))]
        settings = {"heartbeat": 0.01, "max_message": 100, "max_connections": 1}
        [url] = await nursery.start(partial(serve_websocket, runtime, agents, **settings))
        kit = WebSocketKit(runtime, None, int(url.rpartition(":")[2]), print, None)  # type: ignore[arg-type]
        async with await kit.open() as socket:
            assert await socket.ask({"prompt": "x" * 100}) == error("too-large")
            assert (await socket.ask({"prompt": "x", "follow": False}))["type"] == "started"
            async with await kit.connect() as one_too_many:
                assert (await one_too_many.receive_some()).startswith(b"HTTP/1.1 503 ")
            while not socket.pings:
                with trio.move_on_after(0.01):
                    await socket.receive()
        await runtime.drain(0)
