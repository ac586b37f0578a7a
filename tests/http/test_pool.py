"""httpx over httpcore's pool: requests and responses as they are, connections that are kept."""

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing
import trustme
from http_kit import SOON, close_at_once, say_nothing, tcp_server

from trio_agent._http.backend import Connection
from trio_agent._http.errors import transport_error
from trio_agent._http.library import httpx
from trio_agent._http.pool import PoolTransport

Serve = Callable[[trio.SocketStream], Any]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@attrs.define
class Server:
    """Answers each request on a connection with the next of its answers, and hangs behind them."""

    answers: list[bytes]
    closes: bool = False
    """Whether it closes its connections behind their first answer, and says nothing of it."""
    connections: int = 0
    requests: list[bytes] = attrs.field(factory=list)
    asked: trio.Event = attrs.field(factory=trio.Event)
    left: trio.Event = attrs.field(factory=trio.Event)
    """Set when a connection is closed."""

    async def __call__(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        answers = iter(self.answers)
        data = b""
        async with stream:
            while part := await stream.receive_some():
                data += part
                if b"\r\n\r\n" in data:
                    self.requests.append(data)
                    self.asked.set()
                    data = b""
                    if (answer := next(answers, None)) is not None:
                        await stream.send_all(answer)
                    if self.closes:
                        break
        self.left.set()


@asynccontextmanager
async def client_of(serve: Serve, scheme: str = "http") -> AsyncIterator[tuple[Any, str]]:
    """A client over the pool, and the server's URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with trio.fail_after(SOON):
        async with (
            tcp_server(serve) as host,
            httpx.AsyncClient(transport=PoolTransport(lambda: context), timeout=None) as client,
        ):
            yield client, f"{scheme}://{host}"


async def test_a_connection_is_used_again() -> None:
    server = Server([OK, OK, OK])
    async with client_of(server) as (client, url):
        for _ in range(3):
            assert (await client.get(url)).text == "ok"
        assert server.connections == 1


async def test_several_at_a_time() -> None:
    server = Server([OK, OK])
    async with client_of(server) as (client, url):
        async with client.stream("GET", url) as first, client.stream("GET", url) as second:
            assert await first.aread() == await second.aread() == b"ok"
        assert server.connections == 2
        await client.get(url)
        assert server.connections == 2


@pytest.mark.parametrize(
    ("server", "read"),
    [
        (Server([OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)]), True),
        (Server([OK], closes=True), True),
        (Server([OK]), False),
    ],
    ids=["the server says so", "the server closes it", "the client has not read all"],
)
async def test_a_connection_that_can_not_be_used_again(server: Server, read: bool) -> None:
    async with client_of(server) as (client, url):
        async with client.stream("GET", url) as response:
            if read:
                assert await response.aread() == b"ok"
        await server.left.wait()
        assert (await client.get(url)).text == "ok"
        assert server.connections == 2


async def test_20_are_kept_at_most() -> None:
    server = Server([OK, OK])
    async with client_of(server) as (client, url):
        async with AsyncExitStack() as stack:
            for _ in range(25):
                response = await stack.enter_async_context(client.stream("GET", url))
                stack.push_async_callback(response.aread)
        assert server.connections == 25
        pool = client._transport._pools[b"http"]
        assert len(pool.connections) == 20
        assert all(connection.is_idle() for connection in pool.connections)


async def test_closing_it_closes_what_it_keeps() -> None:
    server = Server([OK])
    async with client_of(server) as (client, url):
        await client.get(url)
        assert not server.left.is_set()
        await client.aclose()
        await server.left.wait()


async def test_requests_and_responses_as_they_are() -> None:
    answer = b"HTTP/1.1 418 Short and stout\r\nX-Odd: 1\r\nX-Odd: 2\r\nContent-Length: 0\r\n\r\n"
    server = Server([answer])
    async with client_of(server) as (client, url):
        response = await client.post(
            f"{url}/a%20b/%C3%A9?x=1&y=%26", headers={"X-Mine": "yes"}, content=b""
        )
        assert (response.status_code, response.reason_phrase) == (418, "Short and stout")
        assert response.headers.get_list("x-odd") == ["1", "2"]
        assert isinstance(response.extensions["network_stream"], Connection)
    [request] = server.requests
    line, *headers = request.split(b"\r\n")
    assert line == b"POST /a%20b/%C3%A9?x=1&y=%26 HTTP/1.1"
    assert f"host: {url.removeprefix('http://')}".encode() in [h.lower() for h in headers]
    assert b"X-Mine: yes" in headers


# TLS


@pytest.mark.parametrize("trusted", [True, False])
async def test_tls(trusted: bool) -> None:
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_context)
    client_context = ssl.create_default_context()
    if trusted:
        authority.configure_trust(client_context)
    server = Server([OK, OK])

    async def serve(stream: trio.SocketStream) -> None:
        tls = trio.SSLStream(stream, server_context, server_side=True, https_compatible=True)
        if trusted:
            await server(tls)
        else:
            with pytest.raises(trio.BrokenResourceError):
                await server(tls)

    with trio.fail_after(SOON):
        async with (
            tcp_server(serve) as host,
            httpx.AsyncClient(transport=PoolTransport(lambda: client_context)) as client,
        ):
            if trusted:
                for _ in range(2):
                    assert (await client.get(f"https://{host}")).text == "ok"
                assert server.connections == 1
            else:
                assert await code_of(client, f"https://{host}") == "connect"


async def test_certificates_are_not_loaded_before_a_url_needs_them() -> None:
    """A redirect may lead from `http` up to `https`."""
    loads = []

    def trust() -> ssl.SSLContext:
        loads.append(1)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    async with (
        tcp_server(Server([OK])) as host,
        tcp_server(close_at_once) as tls_host,
        httpx.AsyncClient(transport=PoolTransport(trust)) as client,
    ):
        assert (await client.get(f"http://{host}")).text == "ok"
        assert not loads
        for _ in range(2):
            assert await code_of(client, f"https://{tls_host}") == "connect"
            assert len(loads) == 1


# What goes wrong


async def code_of(client: Any, url: str, **options: Any) -> str:
    """What becomes of a request's exception."""
    with pytest.raises(Exception) as caught:
        await client.get(url, **options)
    error = transport_error(caught.value)
    assert error is not None, caught.value
    assert error.message
    return error.code


def reset_behind(data: bytes) -> Serve:
    """What is unread when it is closed makes it a reset."""

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        await stream.send_all(data)
        await stream.aclose()

    return serve


def closed_behind(data: bytes) -> Serve:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(data)
        await stream.aclose()

    return serve


@pytest.mark.parametrize(
    "serve",
    [
        reset_behind(b""),
        reset_behind(OK[:-1]),
        closed_behind(b""),
        closed_behind(OK[:20]),
        closed_behind(OK[:-1]),
        closed_behind(CHUNKED + b"2\r\nok\r\n"),
        Server([b"SSH-2.0-OpenSSH_9.2\r\n\r\n"]),
        Server([b"HTTP/1.1 200 OK\r\nno header\r\n\r\n"]),
        Server([CHUNKED + b"no chunk\r\n"]),
    ],
    ids=[
        *("reset", "reset within", "closed", "closed in the head", "closed in the body"),
        *("closed between chunks", "no HTTP", "no header", "no chunk"),
    ],
)
async def test_a_connection_that_breaks(serve: Serve) -> None:
    async with client_of(serve) as (client, url):
        assert await code_of(client, url) == "cut-stream"
        pool = client._transport._pools[b"http"]
        assert all(connection.is_closed() for connection in pool.connections)


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with client_of(say_nothing) as (client, _):
            assert await code_of(client, url) == "connect"


@pytest.mark.parametrize(
    ("scheme", "timeout", "code"),
    [
        ("https", (0.01, None, None, None), "timeout-connect"),
        ("http", (None, 0.01, None, None), "cut-stream"),
        ("ftp", None, "connect"),
    ],
)
async def test_what_does_not_come_in_time_or_is_no_http(
    scheme: str, timeout: Any, code: str
) -> None:
    async with client_of(say_nothing, scheme) as (client, url):
        assert await code_of(client, url, timeout=timeout) == code


async def test_a_server_that_speaks_no_tls() -> None:
    async with client_of(closed_behind(OK), "https") as (client, url):
        assert await code_of(client, url) == "connect"


async def test_cancelled_before_the_response() -> None:
    server = Server([])
    async with client_of(server) as (client, url):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.get, url)
            await server.asked.wait()
            # httpx's own body does not like to be cancelled while it is sent: see `_body_class`.
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await server.left.wait()
        assert client._transport._pools[b"http"].connections == []
