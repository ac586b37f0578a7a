"""Connections below httpx: what they do beside reading is httpcore's, which is what is tested."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
import trustme

from trio_agent._http.backend import Backend
from trio_agent._http.library import httpcore


@asynccontextmanager
async def connected(handler: Any) -> AsyncIterator[httpcore.AsyncNetworkStream]:
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, handler, 0, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        port = listener.socket.getsockname()[1]
        stream = await Backend().connect_tcp("127.0.0.1", port, timeout=5.0)
        yield stream
        await stream.aclose()
        nursery.cancel_scope.cancel()


async def echo(stream: trio.abc.Stream) -> None:
    async for data in stream:
        await stream.send_all(data)


async def test_reading_and_writing() -> None:
    async with connected(echo) as stream:
        await stream.write(b"hello")
        assert await stream.read(3) == b"hel"
        assert await stream.read(100, timeout=60) == b"lo"
        assert not stream.get_extra_info("is_readable")


async def test_the_end() -> None:
    async def leave(stream: trio.SocketStream) -> None:
        await stream.send_eof()

    async with connected(leave) as stream:
        assert await stream.read(100) == b""


async def test_a_reset_connection() -> None:
    async def reset(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)  # what is unread when it closes makes it a reset

    async with connected(reset) as stream:
        await stream.write(b"hello")
        with pytest.raises(httpcore.ReadError):
            await stream.read(100)


async def test_closed_while_it_reads() -> None:
    async with connected(echo) as stream, trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(httpcore.ReadError):
                await stream.read(100)

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        await stream.aclose()


async def test_a_deadline_where_there_is_one() -> None:
    async with connected(echo) as stream:
        with pytest.raises(httpcore.ReadTimeout):
            await stream.read(100, timeout=0.01)


async def test_cancelled_reads_lose_nothing() -> None:
    async with connected(echo) as stream:
        with trio.move_on_after(0.01):
            await stream.read(100)
        await stream.write(b"hello")
        assert await stream.read(100) == b"hello"


async def test_tls() -> None:
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)

    async def echo_tls(stream: trio.SocketStream) -> None:
        await echo(trio.SSLStream(stream, server_context, server_side=True, https_compatible=True))

    async with connected(echo_tls) as stream:
        encrypted = await stream.start_tls(client_context, "localhost", timeout=60)
        await encrypted.write(b"hello")
        assert await encrypted.read(100) == b"hello"
