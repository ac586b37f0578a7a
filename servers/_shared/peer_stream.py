"""A socket to a peer that may stop reading: what is sent goes out whole, or the peer is cut off."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

_SLICE: Final = 1 << 16
"""Bytes that the peer has to read within the write deadline."""

_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 16 << 20


def write_nowait(socket: trio.socket.SocketType, data: bytes | bytearray | memoryview) -> int:
    """Write what the socket takes at once and return how much that is; 0 if it is broken, too.

    Nearly always it takes everything. Trio's way there, through a deadline and two checkpoints,
    would cost about as much again as the write itself.
    """
    if os.name != "posix":
        return 0  # elsewhere a socket is no file
    try:
        return os.write(socket.fileno(), data)
    except OSError:
        return 0  # full, or broken: `send_all` tells which


class PeerStream(trio.abc.Stream):
    """A socket stream for several tasks that send frames, none of which is ever cut in two.

    Args:
        stream: the socket stream; it belongs to this one from now on.
        write_deadline: seconds after which a peer that reads nothing, with bytes waiting, is
            cut off.
        shield: what becomes of a frame whose sender is cancelled while it goes out: it is sent to
            its end, or, if false, the peer is cut off.
    """

    def __init__(
        self, stream: trio.SocketStream, write_deadline: float, *, shield: bool = True
    ) -> None:
        self._stream = stream
        self._write_deadline = write_deadline
        self._shield = shield
        self._sending = trio.StrictFIFOLock()
        self.ended = trio.Event()
        """Nothing more will be received."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all, in the order of the calls. A checkpoint only if it has to wait.

        If cancelled before its turn, nothing was sent.

        Raises:
            trio.BrokenResourceError: the peer is gone, or was cut off because it did not read.
            trio.ClosedResourceError: this stream is closed.
        """
        await self.send_if(lambda: True, data)

    async def send_if(
        self, wanted: Callable[[], bool], data: bytes | bytearray | memoryview
    ) -> bool:
        """Send as `send_all` does, if `wanted()` still holds when it is this call's turn."""
        written = 0
        if self._sending.locked():
            await self._sending.acquire()
        else:
            if wanted():
                written = write_nowait(self._stream.socket, data)
                if written == len(data):
                    return True
            if not written:
                await trio.lowlevel.checkpoint_if_cancelled()
            self._sending.acquire_nowait()  # no checkpoint: half a frame may be written
        try:
            if not written and not wanted():
                return False
            await self._send_rest(memoryview(data)[written:])
            return True
        finally:
            self._sending.release()

    async def _send_rest(self, rest: memoryview) -> None:
        try:
            with trio.CancelScope(shield=self._shield) as scope:
                while rest:
                    scope.deadline = trio.current_time() + self._write_deadline
                    await self._stream.send_all(rest[:_SLICE])
                    rest = rest[_SLICE:]
        finally:
            if rest:
                self.close()  # half a frame may be written, so that nothing can follow it
        if rest:
            raise trio.BrokenResourceError("the peer does not read")

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until sending may be possible. A checkpoint."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive as a socket stream does."""
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.set()
            raise
        if not data:
            self.ended.set()
        return data

    def close(self) -> None:
        """Cut the connection; who sends or receives gets `trio.ClosedResourceError`."""
        self._stream.socket.close()
        self.ended.set()

    async def aclose(self) -> None:
        """Cut the connection. A checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()

    async def close_when_cancelled(self) -> None:
        """Wait to be cancelled, then cut the connection, so that no send outlives that."""
        try:
            await trio.sleep_forever()
        finally:
            self.close()

    async def linger(self) -> None:
        """End the sending side, and drop what comes until the peer ends its side, too.

        A checkpoint. It takes a bounded time. Without it, what the peer sent and nobody read
        would make the system throw away what we sent last.
        """
        received = 0
        with (
            trio.move_on_after(_LINGER_SECONDS),
            suppress(trio.BrokenResourceError, trio.ClosedResourceError),
        ):
            await self._stream.send_eof()
            while received < _LINGER_BYTES and (data := await self.receive_some()):
                received += len(data)
