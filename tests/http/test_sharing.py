"""Connections that all who ask the same host have in common."""

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
import httpx as injected
import pytest
import trio
import trio.testing
from http_kit import PATH, read

from trio_agent._http import sharing
from trio_agent._http.errors import TransportError
from trio_agent._http.library import httpx
from trio_agent._http.response import Response
from trio_agent._http.sharing import Share
from trio_agent._http.transport import Transport, open_transport
from trio_agent.testing import Sweep, cancel_sweep, openai as scripted
from trio_agent.testing.openai import open_scripted_openai


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without proxies."""
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    return monkeypatch


class Made(httpx.AsyncBaseTransport):
    """Says its number, and takes its time to close."""

    def __init__(self, made: list["Made"]) -> None:
        self.number = len(made)
        self.closed = 0
        self.go_on = trio.Event()
        self.go_on.set()
        made.append(self)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        return httpx.Response(200, content=b"%d" % self.number)

    async def aclose(self) -> None:
        self.closed += 1
        await self.go_on.wait()


async def number_of(share: Share) -> bytes:
    return (await share.handle_async_request(httpx.Request("GET", "http://x"))).content


async def test_the_first_makes_them_and_the_last_closes_them() -> None:
    made: list[Made] = []
    one, two, other = (Share(place, lambda: Made(made)) for place in ("a", "a", "b"))
    assert [await number_of(share) for share in (one, two, other)] == [b"0", b"0", b"1"]
    await one.aclose()
    await other.aclose()
    assert [each.closed for each in made] == [0, 1]
    three = Share("a", lambda: Made(made))
    assert await number_of(two) == await number_of(three) == b"0"
    await two.aclose()
    await three.aclose()
    assert [each.closed for each in made] == [1, 1]
    again = Share("a", lambda: Made(made))
    assert await number_of(again) == b"2"
    await again.aclose()
    assert sharing._places.get() == {}


async def test_who_comes_while_they_are_being_closed_makes_others() -> None:
    made: list[Made] = []
    share = Share("a", lambda: Made(made))
    made[0].go_on = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(share.aclose)
        await trio.testing.wait_all_tasks_blocked()
        assert [each.closed for each in made] == [1]
        other = Share("a", lambda: Made(made))
        assert await number_of(other) == b"1"
        made[0].go_on.set()
    assert await number_of(other) == b"1"
    await other.aclose()
    assert [each.closed for each in made] == [1, 1]


async def test_what_can_not_be_made_is_not_there() -> None:
    def fail() -> Made:
        raise KeyError

    with pytest.raises(KeyError):
        Share("a", fail)
    assert sharing._places.get() == {}
    made: list[Made] = []
    share = Share("a", lambda: Made(made))
    Share("a", fail)  # nobody asks it, for they are there
    assert await number_of(share) == b"0"


def test_each_trio_run_has_its_own() -> None:
    made: list[Made] = []

    async def main() -> bytes:
        # It is left open, as by a program that was killed.
        return await number_of(Share("a", lambda: Made(made)))

    assert [trio.run(main), trio.run(main)] == [b"0", b"1"]


# Over sockets


@attrs.define
class Host:
    """A server that says `ok`, and counts the connections that are open."""

    url: str
    open: int = 0
    made: int = 0
    requests: list[bytes] = attrs.field(factory=list)

    async def handle(self, stream: trio.SocketStream) -> None:
        self.open += 1
        self.made += 1
        data = b""
        try:
            async with stream:
                while part := await stream.receive_some():
                    data += part
                    if data.endswith((b"\r\n\r\n", b"{}")):
                        self.requests.append(data)
                        data = b""
                        head = b"HTTP/1.1 200 OK\r\nSet-Cookie: who=me\r\nContent-Length: 2\r\n\r\n"
                        await stream.send_all(head + b"ok")
        except trio.BrokenResourceError:
            pass
        finally:
            self.open -= 1


@asynccontextmanager
async def host() -> AsyncIterator[Host]:
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server = Host(f"http://127.0.0.1:{listener.socket.getsockname()[1]}")
        await nursery.start(trio.serve_listeners, server.handle, [listener])
        yield server
        nursery.cancel_scope.cancel()


async def settle(is_so: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not is_so():
            await trio.testing.wait_all_tasks_blocked(0.001)


async def ask(transport: Transport, path: str = PATH, **options: Any) -> bytes:
    async with transport.stream("GET", path, headers={}, **options) as response:
        return await read(response)


@pytest.mark.parametrize(
    "spelling",
    [
        "{url}",
        "{url}/",
        "{url}/v1",
        "HTTP{rest}",
        "http://ann:secret@{host}/v2",
        "http://{host}?a=b",
    ],
)
async def test_all_that_leads_to_one_host(spelling: str) -> None:
    async with host() as server, open_transport(server.url + "/v1") as first:
        assert await ask(first) == b"ok"
        rest = server.url.removeprefix("http")
        url = spelling.format(url=server.url, rest=rest, host=rest.removeprefix("://"))
        async with open_transport(url) as second:
            assert await ask(second) == b"ok"
            assert await ask(first) == b"ok"
        assert await ask(first) == b"ok"
        assert (server.made, server.open) == (1, 1)


async def test_the_last_one_closes_them() -> None:
    async with host() as server:
        async with open_transport(server.url) as first:
            async with open_transport(server.url) as second:
                await ask(second)
            await ask(first)
            assert (server.made, server.open) == (1, 1)
        await settle(lambda: server.open == 0)
        with pytest.raises(RuntimeError, match="has been closed"):
            await first.exchange("GET", PATH, Response(), headers={})
        async with open_transport(server.url) as third:
            await ask(third)
            assert (server.made, server.open) == (2, 1)


async def test_hosts_are_apart() -> None:
    async with (
        host() as one,
        host() as two,
        open_transport(one.url) as first,
        open_transport(two.url) as second,
    ):
        assert await ask(first) == await ask(second) == b"ok"
        assert (one.made, two.made) == (1, 1)
        assert len(sharing._places.get()) == 2


async def test_proxies_are_apart(environment: pytest.MonkeyPatch) -> None:
    url = "http://elsewhere.invalid/v1"
    async with host() as one, host() as two:
        async with AsyncExitStack() as stack:
            for proxy in (one, two, one, None):
                environment.setenv("http_proxy", "" if proxy is None else proxy.url)
                transport = await stack.enter_async_context(open_transport(url))
                if proxy is None:
                    with pytest.raises(TransportError, match="connect"):
                        await ask(transport)
                else:
                    assert await ask(transport) == b"ok"
            assert (one.made, one.open, two.made, two.open) == (1, 1, 1, 1)
            assert len(one.requests) == 2
            assert len(sharing._places.get()) == 3
        await settle(lambda: one.open == two.open == 0)


async def test_a_client_of_yours_is_not_shared() -> None:
    async with host() as server, injected.AsyncClient() as client:
        async with (
            open_transport(server.url) as own,
            open_transport(server.url, client=client) as yours,
        ):
            assert await ask(own) == await ask(yours) == b"ok"
            assert server.made == 2
        await settle(lambda: server.open == 1)
        assert (await client.get(server.url)).text == "ok"
        assert server.made == 2


async def test_cookies_and_limits_stay_with_each() -> None:
    async with (
        host() as server,
        open_transport(server.url, limiter=trio.CapacityLimiter(1)) as first,
        open_transport(server.url) as second,
    ):
        for transport in (first, second, first):
            await ask(transport)
        assert [b"cookie: who=me" in each.lower() for each in server.requests] == [
            False,
            False,
            True,
        ]
        assert first._limiter is not second._limiter
        assert second._limiter.total_tokens == 1000


async def test_who_leaves_takes_nothing_from_those_who_are_asking() -> None:
    go_on = trio.Event()
    script = [[b"one", scripted.pause(go_on), b"two", scripted.end()], [b"x", scripted.hang()]]
    async with (
        open_scripted_openai(script) as server,
        open_transport(server.base_url) as first,
        first.stream("POST", PATH, headers={}, content=b"{}") as response,
    ):
        assert await response.receive() == b"one"
        with trio.CancelScope() as scope:
            async with (
                open_transport(server.base_url) as second,
                second.stream("POST", PATH, headers={}, content=b"{}") as other,
            ):
                assert await other.receive() == b"x"
                scope.cancel()
                await trio.sleep_forever()
        await server.requests[1].disconnected.wait()
        go_on.set()
        assert await read(response) == b"two"


async def test_closing_is_not_cut_by_cancelling() -> None:
    """Of ten connections none is left, though closing each is a checkpoint."""
    async with host() as server:
        with trio.CancelScope() as scope:
            async with open_transport(server.url) as transport:
                async with trio.open_nursery() as nursery:
                    for _ in range(10):
                        nursery.start_soon(ask, transport)
                assert server.made > 1
                scope.cancel()
        assert sharing._places.get() == {}
        await settle(lambda: server.open == 0)
        # Nothing was left to the garbage collector, whose warnings are errors.
        gc.collect()


def test_cancelled_anywhere_nothing_is_left() -> None:
    async def scenario(sweep: Sweep) -> None:
        async def use(url: str, times: int) -> None:
            for _ in range(times):
                async with open_transport(url) as transport:
                    assert b"ok" in await ask(transport, "/models?x")

        async with host() as server:
            with trio.fail_after(60):
                with sweep:
                    async with trio.open_nursery() as nursery:
                        for times in (1, 2):
                            nursery.start_soon(use, server.url, times)
                places: dict[Any, Any] = {}
                try:
                    places = sharing._places.get()
                except LookupError:
                    assert sweep.interrupted
                assert places == {}
                await settle(lambda: server.open == 0)

    assert cancel_sweep(scenario, clock=lambda: None) > 20
    gc.collect()  # what was left to it would be told now


async def test_a_proxy_that_can_not_be_used_leaves_nothing(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("all_proxy", "ftp://u:secret@h")
    for _ in range(2):
        with pytest.raises(TransportError, match="its URL can't be understood"):
            async with open_transport("http://elsewhere.invalid/v1"):
                pytest.fail("there is no such proxy")
    assert sharing._places.get() == {}
