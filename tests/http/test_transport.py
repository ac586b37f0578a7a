import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from trio_agent._http.transport import Response, Transport, TransportError, open_transport
from trio_agent.testing import openai as scripted
from trio_agent.testing.openai import ScriptedOpenAI, open_scripted_openai

PATH = "/chat/completions"


@asynccontextmanager
async def serve(
    *script: scripted.Answer, **options: Any
) -> AsyncIterator[tuple[ScriptedOpenAI, Transport]]:
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


async def test_receives_a_response_to_its_end_and_keeps_the_connection() -> None:
    async with serve([b"one", b"two", scripted.end()], [scripted.status(404, body=b"no")]) as (
        server,
        transport,
    ):
        async with post(transport) as response:
            with trio.testing.assert_checkpoints():
                status, headers = await response.head()
            assert (status, headers["Content-Type"]) == (200, "text/event-stream")
            with trio.testing.assert_checkpoints():
                await response.head()
            assert await read(response) == b"onetwo"
            with trio.testing.assert_checkpoints():
                assert await response.receive() == b""
        async with post(transport) as response:
            assert await read(response) == b"no"
            assert (await response.head())[0] == 404
        assert server.connections == 1
    assert server.requests[0].headers["x-test"] == "yes"
    assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_a_get_below_the_base_url() -> None:
    async with (
        open_scripted_openai([]) as server,
        open_transport(server.base_url + "/") as transport,
        transport.stream("GET", "/models", headers={}) as response,
    ):
        assert b"scripted" in await read(response)
    assert server.requests[0].path == "/v1/models"


async def test_chunks_of_one_read_come_together() -> None:
    reads = []
    async with (
        serve([scripted.tokens(64), scripted.end()]) as (_, transport),
        post(transport) as response,
    ):
        await response.head()
        while data := await response.receive():
            reads.append(data.count(b"\n\n"))
    assert sum(reads) == 64
    assert len(reads) < 64


async def test_leaving_closes_the_connection() -> None:
    async with serve([b"one", scripted.hang()], [scripted.end()]) as (server, transport):
        async with post(transport) as response:
            assert await response.receive() == b"one"
        await server.requests[0].disconnected.wait()
        async with post(transport) as response:
            assert await read(response) == b""
        assert server.connections == 2


async def test_an_exception_comes_out_as_it_is_and_closes_the_connection() -> None:
    async with serve([b"one", scripted.hang()]) as (server, transport):
        with pytest.raises(KeyError):  # noqa: PT012 - the exit of the context is what raises
            async with post(transport) as response:
                await response.receive()
                raise KeyError
        await server.requests[0].disconnected.wait()


async def test_cancelling_closes_the_connection_and_loses_no_data() -> None:
    go_on = trio.Event()
    async with serve([b"one", scripted.pause(go_on), b"two", scripted.hang()]) as (
        server,
        transport,
    ):
        with trio.CancelScope() as scope:
            async with post(transport) as response:
                assert await response.receive() == b"one"
                with trio.CancelScope() as inner:
                    inner.cancel()
                    await response.receive()
                assert inner.cancelled_caught
                go_on.set()
                assert await response.receive() == b"two"
                scope.cancel()
                await response.receive()
        assert scope.cancelled_caught
        await server.requests[0].disconnected.wait()


async def test_a_slow_reader_bounds_what_is_buffered() -> None:
    async with (
        serve([scripted.tokens(5000), scripted.end()]) as (_, transport),
        post(transport) as response,
    ):
        await response.head()
        await trio.testing.wait_all_tasks_blocked(0.05)
        data = await response.receive()
        assert 1 << 16 <= len(data) < 1 << 18
        data += await read(response)
        assert data.count(b"\n\n") == 5000


@pytest.mark.parametrize("cancel", [False, True])
async def test_a_reader_that_is_far_behind_may_leave(cancel: bool) -> None:
    async with serve([scripted.tokens(5000), scripted.hang()]) as (server, transport):
        with trio.CancelScope() as scope:
            async with post(transport) as response:
                await response.head()
                await trio.testing.wait_all_tasks_blocked(0.05)
                if cancel:
                    scope.cancel()
                    await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught == cancel
        await server.requests[0].disconnected.wait()


async def test_nobody_listens() -> None:
    async with open_scripted_openai([]) as server:
        pass
    async with open_transport(server.base_url) as transport, post(transport) as response:
        with pytest.raises(TransportError, match="connect: ") as info:
            await response.head()
    assert info.value.code == "connect"


@asynccontextmanager
async def tcp_server(handle: Callable[[trio.SocketStream], Any]) -> AsyncIterator[str]:
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


async def test_the_connection_breaks_before_the_response() -> None:
    async with (
        tcp_server(close_at_once) as host,
        open_transport(f"http://{host}") as transport,
        post(transport) as response,
    ):
        with pytest.raises(TransportError) as info:
            await response.head()
        with pytest.raises(TransportError):
            await response.receive()
    assert info.value.code == "cut-stream"


async def test_the_connect_deadline_covers_the_tls_handshake() -> None:
    async with (
        tcp_server(say_nothing) as host,
        open_transport(f"https://{host}") as transport,
        post(transport, connect_deadline=0.05) as response,
    ):
        with pytest.raises(TransportError) as info:
            await response.head()
    assert info.value.code == "timeout-connect"


async def test_the_connection_breaks_within_the_response() -> None:
    async with serve([b"one", scripted.cut()]) as (_, transport), post(transport) as response:
        await response.head()
        reads: list[bytes] = []
        with pytest.raises(TransportError) as info:
            await read_into(reads, response)
    assert b"".join(reads) == b"onedata: {"
    assert info.value.code == "cut-stream"


async def test_the_rest_is_bounded_in_size_and_survives_a_cut() -> None:
    async with serve([b"x" * 9, scripted.cut()], [b"y" * 9, scripted.end()]) as (_, transport):
        async with post(transport) as response:
            assert await response.receive_rest(seconds=60, max_bytes=99) == b"x" * 9 + b"data: {"
        async with post(transport) as response:
            assert await response.receive_rest(seconds=60, max_bytes=5) == b"y" * 5


async def test_the_rest_is_bounded_in_time() -> None:
    async with serve([b"one", scripted.hang()]) as (_, transport), post(transport) as response:
        assert await response.receive_rest(seconds=0.05, max_bytes=99) == b"one"


async def test_requests_wait_for_the_limiter_and_give_back_their_slots() -> None:
    limiter = trio.CapacityLimiter(1)
    async with serve([b"", scripted.hang()], [scripted.end()], limiter=limiter) as (_, transport):
        async with post(transport) as response:
            await response.head()
            assert limiter.borrowed_tokens == 1
            async with post(transport):
                await trio.testing.wait_all_tasks_blocked()
                assert limiter.statistics().tasks_waiting == 1
        assert limiter.borrowed_tokens == 0
        async with post(transport) as response:
            await response.head()
        assert limiter.borrowed_tokens == 0


async def test_one_task_may_have_several_responses_open() -> None:
    async with (
        serve([b"1", scripted.hang()], [b"2", scripted.hang()]) as (_, transport),
        post(transport) as first,
        post(transport) as second,
    ):
        received = {await first.receive(), await second.receive()}
    assert received == {b"1", b"2"}


async def test_an_injected_client_is_used_and_stays_open() -> None:
    async with (
        httpx.AsyncClient(headers={"X-Mine": "yes"}) as client,
        serve([scripted.end()], client=client) as (server, transport),
    ):
        async with post(transport) as response:
            await read(response)
        await client.get(f"{server.base_url}/models")
    assert server.requests[0].headers["x-mine"] == "yes"


# As another library with the API of httpx has them.
OtherTransportError = type("TransportError", (Exception,), {})
OtherConnectError = type("ConnectError", (OtherTransportError,), {})
OtherReadError = type("ReadError", (OtherTransportError,), {})


class Broken(httpx.AsyncBaseTransport):
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        raise self.error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OtherConnectError("x"), "connect"),
        (OtherReadError(), "cut-stream"),
        (httpx.ProxyError("x"), "connect"),
        (httpx.WriteTimeout("x"), "cut-stream"),
        (httpx.ConnectTimeout("x"), "timeout-connect"),
    ],
)
async def test_errors_are_told_by_name(error: Exception, code: str) -> None:
    client = httpx.AsyncClient(transport=Broken(error))
    async with (
        open_transport("http://x", client=client) as transport,
        post(transport) as response,
    ):
        with pytest.raises(TransportError) as info:
            await response.head()
    assert info.value.code == code
    assert info.value.message
    assert info.value.__cause__ is error


async def test_a_bug_is_no_transport_error() -> None:
    client = httpx.AsyncClient(transport=Broken(KeyError()))
    with pytest.RaisesGroup(KeyError):
        async with (
            open_transport("http://x", client=client) as transport,
            post(transport) as response,
        ):
            await response.head()


async def test_certificates_are_loaded_once_and_only_for_https(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads = []
    load = ssl.SSLContext.load_verify_locations

    def count(*args: Any, **kwargs: Any) -> None:
        loads.append(1)
        load(*args, **kwargs)

    from trio_agent._http import transport as _http  # its cache is the process's

    _http._ssl_context.cache_clear()
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", count)
    async with open_transport("http://x"):
        assert not loads
    for _ in range(2):
        async with open_transport("https://x"):
            assert len(loads) == 1
