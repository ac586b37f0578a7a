"""Accepting connections until a server ends, and ending those that are open."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from trio_agent.servers._shared.accept import serve_connections

Serve = Callable[[trio.SocketStream], Awaitable[None]]

LINGER = 8.0


class Listener(trio.abc.Listener[trio.StapledStream[Any, Any]]):
    """One without a socket, so that the test's clock is the only one."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.StapledStream[Any, Any]](100)
        self.closed = False

    async def accept(self) -> trio.StapledStream[Any, Any]:
        return await self._receive.receive()

    async def aclose(self) -> None:
        self.closed = True
        await trio.lowlevel.checkpoint()

    def connect(self) -> trio.StapledStream[Any, Any]:
        """Connect; returns the client's end."""
        ours, theirs = trio.testing.memory_stream_pair()
        self._send.send_nowait(theirs)
        return ours


class Server:
    """`serve_connections`, with its arguments at hand."""

    def __init__(self, serve: Serve, *, max_connections: int = 100) -> None:
        self.listeners = [Listener(), Listener()]
        self.end = trio.Event()
        self.told = 0
        self.ended_at: float | None = None
        self._serve = serve
        self._max_connections = max_connections

    async def run(self) -> None:
        await serve_connections(
            self._serve,
            self.listeners,  # type: ignore[arg-type]
            until=self.end.wait,
            tell=self._tell,
            linger=LINGER,
            max_connections=self._max_connections,
        )
        self.ended_at = trio.current_time()

    async def _tell(self) -> None:
        self.told += 1

    async def connect(self, listener: int = 0) -> trio.StapledStream[Any, Any]:
        """Connect, and wait until that has been seen."""
        client = self.listeners[listener].connect()
        await trio.testing.wait_all_tasks_blocked()
        return client


async def echo(stream: trio.abc.Stream) -> None:
    """Send back what comes until the client ends."""
    async with stream:
        while data := await stream.receive_some():
            await stream.send_all(data)


async def stay(stream: trio.abc.Stream, *, ended: trio.Event) -> None:
    """Never end by itself; tell when it was made to."""
    async with stream:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()


async def test_every_listener_is_served(nursery: trio.Nursery, autojump_clock: object) -> None:
    server = Server(echo)
    nursery.start_soon(server.run)
    for listener in (0, 1, 0):
        client = await server.connect(listener)
        await client.send_all(b"hi")
        assert await client.receive_some() == b"hi"


class TestTheEnd:
    async def test_nobody_is_connected(self, nursery: trio.Nursery, autojump_clock: object) -> None:
        server = Server(echo)
        nursery.start_soon(server.run)
        await trio.sleep(1)
        server.end.set()
        await trio.testing.wait_all_tasks_blocked()
        assert (server.told, server.ended_at) == (1, 1)
        assert all(listener.closed for listener in server.listeners)

    async def test_who_is_open_is_told_and_may_finish(
        self, nursery: trio.Nursery, autojump_clock: object
    ) -> None:
        server = Server(echo)
        nursery.start_soon(server.run)
        client = await server.connect()
        server.end.set()
        await trio.testing.wait_all_tasks_blocked()
        assert server.told == 1
        assert all(listener.closed for listener in server.listeners)
        await trio.sleep(LINGER - 1)
        await client.send_all(b"last")
        assert await client.receive_some() == b"last"
        await client.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert server.ended_at == LINGER - 1

    async def test_who_stays_is_cut(self, nursery: trio.Nursery, autojump_clock: object) -> None:
        ended = trio.Event()
        server = Server(partial(stay, ended=ended))
        nursery.start_soon(server.run)
        client = await server.connect()
        await trio.sleep(100)
        server.end.set()
        assert await client.receive_some() == b""
        await trio.testing.wait_all_tasks_blocked()
        assert ended.is_set()
        assert server.ended_at == 100 + LINGER

    async def test_cancelled_it_cuts_at_once(self, autojump_clock: object) -> None:
        ended = trio.Event()
        server = Server(partial(stay, ended=ended))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            client = await server.connect()
            nursery.cancel_scope.cancel()
        assert await client.receive_some() == b""
        assert ended.is_set()
        assert (server.told, trio.current_time()) == (0, 0)
        assert all(listener.closed for listener in server.listeners)


async def test_too_many_are_closed_as_they_come(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    server = Server(echo, max_connections=2)
    nursery.start_soon(server.run)
    first, second = await server.connect(0), await server.connect(1)
    third = await server.connect(0)
    assert await third.receive_some() == b""
    # Those that are there don't notice, and who leaves makes room.
    await first.aclose()
    await trio.testing.wait_all_tasks_blocked()
    for client in (second, await server.connect(0)):
        await client.send_all(b"hi")
        assert await client.receive_some() == b"hi"
    assert await (await server.connect(1)).receive_some() == b""


async def test_a_bug_ends_its_connection_only(
    nursery: trio.Nursery, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(stream: trio.abc.Stream) -> None:
        async with stream:
            if await stream.receive_some() == b"bug":
                raise ZeroDivisionError
            await stream.send_all(b"fine")

    server = Server(fail, max_connections=1)
    nursery.start_soon(server.run)
    client = await server.connect()
    await client.send_all(b"bug")
    assert await client.receive_some() == b""
    await trio.testing.wait_all_tasks_blocked()
    [record] = caplog.records
    assert (record.levelno, record.name) == (logging.ERROR, "trio_agent.servers")
    assert record.exc_info is not None
    # Its place is free again.
    client = await server.connect()
    await client.send_all(b"hi")
    assert await client.receive_some() == b"fine"
