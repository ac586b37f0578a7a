"""A proxy that cuts connections, and a server that says the same to everybody."""

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import attrs
import trio
from server_kit import SOON


@attrs.define
class Proxy:
    """Passes connections on, each until so many bytes of the answer have gone through."""

    url: str
    cuts: Iterator[float] = attrs.field(factory=lambda: iter(()))
    connections: int = 0
    answer: bytearray = attrs.field(factory=bytearray)
    """What went through to the last one that connected."""

    async def handle(self, port: int, client: trio.SocketStream) -> None:
        self.connections += 1
        self.answer = answer = bytearray()
        left = next(self.cuts, math.inf)
        server = await trio.open_tcp_stream("127.0.0.1", port)
        try:
            async with trio.open_nursery() as nursery:
                scope = nursery.cancel_scope
                nursery.start_soon(self._pump, client, server, math.inf, bytearray(), scope)
                nursery.start_soon(self._pump, server, client, left, answer, scope)
        finally:
            client.socket.close()
            server.socket.close()

    async def _pump(
        self,
        source: trio.SocketStream,
        sink: trio.SocketStream,
        left: float,
        passed: bytearray,
        scope: trio.CancelScope,
    ) -> None:
        try:
            while left and (data := await source.receive_some(int(min(left, 65536)))):
                await sink.send_all(data)
                passed += data
                left -= len(data)
        except trio.BrokenResourceError:
            pass
        scope.cancel()


@asynccontextmanager
async def open_proxy(port: int) -> AsyncIterator[Proxy]:
    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(
            partial(trio.serve_tcp, host="127.0.0.1"), lambda stream: proxy.handle(port, stream), 0
        )
        proxy = Proxy(f"http://127.0.0.1:{listener.socket.getsockname()[1]}")
        yield proxy
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def canned(
    *answers: bytes, hold: bool = False, seconds: float = SOON
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that gives one answer after the other, whatever it is asked.

    It closes each connection behind its answer, or holds it in silence. ``{url}`` in an answer is
    its own address. `seconds` bounds the test.
    """
    rest = iter(answers)
    requests: list[bytes] = []

    async def handle(stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        requests.append(data)
        if (answer := next(rest, None)) is not None:
            with suppress(trio.BrokenResourceError):  # it had enough of it
                await stream.send_all(answer.replace(b"{url}", url.encode()))
            if hold:
                await trio.sleep_forever()
            await stream.aclose()

    with trio.fail_after(seconds):
        async with trio.open_nursery() as nursery:
            [listener] = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), handle, 0)
            url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
            yield url, requests
            nursery.cancel_scope.cancel()
