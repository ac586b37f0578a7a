"""A response that is received in the background: what its reader gets, and when."""

import pytest
import trio
import trio.testing
from http_kit import SOON, post, read, read_into, serve

from trio_agent._http.errors import TransportError
from trio_agent._http.response import Response
from trio_agent.testing import openai as scripted


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


# Without a connection


FULL = b"x" * (1 << 16)


async def test_the_head_is_waited_for() -> None:
    response, seen = Response(), list[object]()

    async def wait() -> None:
        seen.append(await response.head())

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        response.feed(b"not yet")
        await trio.testing.wait_all_tasks_blocked()
        assert seen == []
        response.begin(201, {"x": "y"})
    assert seen == [(201, {"x": "y"})] * 2


async def test_a_head_that_does_not_come() -> None:
    response, error = Response(), TransportError("connect", "no route")
    assert response.error is None
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(TransportError) as caught:
                await response.head()
            assert caught.value is error

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        response.end(error)
    assert response.error is error
    with trio.testing.assert_checkpoints(), pytest.raises(TransportError):
        await response.head()


async def test_all_that_has_come_comes_at_once() -> None:
    response = Response()
    for data in (b"a", b"b", b"c"):
        assert response.feed(data)
    with trio.testing.assert_checkpoints():
        assert await response.receive() == b"abc"
    response.feed(b"d")
    response.end(None)
    assert await response.receive() == b"d"
    for _ in range(2):
        with trio.testing.assert_checkpoints():
            assert await response.receive() == b""


async def test_what_came_before_it_broke_is_returned_before() -> None:
    response, error = Response(), TransportError("cut-stream", "it broke")
    response.begin(200, {})
    response.feed(b"a")
    response.end(error)
    assert await response.head() == (200, {})
    assert await response.receive() == b"a"
    for _ in range(2):
        with pytest.raises(TransportError) as caught:
            await response.receive()
        assert caught.value is error


async def test_a_cancelled_read_loses_nothing() -> None:
    response = Response()
    response.feed(b"a")
    with trio.CancelScope() as scope:
        scope.cancel()
        await response.receive()
    assert scope.cancelled_caught
    assert await response.receive() == b"a"


@pytest.mark.parametrize(
    ("pieces", "answers"),
    [
        ([FULL[1:], b"x"], [True, False]),
        ([FULL], [False]),
        ([FULL + b"x", b"x"], [False, False]),
    ],
)
async def test_room_until_the_reader_is_far_behind(
    pieces: list[bytes], answers: list[bool]
) -> None:
    response = Response()
    assert [response.feed(piece) for piece in pieces] == answers
    async with trio.open_nursery() as nursery:
        nursery.start_soon(response.room)
        await trio.testing.wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        assert await response.receive() == b"".join(pieces)
    assert response.feed(b"y")
    with trio.fail_after(SOON):
        await response.room()


async def test_there_is_room_when_nobody_reads_any_more() -> None:
    response = Response()
    response.feed(FULL)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(response.room)
        await trio.testing.wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        response.leave()
    response.feed(FULL)
    with trio.fail_after(SOON):
        await response.room()


@pytest.mark.parametrize(
    ("max_bytes", "error", "rest"),
    [
        (99, None, b"abcd"),
        (3, None, b"abc"),
        (4, None, b"abcd"),
        (0, None, b""),
        (99, TransportError("cut-stream", "it broke"), b"abcd"),
    ],
)
async def test_the_rest(max_bytes: int, error: TransportError | None, rest: bytes) -> None:
    response = Response()
    response.feed(b"ab")
    response.feed(b"cd")
    response.end(error)
    assert await response.receive_rest(seconds=60, max_bytes=max_bytes) == rest
    assert response.error is error


async def test_the_rest_that_takes_too_long(autojump_clock: trio.testing.MockClock) -> None:
    response = Response()
    response.feed(b"ab")
    begin = trio.current_time()
    assert await response.receive_rest(seconds=5, max_bytes=99) == b"ab"
    assert trio.current_time() - begin == 5
