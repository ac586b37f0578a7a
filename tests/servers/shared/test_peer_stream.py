"""A socket to a peer that may stop reading."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from trio_agent.servers._shared.peer_stream import PeerStream

MUCH = b"x" * 1_000_000


@asynccontextmanager
async def open_peer(
    *, shield: bool = True
) -> AsyncIterator[tuple[PeerStream, trio.abc.ReceiveStream, trio.socket.SocketType]]:
    """A stream whose socket takes nothing at once, and whose peer reads only what it wants."""
    stream, other = trio.testing.lockstep_stream_pair()
    with trio.socket.socket() as unconnected:
        stream.socket = unconnected  # type: ignore[attr-defined]
        yield PeerStream(stream, 10.0, shield=shield), other, unconnected  # type: ignore[arg-type]


def is_open(socket: trio.socket.SocketType) -> bool:
    return socket.fileno() != -1


class TestWriteDeadline:
    """It counts while a peer reads nothing, however much there is to send."""

    async def test_slow_reader(self, autojump_clock: trio.testing.MockClock) -> None:
        async with open_peer() as (peer, other, socket), trio.open_nursery() as nursery:
            got = bytearray()

            async def read() -> None:
                while len(got) < len(MUCH):
                    await trio.sleep(9)
                    got.extend(await other.receive_some(1 << 16))

            nursery.start_soon(read)
            await peer.send_all(MUCH)
            assert trio.current_time() == 9 * 16
            assert got == MUCH
            assert is_open(socket)

    async def test_reader_who_stops(self, autojump_clock: trio.testing.MockClock) -> None:
        async with open_peer() as (peer, other, socket), trio.open_nursery() as nursery:

            async def read() -> None:
                await trio.sleep(9)
                await other.receive_some(1 << 16)

            nursery.start_soon(read)
            with pytest.raises(trio.BrokenResourceError, match="does not read"):
                await peer.send_all(MUCH)
            assert trio.current_time() == 9 + 10
            assert not is_open(socket)
            assert peer.ended.is_set()


class TestCancelled:
    async def test_in_the_middle_with_a_shield(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """The frame goes out to its end."""
        async with open_peer() as (peer, other, socket), trio.open_nursery() as nursery:
            with trio.move_on_after(1):
                nursery.start_soon(trio.sleep, 5)

                async def read() -> None:
                    await trio.sleep(5)
                    assert await other.receive_some() == b"x"

                nursery.start_soon(read)
                await peer.send_all(b"x")
            assert trio.current_time() == 5
            assert is_open(socket)

    async def test_in_the_middle_without_one(self, autojump_clock: trio.testing.MockClock) -> None:
        """Half a frame may be out, so that nothing can follow it."""
        async with open_peer(shield=False) as (peer, _, socket):
            with trio.move_on_after(1):
                await peer.send_all(b"x")
            assert trio.current_time() == 1
            assert not is_open(socket)

    @pytest.mark.parametrize("shield", [True, False])
    async def test_before(self, shield: bool) -> None:
        """Such as a heartbeat when the stream ends: what comes next can still be sent."""
        async with open_peer(shield=shield) as (peer, other, socket):
            with trio.CancelScope() as scope:
                scope.cancel()
                await peer.send_all(b"x")
            assert scope.cancelled_caught
            assert is_open(socket)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.send_all, b"y")
                assert await other.receive_some() == b"y"


class TestTurns:
    async def test_two_at_once(self) -> None:
        async with open_peer() as (peer, other, _), trio.open_nursery() as nursery:
            nursery.start_soon(peer.send_all, b"a" * 100_000)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(peer.send_all, b"b" * 100_000)
            await trio.testing.wait_all_tasks_blocked()
            got = b""
            while len(got) < 200_000:
                got += await other.receive_some()
            assert got == b"a" * 100_000 + b"b" * 100_000

    async def test_what_is_not_wanted_any_more_when_it_is_its_turn(self) -> None:
        async with open_peer() as (peer, other, _), trio.open_nursery() as nursery:
            nursery.start_soon(peer.send_all, b"a" * 100_000)
            await trio.testing.wait_all_tasks_blocked()
            wanted = [True]
            sent: list[bool] = []

            async def send() -> None:
                sent.append(await peer.send_if(lambda: wanted[0], b"b"))

            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            wanted[0] = False
            got = b""
            while len(got) < 100_000:
                got += await other.receive_some()
            await trio.testing.wait_all_tasks_blocked()
            assert (got, sent) == (b"a" * 100_000, [False])


async def test_a_socket_that_takes_all_at_once_is_no_checkpoint() -> None:
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        accepted: list[trio.SocketStream] = []

        async def accept() -> None:
            accepted.append(await listener.accept())

        nursery.start_soon(accept)
        client = await trio.open_tcp_stream(*listener.socket.getsockname())
        await trio.testing.wait_all_tasks_blocked()
        peer = PeerStream(accepted[0], 10.0)
        with trio.testing.assert_no_checkpoints():
            await peer.send_all(b"hello")
        assert await client.receive_some() == b"hello"
        peer.close()
        with pytest.raises(trio.ClosedResourceError):
            await peer.send_all(b"x")
        await client.aclose()
        await listener.aclose()
