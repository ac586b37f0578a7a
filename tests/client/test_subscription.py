"""Subscriptions that survive lost connections: through a proxy that cuts, and bad servers."""

import random
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from client_kit import END, EVENT, STREAM, answer, error, pairs, receive_all
from proxy_kit import canned, open_proxy
from server_kit import SOON, StepModel, logged, open_server, talking_model
from thorough_kit import ends_of_lines, places_to_cut

from trio_agent import (
    Cursor,
    CursorExpired,
    LimitExceeded,
    StoreUnavailable,
)
from trio_agent.client import (
    RemoteEvent,
    RemoteSubscription,
    TransportError,
    open_client,
)


async def test_everything_once_and_in_order() -> None:
    async with open_server(talking_model("a", "b")) as server, open_client(server.url) as client:
        run_id = await client.start("hi")
        async with client.subscribe(run_id) as events:
            assert events.cursor == ""
            first = await events.receive()
            assert (events.cursor, first.terminal) == (first.cursor, False)
            rest = [event async for event in events]
            assert events.cursor == rest[-1].cursor
            assert events.reconnects == 0
            for _ in range(2):
                with pytest.raises(trio.EndOfChannel):
                    await events.receive()
        run = await server.runtime.find(run_id)
        assert pairs([first, *rest]) == await logged(run, server)
        assert [event.terminal for event in rest] == [False] * (len(rest) - 1) + [True]
        async with client.subscribe(run_id, after=Cursor.parse(first.cursor)) as events:
            batch = await events.receive_batch()
            while not batch[-1].terminal:
                batch += await events.receive_batch()
            assert batch == rest
            with pytest.raises(trio.EndOfChannel):
                await events.receive_batch()
        assert await receive_all(server.url, run_id, after=rest[-1].cursor) == []
        assert (await client.info(run_id))["id"] == run_id
        assert await client.not_ready() is None


async def test_cut_after_every_byte() -> None:
    async with (
        open_server(talking_model("é"), seconds=6 * SOON) as server,
        open_proxy(server.port) as proxy,
    ):
        run = await server.start()
        await run.wait()
        expected = await logged(run, server)
        assert pairs(await receive_all(proxy.url, run.id)) == expected
        raw = bytes(proxy.answer)
        places = places_to_cut(raw, ends_of_lines(raw))
        for place in places:
            proxy.cuts = iter([place])
            assert pairs(await receive_all(proxy.url, run.id)) == expected, place
        before_its_end = sum(place <= raw.index(b'"run-finish"') for place in places)
        assert proxy.connections >= 1 + len(places) + before_its_end
        assert before_its_end > 100


async def test_cut_again_and_again() -> None:
    """A stream that never gets far at one time gets through all the same."""
    async with open_server(talking_model(*"abc")) as server, open_proxy(server.port) as proxy:
        run = await server.start()
        await run.wait()
        proxy.cuts = iter([700] * 100)
        async with open_client(proxy.url) as client, client.subscribe(run.id) as events:
            seen = [event async for event in events]
            assert events.reconnects >= 2
        assert pairs(seen) == await logged(run, server)


@pytest.mark.parametrize("seed", range(10))
async def test_cut_at_random(seed: int) -> None:
    async with open_server(talking_model(*"abcdef")) as server, open_proxy(server.port) as proxy:
        run = await server.start()
        await run.wait()
        places = random.Random(seed)
        proxy.cuts = (places.randrange(2000) for _ in range(20))
        assert pairs(await receive_all(proxy.url, run.id)) == await logged(run, server)


async def test_leaving_in_the_middle() -> None:
    model = StepModel()
    async with open_server(model) as server, open_client(server.url) as client:
        run = await server.start(on_disconnect="cancel")
        async with client.subscribe(run.id) as events:
            await events.receive()
            with trio.CancelScope() as scope:
                scope.cancel()
                await events.receive()
            assert (await events.receive()).event is not None
        assert (await run.wait()).reason == "nobody watches"


async def test_errors_come_behind_the_events_before_them() -> None:
    async with canned(STREAM + EVENT % (b"a", 1), error(410, "cursor-expired")) as (url, requests):
        async with open_client(url) as client, client.subscribe("r") as events:
            assert (await events.receive()).cursor == "r.e.1"
            for _ in range(2):
                with pytest.raises(CursorExpired, match="because"):
                    await events.receive()
        assert b"last-event-id" not in requests[0].lower()
        assert b"last-event-id: r.e.1\r\n" in requests[1].lower()


async def test_a_server_that_is_busy_for_a_while() -> None:
    busy = [error(503, "limit-exceeded"), answer(502, b"<html>"), answer(503, {"error": {}})]
    async with canned(*busy, STREAM + END % 1) as (url, requests):
        assert len(await receive_all(url)) == 1
        assert len(requests) == 4


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (error(503, "limit-exceeded"), LimitExceeded),
        (error(503, "store-unavailable"), StoreUnavailable),
        (error(500, "internal"), StoreUnavailable),
        (b"", trio.BrokenResourceError),
        (STREAM, trio.BrokenResourceError),
    ],
)
async def test_patience(refusal: bytes, expected: type[Exception]) -> None:
    async with canned(*[refusal] * 100) as (url, requests):
        with pytest.raises(expected):
            await receive_all(url, patience=0.3)
        assert 2 <= len(requests) <= 8


async def test_nobody_is_there() -> None:
    async with canned() as (url, _):
        pass
    with pytest.raises(trio.BrokenResourceError, match="connect"):
        await receive_all(url, patience=0.2)
    async with open_client(url) as client:
        with pytest.raises(TransportError):
            await client.start("hi")
        assert "connect" in str(await client.not_ready())


async def test_two_who_receive() -> None:
    """What comes is shared out, and nothing is lost or comes twice."""
    body = b"".join(EVENT % (b"a", n) for n in range(1, 101)) + END % 101
    seen: list[RemoteEvent] = []

    async def receive(events: RemoteSubscription) -> None:
        async for event in events:
            seen.append(event)  # noqa: PERF401

    async with (
        canned(STREAM + body) as (url, _),
        open_client(url) as client,
        client.subscribe("r") as events,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(receive, events)
        nursery.start_soon(receive, events)
    assert [event.cursor for event in seen] == [f"r.e.{n}" for n in range(1, 102)]


async def test_a_closed_subscription() -> None:
    body = EVENT % (b"a", 1) + EVENT % (b"b", 2)
    async with (
        canned(STREAM + body) as (url, _),
        open_client(url) as client,
        client.subscribe("r") as events,
    ):
        await events.receive()
        await events.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await events.receive()


async def test_closed_before_anything_came() -> None:
    async with (
        canned(STREAM + END % 1) as (url, requests),
        open_client(url) as client,
        client.subscribe("r") as events,
    ):
        await events.aclose()
        while not requests:
            await trio.sleep(0)


async def test_the_same_server_again_on_its_port() -> None:
    """It restarts with the same store; the client goes on where it was."""
    model = StepModel()
    async with open_server(model) as server, open_proxy(server.port) as proxy:
        run = await server.start()
        async with open_client(proxy.url) as client, client.subscribe(run.id) as events:
            model.say("a")
            seen = [await events.receive() for _ in range(3)]
            server.cancel()
            await server.done.wait()
            model.say("b")
            model.finish()
            await run.wait()
            async with trio.open_nursery() as nursery:
                await start_again(nursery, server)
                seen += [event async for event in events]
                assert events.reconnects >= 1
                nursery.cancel_scope.cancel()
        assert pairs(seen) == await logged(run, server)


async def start_again(nursery: trio.Nursery, server: Any) -> None:
    from trio_agent.servers import create_app
    from trio_agent.servers.http._hypercorn import serve_asgi

    (listener,) = await trio.open_tcp_listeners(server.port, host="127.0.0.1")
    app = create_app(server.service)
    serve = partial(serve_asgi, app, [listener], until=trio.sleep_forever)
    nursery.start_soon(serve)
