"""What tests of HTTP share: a transport to a scripted server, and servers that misbehave."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import h11
import trio

from trio_agent._http.response import Response
from trio_agent._http.transport import Transport, open_transport
from trio_agent.testing import openai as scripted
from trio_agent.testing.openai import ScriptedServer, open_scripted_openai

PATH = "/chat/completions"
SOON = 60.0
"""Seconds: a test that waits longer hangs, on however busy a machine."""


@asynccontextmanager
async def serve(
    *script: scripted.Answer, **options: Any
) -> AsyncIterator[tuple[ScriptedServer, Transport]]:
    """A scripted server, and a transport to it."""
    async with (
        open_scripted_openai(script) as server,
        open_transport(server.base_url, **options) as transport,
    ):
        yield server, transport


def post(transport: Transport, **options: Any) -> Any:
    return transport.stream("POST", PATH, headers={"X-Test": "yes"}, content=b"{}", **options)


async def read(response: Response) -> bytes:
    reads: list[bytes] = []
    await read_into(reads, response)
    return b"".join(reads)


async def read_into(reads: list[bytes], response: Response) -> None:
    while data := await response.receive():
        reads.append(data)


def together(*chunks: bytes) -> scripted.Step:
    """Send chunks in one write, so that they come in one read."""

    async def play(exchange: Any) -> None:
        await exchange.send(*chunks)

    return play


def together_with_the_end(*chunks: bytes) -> scripted.Step:
    """Send chunks and the end of the response in one write; something was sent before."""

    async def play(exchange: Any) -> None:
        events = [*(h11.Data(data=chunk) for chunk in chunks), h11.EndOfMessage()]
        await exchange.send_raw(b"".join(map(exchange._encode, events)))

    return play


@asynccontextmanager
async def tcp_server(handle: Callable[[trio.SocketStream], Any]) -> AsyncIterator[str]:
    """A server that does with each connection what it is told; yields its host and port."""
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, handle, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        yield f"127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def close_at_once(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.aclose()


async def say_nothing(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()
