"""The stream below a WebSocket that closes it in good order, and counts what it receives.

trio-websocket closes the connection as soon as a peer has broken the protocol. The peer is to be
told by a Close frame (RFC 6455, section 7.1.7), and to read that.

What it keeps of a message that is not whole yet is seen here only.
"""

from typing import Final

import trio
from trio_websocket import WebSocketConnection

from .._shared.intake import Intake, Share
from .._shared.peer_stream import PeerStream

_CLOSE: Final = 0x88
"""The first byte of a Close frame."""

_VIOLATIONS: Final = (1002, 1007)
"""Protocol error, and text that is not UTF-8."""


class ClosingStream(PeerStream):
    """A peer stream whose `aclose` tells a peer that broke the protocol so. It is closed later.

    Args:
        stream: the socket stream; it belongs to this one from now on.
        write_deadline: seconds after which a peer that reads nothing, with bytes waiting, is
            cut off.
        intake: where there has to be room for what comes; otherwise the peer is cut off.
    """

    websocket: WebSocketConnection | None = None
    """What goes over it, when there is something."""
    _close_sent = False

    def __init__(self, stream: trio.SocketStream, write_deadline: float, intake: Intake) -> None:
        super().__init__(stream, write_deadline)
        self.share = Share(intake)
        """What is counted; `shrink` it when something is kept no more, `clear` it at the end."""
        self._lingering = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive as a peer stream does."""
        data = await super().receive_some(max_bytes)
        if not self._lingering and not self.share.grow(len(data)):
            self.close()
            raise trio.BrokenResourceError("there is no room for what the peer sends")
        return data

    async def linger(self) -> None:
        """Linger as a peer stream does. What still comes is dropped, and needs no room."""
        self._lingering = True
        self.share.clear()
        await super().linger()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send as a peer stream does."""
        self._close_sent |= data[0] == _CLOSE
        await super().send_all(data)

    async def aclose(self) -> None:
        """Cut the connection; or say what is wrong, for the peer is lingered for. A checkpoint."""
        reason = None if self.websocket is None else self.websocket.closed
        if reason is None or self._close_sent or reason.code not in _VIOLATIONS:
            await super().aclose()
            return
        await self.send_all(b"\x88\x02" + reason.code.to_bytes(2, "big"))
