"""Clients that don't read, don't finish, don't leave or talk nonsense, on real sockets."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
import trio.testing
from server_kit import (
    ALICE,
    SOON,
    TOKENS,
    Client,
    StepModel,
    endless,
    framed,
    live_tasks,
    logged,
    open_server,
    settled,
)
from starlette.types import Receive, Scope, Send

from trio_agent import CancelAfter
from trio_agent.servers import Guard, bearer_tokens
from trio_agent.servers.http import _hypercorn
from trio_agent.servers.http._hypercorn import serve_asgi

BIG = ["x" * 1_000_000] * 10
"""More than all buffers of a connection hold."""

BRISK = 0.1
"""A write deadline that tests can wait for."""


@asynccontextmanager
async def open_app(app: Any, **settings: Any) -> AsyncIterator[Callable[[], Awaitable[Client]]]:
    """Serve any ASGI app; yields what connects to it."""
    with trio.fail_after(SOON):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            host, port = listener.socket.getsockname()

            async def serve(task_status: trio.TaskStatus[None]) -> None:
                task_status.started()
                await serve_asgi(app, [listener], **{"until": trio.sleep_forever, **settings})

            await nursery.start(serve)

            async def connect() -> Client:
                return Client(await trio.open_tcp_stream(host, port), f"{host}:{port}")

            yield connect
            nursery.cancel_scope.cancel()


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


class TestClientThatNeverReads:
    async def test_is_cut_off_and_nobody_else_notices(self) -> None:
        async with open_server(endless(*BIG), write_deadline=BRISK) as server:
            run = await server.start(on_disconnect="continue")
            await run.wait()
            tasks = await live_tasks()
            async with await server.connect(receive_buffer=4096) as stuck:
                await stuck.send("GET", f"/runs/{run.id}/events")
                await trio.testing.wait_all_tasks_blocked()
                assert run.statistics().viewers == 1
                answer = await server.request("GET", f"/runs/{run.id}/events")
                assert answer.complete
                assert answer.body == b"retry: 1000\n\n" + framed(await logged(run, server))
                await settled(server, tasks=tasks)
                # He finds out when he looks: what he has is no whole response.
                answer = await stuck.receive_body(await stuck.receive_head())
                assert not answer.complete

    async def test_is_a_viewer_who_left(self) -> None:
        model = StepModel()
        async with open_server(model, write_deadline=BRISK) as server:
            run = await server.start(on_disconnect=CancelAfter(0.01))
            async with await server.connect(receive_buffer=4096) as stuck:
                await stuck.watch(f"/runs/{run.id}/events")
                model.say(*BIG)
                assert (await run.wait()).finish_reason == "cancelled"

    async def test_can_not_hold_up_a_cancel(self) -> None:
        async with open_server(endless(*BIG), write_deadline=1000) as server:
            run = await server.start()
            await run.wait()
            async with await server.connect(receive_buffer=4096) as stuck:
                await stuck.send("GET", f"/runs/{run.id}/events")
                await trio.testing.wait_all_tasks_blocked()
                assert run.statistics().viewers == 1
                server.cancel()
                await server.done.wait()

    async def test_can_not_hold_up_the_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_hypercorn, "_LINGER", BRISK)
        async with open_server(endless(*BIG), write_deadline=1000) as server:
            run = await server.start()
            await run.wait()
            async with await server.connect(receive_buffer=4096) as stuck:
                await stuck.send("GET", f"/runs/{run.id}/events")
                await trio.testing.wait_all_tasks_blocked()
                await server.runtime.drain(0)
                await server.done.wait()


class TestClientThatLeaves:
    async def test_app_is_told_and_nothing_is_left(self) -> None:
        told = trio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            told.set()

        async with open_app(app) as connect:
            tasks = await live_tasks()
            async with await connect() as client:
                await client.send("GET", "/")
                await trio.testing.wait_all_tasks_blocked()
            await told.wait()
            assert await live_tasks() == tasks

    async def test_half_closed_is_gone(self) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            run = await server.start(on_disconnect="cancel")
            await client.watch(f"/runs/{run.id}/events")
            await client.stream.send_eof()
            assert (await run.wait()).finish_reason == "cancelled"

    async def test_in_the_middle_of_a_send(self) -> None:
        async with open_server(endless(*BIG), write_deadline=1000) as server:
            run = await server.start()
            await run.wait()
            tasks = await live_tasks()
            async with await server.connect(receive_buffer=4096) as client:
                await client.send("GET", f"/runs/{run.id}/events")
                await trio.testing.wait_all_tasks_blocked()
            await settled(server, tasks=tasks)

    async def test_before_a_word_or_after_half_of_one(self) -> None:
        async with open_app(hello) as connect:
            tasks = await live_tasks()
            for data in (b"", b"G", b"GET / HTTP/1.1\r\n", b"\r\n", b"\0", b"GET / HTTP/1.1\r\nHo"):
                async with await connect() as client:
                    await client.stream.send_all(data)
                    await trio.testing.wait_all_tasks_blocked()
            assert await live_tasks() == tasks

    async def test_who_pipelined_behind_a_stream(self) -> None:
        # The reader waits for the response's end there; the failing send has to free it.
        model = StepModel()
        async with open_server(model, heartbeat=0.01, write_deadline=BRISK) as server:
            run = await server.start()
            await trio.testing.wait_all_tasks_blocked()
            tasks = await live_tasks()
            async with await server.connect() as client:
                await client.watch(f"/runs/{run.id}/events")
                await client.stream.send_all(client.encode("GET", "/agents") * 3)
                await trio.testing.wait_all_tasks_blocked()
            await settled(server, tasks=tasks)


class TestPipelining:
    async def test_answers_come_in_order(self) -> None:
        async def echo(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            body = scope["path"].encode()
            headers = [(b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        async with open_app(echo) as connect, await connect() as client:
            paths = [f"/{number:03}" for number in range(100)]
            await client.stream.send_all(b"".join(client.encode("GET", path) for path in paths))
            raw = b""
            while raw.count(b"HTTP/1.1 200") < 100 or not raw.endswith(b"/099"):
                raw += await client.stream.receive_some()
            positions = [raw.index(path.encode()) for path in paths]
            assert positions == sorted(positions)

    async def test_behind_a_stream(self) -> None:
        model = StepModel()
        async with open_server(model) as server, await server.connect() as client:
            run = await server.start()
            answer = await client.watch(f"/runs/{run.id}/events")
            await client.stream.send_all(client.encode("GET", "/agents"))
            model.finish()
            await client.receive_body(answer)
            assert answer.complete
            client._expect("GET")
            answer = await client.receive_body(await client.receive_head())
            assert "agents" in answer.json


class TestNonsense:
    @pytest.mark.parametrize(
        "data",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
            b"nonsense\r\n\r\n",
            b"GET / HTTP/9.9\r\nHost: x\r\nContent-Length: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
            b"GET /" + b"x" * 200_000,
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: wrong\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        ],
        ids=lambda data: repr(data[:30]),
    )
    async def test_flood(self, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
        async with open_app(hello) as connect:
            tasks = await live_tasks()
            for _ in range(20):
                async with await connect() as client:
                    with suppress(trio.BrokenResourceError):
                        await client.stream.send_all(data)
                        await client.stream.send_eof()
                    raw = await client.receive_all()
                    assert raw[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 431", b"HTTP/1.1 501")
            assert await live_tasks() == tasks
            async with await connect() as client:
                assert (await client.request("GET", "/")).body == b"hello"
            # A stranger fills no log.
            assert not caplog.records

    async def test_too_many_connections(self) -> None:
        async with open_app(hello, max_connections=2) as connect:
            async with await connect() as one, await connect() as two:
                for client in (one, two):
                    assert (await client.request("GET", "/")).body == b"hello"
                async with await connect() as three:
                    answer = await three.request("GET", "/")
                    assert (answer.status, answer.code) == (503, "limit-exceeded")
                    assert answer.headers["retry-after"] == "1"
                assert (await two.request("GET", "/")).body == b"hello"
            await trio.testing.wait_all_tasks_blocked()
            async with await connect() as four:
                assert (await four.request("GET", "/")).body == b"hello"

    async def test_idle_connection_is_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_hypercorn, "_FIRST", BRISK)
        async with open_app(hello, keep_alive=BRISK) as connect:
            tasks = await live_tasks()
            for data in (b"", b"GET / HTTP/1.1\r\nX: "):
                async with await connect() as client:
                    await client.stream.send_all(data)
                    assert await client.receive_all() == b""
            async with await connect() as client:
                await client.request("GET", "/")
                assert await client.receive_all() == b""
            assert await live_tasks() == tasks

    async def test_a_connection_idles_longer_between_requests_than_at_first(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_hypercorn, "_FIRST", BRISK)
        async with open_app(hello) as connect, await connect() as kept:
            assert (await kept.request("GET", "/")).status == 200
            async with await connect() as client:
                assert await client.receive_all() == b""
            assert (await kept.request("GET", "/")).status == 200

    async def test_two_lengths_of_one_body(self) -> None:
        """RFC 9112, section 6.1: what is behind it may be meant for somebody else."""
        asked = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            asked.append(scope["path"])
            await hello(scope, receive, send)

        async with open_app(app) as connect, await connect() as client:
            fields = [("Content-Length", "5"), ("transfer-encoding", "chunked")]
            first = client.encode("POST", "/", fields) + b"0\r\n\r\n"
            await client.stream.send_all(first + client.encode("GET", "/smuggled"))
            raw = await client.receive_all()
            assert raw.startswith(b"HTTP/1.1 400 ")
            assert raw.count(b"HTTP/1.1") == 1
            assert asked == []

    async def test_root_path(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            assert scope["root_path"] == "/agents"
            await hello(scope, receive, send)

        async with open_app(app, root_path="/agents") as connect, await connect() as client:
            assert (await client.request("GET", "/")).body == b"hello"


class TestProtocols:
    WEBSOCKET = (
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    )

    async def test_websocket_on_the_http_port(self) -> None:
        guard = Guard(authorize=bearer_tokens(TOKENS))
        async with open_server(StepModel(), guard=guard) as server:
            for path, headers, status in [
                ("/nope", ALICE, 404),
                ("/runs", {}, 401),
                ("/runs", ALICE, 200),
            ]:
                answer = await server.request("GET", path, {**dict(self.WEBSOCKET), **headers})
                assert answer.status == status
            answer = await server.request("GET", "/runs", dict(self.WEBSOCKET), host="evil.com")
            assert (answer.status, answer.code) == (400, "bad-host")

    async def test_bytes_behind_a_refused_upgrade(self) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            request = client.encode("GET", "/nope", self.WEBSOCKET)
            await client.stream.send_all(request + b"\x81\x85\0\0\0\0hello" * 100)
            answer = await client.stream.receive_some()
            assert answer.startswith(b"HTTP/1.1 404 ")
            await client.stream.send_eof()
            raw = answer + await client.receive_all()
            assert raw.count(b"HTTP/1.1 ") <= 2  # the second: that is no HTTP

    async def test_h2c_upgrade_is_ignored(self) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            headers = {
                "Upgrade": "h2c",
                "Connection": "Upgrade, HTTP2-Settings",
                "HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA",
            }
            answer = await client.request("GET", "/runs", headers)
            assert (answer.status, answer.json) == (200, {"runs": [], "next": None})
            assert (await client.request("GET", "/agents")).status == 200

    async def test_http_2_with_prior_knowledge(self) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
            await client.stream.send_all(preface)
            raw = await client.receive_all()
            assert raw.startswith(b"HTTP/1.1 400 ")
            assert b"\0" not in raw


class TestBugs:
    async def test_app_that_raises(self, capfd: pytest.CaptureFixture[str]) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            raise ZeroDivisionError

        async with open_app(app) as connect:
            for _ in range(2):
                async with await connect() as client:
                    assert (await client.request("GET", "/")).status == 500
        assert capfd.readouterr().out == ""

    async def test_app_that_raises_in_the_middle(self, capfd: pytest.CaptureFixture[str]) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            async with trio.open_nursery():
                raise ZeroDivisionError

        async with open_app(app) as connect, await connect() as client:
            answer = await client.request("GET", "/")
            assert (answer.body, answer.complete) == (b"half", False)
        assert capfd.readouterr().out == ""

    async def test_connection_that_fails(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def run(self: object) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(_hypercorn._Connection, "run", run)
            async with open_app(hello) as connect, await connect():
                await trio.testing.wait_all_tasks_blocked()
        assert [record.levelno for record in caplog.records] == [logging.ERROR]


class TestTheEnd:
    async def test_drained_streams_end_with_the_terminal_event(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_hypercorn, "_LINGER", 1000)
        async with open_server(StepModel()) as server, await server.connect() as client:
            run = await server.start()
            answer = await client.watch(f"/runs/{run.id}/events")
            async with await server.connect() as idle:
                await server.runtime.drain(0)
                await client.receive_body(answer)
                assert answer.complete
                assert answer.events[-1][1]["run"]["finishReason"] == "cancelled"
                # It returns as soon as the last response has ended, and closes what is idle.
                assert await client.receive_all() == await idle.receive_all() == b""
            await server.done.wait()
            with pytest.raises(OSError, match="refused"):
                await server.connect()

    async def test_cancelled_at_once(self) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            run = await server.start()
            answer = await client.watch(f"/runs/{run.id}/events")
            server.cancel()
            await server.done.wait()
            await client.receive_body(answer)
            assert not answer.complete
            # Runs live in the runtime.
            assert run.status == "active"
            assert server.runtime.statistics().viewers == 0
