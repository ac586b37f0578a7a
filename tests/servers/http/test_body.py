"""Bodies: bounded in size and time, never left unread."""

import gc
import tracemalloc
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from server_kit import Client, StepModel, live_tasks, open_server, settled
from starlette.types import Message, Receive, Scope, Send

from trio_agent.servers._shared.intake import FREE, LARGEST_AT_ONCE
from trio_agent.servers.http import _body
from trio_agent.servers.http._app import MAX_BODY
from trio_agent.servers.http._body import BodyLimit

JSON = {"Content-Type": "application/json"}
MIB = 1 << 20


GONE = {"type": "http.disconnect"}


def padded(size: int) -> bytes:
    """A good request of exactly so many bytes."""
    body = b'{"prompt": "x"'
    return body + b" " * (size - len(body) - 1) + b"}"


async def start_chunked(client: Client, first: bytes = b"") -> None:
    head = (
        f"POST /runs HTTP/1.1\r\nHost: {client.host}\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    await client.stream.send_all(head.encode() + first)
    client._expect("POST")


class TestOverSockets:
    async def test_largest_body(self) -> None:
        async with open_server(StepModel()) as server:
            answer = await server.request("POST", "/runs", JSON, padded(MAX_BODY))
            assert answer.status == 201

    @pytest.mark.parametrize("size", [MAX_BODY + 1, 2 * MAX_BODY - 1])
    async def test_too_large(self, size: int) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            # Sent whole before the answer is read, as many clients do: it can be read all the same.
            answer = await client.request("POST", "/runs", JSON, padded(size))
            assert (answer.status, answer.code) == (413, "too-large")
            assert server.runtime.statistics().active == 0
            # It was read to its end, so the connection is as good as before.
            assert (await client.request("GET", "/agents")).status == 200

    async def test_too_large_without_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_body, "_DRAIN_BYTES", MIB)
        async with open_server(StepModel()) as server:
            tasks = await live_tasks()
            async with await server.connect() as client:
                await start_chunked(client)
                chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
                with pytest.raises(trio.BrokenResourceError):
                    await client.stream.send_all(chunk * 1000)
                await settled(server, tasks=tasks)

    async def test_too_large_and_too_slow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_body, "_DRAIN_SECONDS", 0.01)
        async with open_server(StepModel()) as server, await server.connect() as client:
            await start_chunked(client, b"900000\r\n" + b" " * 0x900000 + b"\r\n")
            answer = await client.receive_body(await client.receive_head())
            assert (answer.status, answer.code) == (413, "too-large")
            assert await client.receive_all() == b""

    async def test_too_slow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_body, "_SECONDS", 0.01)
        monkeypatch.setattr(_body, "_DRAIN_SECONDS", 0.01)
        async with open_server(StepModel()) as server:
            tasks = await live_tasks()
            async with await server.connect() as client:
                await start_chunked(client, b"5\r\n")
                answer = await client.receive_body(await client.receive_head())
                assert (answer.status, answer.code) == (408, "too-slow")
                await client.receive_all()
                await settled(server, tasks=tasks)

    @pytest.mark.parametrize(("count", "status"), [(4000, 201), (20_000, 413)])
    async def test_many_small_chunks(self, count: int, status: int) -> None:
        body = padded(count)
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        async with open_server(StepModel()) as server, await server.connect() as client:
            await start_chunked(client, chunks)
            assert (await client.receive_head()).status == status

    async def test_length_that_is_too_large_is_refused_before_it_comes(self) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            head = [*JSON.items(), ("Content-Length", str(1 << 40))]
            await client.stream.send_all(client.encode("POST", "/runs", head))
            client._expect("POST")
            assert (await client.receive_head()).status == 413

    async def test_expect_continue(self) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            await client.stream.send_all(
                client.encode(
                    "POST",
                    "/runs",
                    [*JSON.items(), ("Expect", "100-continue"), ("Content-Length", "15")],
                )
            )
            answer = await client.stream.receive_some()
            assert answer.startswith(b"HTTP/1.1 100 ")
            await client.stream.send_all(b'{"prompt": "x"}')
            assert (await client.stream.receive_some()).startswith(b"HTTP/1.1 201 ")

    @pytest.mark.parametrize(("method", "path"), [("GET", "/agents"), ("DELETE", "/runs/nope")])
    async def test_body_that_nobody_wants(self, method: str, path: str) -> None:
        async with open_server(StepModel()) as server:
            tasks = await live_tasks()
            async with await server.connect() as client:
                for _ in range(3):
                    await client.request(method, path, {}, b"x" * 500_000)
            await settled(server, tasks=tasks)

    async def test_body_behind_a_stream(self) -> None:
        model = StepModel()
        async with open_server(model) as server, await server.connect() as client:
            model.finish()
            await client.send("GET", "/stream?prompt=x", {}, b"x" * 500_000)
            answer = await client.receive_body(await client.receive_head())
            assert answer.complete
            assert (await client.request("GET", "/agents")).status == 200

    async def test_client_that_leaves_in_the_middle(self) -> None:
        async with open_server(StepModel()) as server:
            tasks = await live_tasks()
            for first in (b"", b"5\r\n{", b"5\r\n", b"200000\r\n" + b" " * 0x180000):
                async with await server.connect() as client:
                    await start_chunked(client, first)
                    await trio.testing.wait_all_tasks_blocked()
                await settled(server, tasks=tasks)
            assert server.runtime.statistics().active == 0

    async def test_malformed_chunks(self) -> None:
        async with open_server(StepModel()) as server:
            tasks = await live_tasks()
            async with await server.connect() as client:
                await start_chunked(client, b"zz\r\n")
                assert (await client.receive_all()).startswith(b"HTTP/1.1 400 ")
                await settled(server, tasks=tasks)


class TestAlone:
    """The app around the app, fed by hand."""

    @staticmethod
    async def play(
        messages: Iterable[Message | float],
        *,
        method: str = "POST",
        max_bytes: int = 10,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> tuple[list[Message], list[Message]]:
        """Return what the inner app received, and what was sent."""
        inner: list[Message] = []
        sent: list[Message] = []
        waiting = iter(messages)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            inner.append(await receive())
            inner.append(await receive())

        async def receive() -> Message:
            await trio.lowlevel.checkpoint()
            message = next(waiting, None)
            while isinstance(message, float):
                await trio.sleep(message)
                message = next(waiting, None)
            if message is None:
                await trio.sleep_forever()
            return message  # type: ignore[return-value]

        async def send(message: Message) -> None:
            sent.append(message)

        scope: dict[str, Any] = {"type": "http", "method": method, "headers": [*headers]}
        await BodyLimit(app, max_bytes=max_bytes)(scope, receive, send)
        return inner, sent

    @staticmethod
    def piece(body: bytes, *, more: bool) -> Message:
        return {"type": "http.request", "body": body, "more_body": more}

    async def test_one_message_and_then_the_real_thing(self) -> None:
        pieces = [self.piece(b"abcde", more=True), self.piece(b"fghij", more=False), GONE]
        inner, sent = await self.play(pieces)
        assert inner == [self.piece(b"abcdefghij", more=False), GONE]
        assert not sent

    async def test_gone_before_the_body_came(self) -> None:
        inner, sent = await self.play([self.piece(b"a", more=True), GONE])
        assert inner == sent == []

    async def test_30_seconds(self, autojump_clock: trio.testing.MockClock) -> None:
        pieces = [self.piece(b"a", more=True)]
        with trio.move_on_after(100) as scope:
            await self.play(pieces)
        assert scope.cancelled_caught  # It waits for the client to leave.
        assert trio.current_time() == 100

    @pytest.mark.parametrize(("pause", "arrives"), [(34.0, True), (36.0, False)])
    async def test_what_is_large_may_take_longer(
        self, pause: float, arrives: bool, autojump_clock: trio.testing.MockClock
    ) -> None:
        pieces = [self.piece(b"x" * 500_000, more=True), pause, self.piece(b"x", more=False), GONE]
        inner, sent = await self.play(pieces, max_bytes=MIB)
        assert (bool(inner), [message.get("status") for message in sent[:1]]) == (
            arrives,
            [] if arrives else [408],
        )

    async def test_large_bodies_share_some_memory(self) -> None:
        """Who sends little is served all the same, and who is served makes room."""
        most = 2 * FREE
        served = 0

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal served
            await receive()
            served += 1

        limit = BodyLimit(app, max_bytes=most)
        go_on = trio.Event()

        async def post(*pieces: bytes, wait: bool = False) -> list[int]:
            sent: list[Any] = []
            waiting = [*(self.piece(piece, more=True) for piece in pieces)]

            async def receive() -> Message:
                if waiting:
                    return waiting.pop(0)
                if wait:
                    await go_on.wait()
                return GONE if sent else self.piece(b"", more=False)

            async def send(message: Message) -> None:
                sent.append(message.get("status"))

            await limit({"type": "http", "method": "POST", "headers": []}, receive, send)
            return sent[:1]

        async with trio.open_nursery() as nursery:
            for _ in range(LARGEST_AT_ONCE * most // FREE):
                nursery.start_soon(partial(post, b"x" * most, wait=True))
            await trio.testing.wait_all_tasks_blocked()
            assert await post(b"x" * FREE) == []
            assert await post(b"x" * FREE, b"x") == [503]
            go_on.set()
        assert served == LARGEST_AT_ONCE * most // FREE + 1
        assert await post(b"x" * most) == []

    async def test_a_stream_does_not_hold_the_body_that_began_it(self) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            body = b'{"prompt": "x"' + b" " * 3_000_000 + b"}"
            tracemalloc.start()
            try:
                await client.send("POST", "/runs", {**JSON, "Accept": "text/event-stream"}, body)
                await client.receive_body(await client.receive_head(), until=b"step-start")
                gc.collect()
                kept, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert kept < 2_000_000

    async def test_answer_ends_behind_the_body(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        order: list[str] = []

        def pieces() -> Iterable[Message]:
            for _ in range(3):
                yield self.piece(b"x" * 6, more=True)
                order.append("read")
            yield self.piece(b"", more=False)
            order.append("end")
            yield GONE

        inner, sent = await self.play(pieces())
        assert not inner
        assert [message.get("status") for message in sent] == [413, None, None]
        assert [message.get("more_body", False) for message in sent[1:]] == [True, False]
        assert order == ["read", "read", "read", "end"]

    async def test_refused_and_gone(self) -> None:
        inner, sent = await self.play([self.piece(b"x" * 11, more=True), GONE])
        assert not inner
        assert len(sent) == 2

    async def test_optional_fields(self) -> None:
        """ASGI allows to leave out what has its default."""
        inner, sent = await self.play([{"type": "http.request"}, GONE])
        assert inner == [self.piece(b"", more=False), GONE]
        inner, sent = await self.play([{"type": "http.request", "body": b"x" * 11}, GONE])
        assert not inner
        assert sent[0]["status"] == 413

    @pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
    async def test_body_without_a_meaning_is_not_kept(self, method: str) -> None:
        pieces = [self.piece(b"abc", more=True), self.piece(b"def", more=False), GONE]
        inner, _ = await self.play(pieces, method=method)
        assert inner == [self.piece(b"", more=False), GONE]

    @pytest.mark.parametrize(
        ("length", "refused"), [(b"11", True), (b"1" * 20, True), (b"10", False), (b"", False)]
    )
    async def test_announced_length(self, length: bytes, refused: bool) -> None:
        pieces = [self.piece(b"abc", more=False), GONE]
        inner, sent = await self.play(pieces, headers=[(b"content-length", length)])
        assert bool(sent) == refused
        assert bool(inner) != refused

    @pytest.mark.parametrize(("size", "refused"), [(1, True), (63, True), (64, False)])
    async def test_small_pieces(
        self, size: int, refused: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_body, "_PIECES", 100)
        pieces = [self.piece(b"x" * size, more=True)] * 101 + [self.piece(b"", more=False), GONE]
        pieces[-2] = self.piece(b"x" * size, more=False)
        _, sent = await self.play(pieces, max_bytes=MIB)
        assert bool(sent) == refused

    async def test_small_pieces_are_not_drained_for_long(self) -> None:
        most = _body._PIECES + 1 + _body._DRAIN_BYTES // _body._DRAIN_PIECE
        pieces = [*[self.piece(b"x", more=True)] * (most + 3), GONE]
        _, sent = await self.play(pieces, max_bytes=MIB)
        assert not sent[-1].get("more_body")

    async def test_other_scopes_pass(self) -> None:
        seen = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["type"])

        async def unused(*args: object) -> Any:
            raise AssertionError

        await BodyLimit(app, max_bytes=1)({"type": "lifespan"}, unused, unused)
        assert seen == ["lifespan"]
