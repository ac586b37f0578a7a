"""How a WebSocket's connection is closed, whoever is to blame."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from server_kit import SOON

from trio_agent.servers._shared.intake import Intake
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


async def test_before_there_is_a_websocket() -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        async with await trio.open_tcp_stream("127.0.0.1", port):
            stream = ClosingStream(await listener.accept(), 1.0, Intake(0))
            await stream.aclose()
            assert stream.ended.is_set()
