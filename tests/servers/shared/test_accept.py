"""Accepting connections until a server ends, and ending those that are open."""

import errno
import json
import logging
import resource
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import h11
import pytest
import trio
import trio.testing

from trio_agent.servers._shared import accept
from trio_agent.servers._shared.accept import serve_connections

Serve = Callable[[trio.SocketStream], Awaitable[None]]

LINGER = 8.0


class Listener(trio.abc.Listener[trio.StapledStream[Any, Any]]):
    """One without a socket, so that the test's clock is the only one."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.StapledStream[Any, Any]](100)
        self.closed = False
        self.failures: list[OSError] = []

    async def accept(self) -> trio.StapledStream[Any, Any]:
        if self.failures:
            raise self.failures.pop()
        return await self._receive.receive()

    async def aclose(self) -> None:
        self.closed = True
        await trio.lowlevel.checkpoint()

    def connect(self, fileno: int = 3) -> trio.StapledStream[Any, Any]:
        """Connect; returns the client's end."""
        ours, theirs = trio.testing.memory_stream_pair()
        theirs.socket = SimpleNamespace(fileno=lambda: fileno)  # type: ignore[attr-defined]
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

    async def connect(self, listener: int = 0, fileno: int = 3) -> trio.StapledStream[Any, Any]:
        """Connect, and wait until that has been seen."""
        client = self.listeners[listener].connect(fileno)
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


async def expect_full(client: trio.StapledStream[Any, Any]) -> None:
    """Receive the answer to one too many, as HTTP."""
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    while data := await client.receive_some():
        http.receive_data(data)
    http.receive_data(b"")
    response, body, end = (http.next_event() for _ in range(3))
    assert isinstance(response, h11.Response)
    assert isinstance(body, h11.Data)
    assert isinstance(end, h11.EndOfMessage)
    assert response.status_code == 503
    assert dict(response.headers)[b"retry-after"] == b"1"
    assert json.loads(body.data)["error"]["code"] == "limit-exceeded"


async def test_too_many_are_told_so_and_closed(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    server = Server(echo, max_connections=2)
    nursery.start_soon(server.run)
    first, second = await server.connect(0), await server.connect(1)
    third = await server.connect(0)
    await third.send_all(b"GET / HTTP/1.1\r\n")  # unread, this must not cost it the answer
    await expect_full(third)
    # Those that are there don't notice, and who leaves makes room.
    await first.aclose()
    await trio.testing.wait_all_tasks_blocked()
    for client in (second, await server.connect(0)):
        await client.send_all(b"hi")
        assert await client.receive_some() == b"hi"
    await expect_full(await server.connect(1))


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


async def test_who_does_not_leave_when_turned_away_is_cut(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    server = Server(echo, max_connections=0)
    nursery.start_soon(server.run)
    # More are not even told, so that turning away costs little, too.
    clients = [await server.connect() for _ in range(accept._TURNED_AWAY + 1)]
    assert await clients[-1].receive_some() == b""
    for client in clients[:-1]:
        await expect_full(client)
    await trio.sleep(accept._TURNING_AWAY + 1)
    await expect_full(await server.connect())


@pytest.mark.parametrize(
    ("limit", "last"), [(80, 59), (1024, 767), (65536, 64511), (resource.RLIM_INFINITY, 10**6)]
)
async def test_files_are_left_for_what_runs_need(
    limit: int,
    last: int,
    nursery: trio.Nursery,
    autojump_clock: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, limit))
    server = Server(echo)
    nursery.start_soon(server.run)
    client = await server.connect(fileno=last)
    await client.send_all(b"hi")
    assert await client.receive_some() == b"hi"
    if limit != resource.RLIM_INFINITY:
        await expect_full(await server.connect(fileno=last + 1))
        # Those who are told leave some, too.
        client = await server.connect(fileno=(last + 1 + limit) // 2)
        assert await client.receive_some() == b""


async def test_where_files_have_no_limit(
    nursery: trio.Nursery, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    server = Server(echo)
    nursery.start_soon(server.run)
    client = await server.connect(fileno=10**6)
    await client.send_all(b"hi")
    assert await client.receive_some() == b"hi"


class TestAcceptingFails:
    async def test_for_a_while(
        self,
        nursery: trio.Nursery,
        autojump_clock: object,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("trio_agent.servers._shared.seldom.monotonic", trio.current_time)
        server = Server(echo)
        server.listeners[0].failures = [OSError(errno.EMFILE, "Too many open files")] * 150
        nursery.start_soon(server.run)
        await trio.sleep(9)
        [record] = caplog.records
        assert (record.levelno, record.exc_info) == (logging.WARNING, None)
        assert record.getMessage() == "no connection can be accepted: Too many open files"
        await trio.sleep(9)
        assert len(caplog.records) == 2
        assert caplog.messages[1].endswith(" times before)")
        client = await server.connect()
        await client.send_all(b"hi")
        assert await client.receive_some() == b"hi"

    async def test_for_good(self, autojump_clock: object) -> None:
        server = Server(echo)
        server.listeners[0].failures = [OSError(errno.EBADF, "Bad file descriptor")]
        with pytest.RaisesGroup(OSError, flatten_subgroups=True):
            await server.run()
