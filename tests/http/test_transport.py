"""Requests below one base URL: their connections, their bounds, their proxies."""

import gzip
import ssl
import sys
from contextlib import nullcontext
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from http_kit import PATH, close_at_once, post, read, say_nothing, serve, tcp_server

from trio_agent._http.errors import TransportError
from trio_agent._http.response import Response
from trio_agent._http.transport import open_transport
from trio_agent.testing import openai as scripted
from trio_agent.testing.openai import end, open_scripted_openai


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


async def test_nobody_listens() -> None:
    async with open_scripted_openai([]) as server:
        pass
    async with open_transport(server.base_url) as transport, post(transport) as response:
        with pytest.raises(TransportError, match="connect: ") as info:
            await response.head()
    assert info.value.code == "connect"


@pytest.mark.parametrize("url", ["http://a b", "http://h:70000"])
async def test_a_url_that_is_none(url: str) -> None:
    async with open_transport(url) as transport, post(transport) as response:
        with pytest.raises(TransportError, match="connect: "):
            await response.head()


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


class Failing(Response):
    """It is fed, and has had enough."""

    def feed(self, data: bytes) -> bool:
        raise KeyError(data)


async def test_a_redirect_within_the_host_is_followed() -> None:
    there = scripted.status(307, {"location": "/v1/chat/completions?again"}, b"moved")
    async with serve([there]) as (server, transport), post(transport) as response:
        assert (await response.head())[0] == 404
    first, second = server.requests
    assert second.path == "/v1/chat/completions?again"
    assert (first.method, first.body) == (second.method, second.body) == ("POST", {})
    assert second.headers["x-test"] == "yes"


async def test_redirects_come_to_an_end() -> None:
    here = [scripted.status(308, {"location": "completions"})]
    async with serve(*[here] * 10) as (server, transport), post(transport) as response:
        assert (await response.head())[0] == 308
        assert len(server.requests) == 6


async def test_a_redirect_to_another_host_is_handed_on() -> None:
    async with (
        open_scripted_openai([[end()]]) as other,
        serve([scripted.status(307, {"location": f"{other.base_url}{PATH}"})]) as (_, transport),
        post(transport) as response,
    ):
        assert (await response.head())[0] == 307
        assert not other.requests


@pytest.mark.parametrize("client", [None, "its own"])
async def test_what_was_compressed_without_being_asked_is_read(client: str | None) -> None:
    body = gzip.compress(b"one two")
    answers = [scripted.status(status, {"content-encoding": "gzip"}, body) for status in (200, 400)]
    async with (
        httpx.AsyncClient() as theirs,
        serve(*([a] for a in answers), client=client and theirs) as (_, transport),
    ):
        for status in (200, 400):
            async with post(transport) as response:
                assert (await response.head())[0] == status
                assert await read(response) == b"one two"


@pytest.mark.parametrize("how", ["to the end", "fails", "cancelled", "cut"])
async def test_an_exchange_in_ones_own_task_gives_back_its_slot(how: str) -> None:
    last = {"to the end": scripted.end(), "cut": scripted.cut()}.get(how, scripted.hang())
    receiver = Failing() if how == "fails" else Response()
    limiter = trio.CapacityLimiter(1)
    async with serve([b"one", last], limiter=limiter) as (server, transport):
        async with trio.open_nursery() as nursery:

            async def exchange() -> None:
                errors = {"fails": KeyError, "cut": TransportError}
                with pytest.raises(errors[how]) if how in errors else nullcontext():
                    await transport.exchange(
                        "POST", PATH, receiver, headers={"X-Test": "yes"}, content=b"{}"
                    )

            nursery.start_soon(exchange)
            if how == "cancelled":
                assert await receiver.receive() == b"one"
                assert limiter.borrowed_tokens == 1
                nursery.cancel_scope.cancel()
        assert limiter.borrowed_tokens == 0
    [request] = server.requests
    assert (request.headers["x-test"], request.body) == ("yes", {})


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


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without proxies."""
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("no_proxy", "asked"), [("", True), ("fd00::/8,[::1/9,:", True), ("elsewhere.invalid", False)]
)
async def test_a_proxy_of_the_environment(
    no_proxy: str, asked: bool, environment: pytest.MonkeyPatch
) -> None:
    async with open_scripted_openai([]) as server:
        environment.setenv("http_proxy", server.base_url.removesuffix("/v1"))
        environment.setenv("no_proxy", no_proxy)
        async with (
            open_transport("http://elsewhere.invalid/v1") as transport,
            transport.stream("POST", "/chat/completions", headers={}) as response,
        ):
            if asked:
                # Only to a proxy one says the whole URL, which this server doesn't know.
                assert (await response.head())[0] == 404
            else:
                with pytest.raises(TransportError, match="connect"):
                    await response.head()


@pytest.mark.parametrize("proxy", ["socks5://u:secret@h:1", "ftp://u:secret@h", "http://[::1"])
async def test_a_proxy_that_can_not_be_used_is_an_error_in_a_sentence(
    proxy: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setitem(sys.modules, "socksio", None)
    environment.setenv("all_proxy", proxy)
    with pytest.raises(TransportError, match=r"connect: the proxy in the environment") as info:
        async with open_transport("http://elsewhere.invalid/v1"):
            pytest.fail("there is no such proxy")
    assert ("socksio" in str(info.value)) == proxy.startswith("socks")
    assert "secret" not in str(info.value)
    async with serve([end()]) as (_, transport), post(transport) as response:
        assert await read(response) == b""  # It is not for this machine.
