"""How a WebSocket's connection is closed, whoever is to blame."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from server_kit import SOON

from trio_agent.servers._shared.intake import FREE, Intake
from trio_agent.servers.websocket._closing_stream import ClosingStream


async def closed(code: int | None, *sent: bytes) -> tuple[bytes, bool]:
    """Close one for a reason; return what its peer gets, and whether that is the end."""
    with trio.fail_after(SOON):
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with listener:
            port = listener.socket.getsockname()[1]
            async with await trio.open_tcp_stream("127.0.0.1", port) as peer:
                stream = ClosingStream(await listener.accept(), 1.0, Intake(0))
                reason = None if code is None else SimpleNamespace(code=code)
                websocket: Any = SimpleNamespace(closed=reason)
                stream.websocket = websocket
                for frame in sent:
                    await stream.send_all(frame)
                await stream.aclose()
                ended = stream.ended.is_set()
                await stream.linger()
                stream.close()
                return b"".join([data async for data in peer]), ended


@pytest.mark.parametrize("code", [1002, 1007])
async def test_peer_that_broke_the_protocol_is_told(code: int) -> None:
    frame = b"\x88\x02" + code.to_bytes(2, "big")
    assert await closed(code) == (frame, False)
    assert await closed(code, b"\x81\x02{}") == (b"\x81\x02{}" + frame, False)


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1011])
async def test_nobody_else_is(code: int | None) -> None:
    assert await closed(code) == (b"", True)


@pytest.mark.parametrize("code", [1002, 1007, 1009])
async def test_one_close_frame_is_enough(code: int) -> None:
    """The peer's own reason is answered by the library."""
    frame = b"\x88\x02" + code.to_bytes(2, "big")
    assert await closed(code, frame) == (frame, True)


@pytest.mark.parametrize("room", [0, 1000])
async def test_what_comes_needs_room_until_it_is_dropped(room: int) -> None:
    with trio.fail_after(SOON):
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with listener:
            port = listener.socket.getsockname()[1]
            async with await trio.open_tcp_stream("127.0.0.1", port) as peer:
                intake = Intake(room)
                stream = ClosingStream(await listener.accept(), 1.0, intake)
                await peer.send_all(b"x" * (FREE + 1000))
                received = 0
                while received < FREE + room:
                    received += len(await stream.receive_some(min(1024, FREE + room - received)))
                assert intake.taken == room
                if room:
                    await peer.send_all(b"x" * 1000)
                    await peer.send_eof()
                    await stream.linger()
                    assert intake.taken == 0
                else:
                    with pytest.raises(trio.BrokenResourceError):
                        await stream.receive_some(1)
                    assert stream.ended.is_set()
                stream.close()


async def test_before_there_is_a_websocket() -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        async with await trio.open_tcp_stream("127.0.0.1", port):
            stream = ClosingStream(await listener.accept(), 1.0, Intake(0))
            await stream.aclose()
            assert stream.ended.is_set()
