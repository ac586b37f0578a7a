"""A response that is received in the background."""

import math
from collections.abc import Mapping
from typing import Final

import trio

from .errors import TransportError
from .silence import Silence

_MAX_UNREAD: Final = 1 << 16


class Response:
    """What has come of a response, for the one task that reads it.

    Args:
        silence: seconds without a byte, while there is room for more, after which it is given up.
    """

    def __init__(self, *, silence: float = math.inf) -> None:
        self.silence = Silence(silence)
        self._head: tuple[int, Mapping[str, str]] | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = False
        self._left = False
        self._error: TransportError | None = None
        self._news = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()

    async def head(self) -> tuple[int, Mapping[str, str]]:
        """Wait for the status and the headers (whose names are case-insensitive). A checkpoint.

        Raises:
            TransportError: there was no connection, or it broke before the headers came.
        """
        if self._head is not None or self._ended:
            await trio.lowlevel.checkpoint()
        while self._head is None and not self._ended:
            await self._news.park()
        if self._head is None:
            assert self._error is not None
            raise self._error
        return self._head

    @property
    def error(self) -> TransportError | None:
        """What broke the connection, if anything did so far."""
        return self._error

    async def receive(self) -> bytes:
        """Return everything that has come since the last call, or `b""` at the end.

        A checkpoint. If cancelled, nothing is lost.

        Raises:
            TransportError: the connection broke. What came before was returned before.
        """
        if self._chunks or self._ended:
            await trio.lowlevel.checkpoint()
        while not self._chunks and not self._ended:
            await self._news.park()
        if not self._chunks:
            if self._error is not None:
                raise self._error
            return b""
        data = b"".join(self._chunks)
        self._chunks.clear()
        if self._size >= _MAX_UNREAD:
            self.silence.heard()  # from now on it is listened to again
        self._size = 0
        self._room.unpark_all()
        return data

    async def receive_rest(self, *, seconds: float, max_bytes: int) -> bytes:
        """Return what comes until the end, a bound or a broken connection. A checkpoint.

        A response whose end was read leaves its connection to the next request. Whether it broke
        is told by `error`.
        """
        rest = bytearray()
        with trio.move_on_after(seconds):
            try:
                while len(rest) < max_bytes and (data := await self.receive()):
                    rest += data
            except TransportError:
                pass
        return bytes(rest[:max_bytes])

    # What the exchange calls: it is a `Receiver`.

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """The head has come."""
        self._head = status, headers
        self.silence.heard()
        self._news.unpark_all()

    def feed(self, data: bytes) -> bool:
        """Something has come; False if the reader is far behind."""
        self._chunks.append(data)
        self._size += len(data)
        self._news.unpark_all()
        if self._size < _MAX_UNREAD:
            self.silence.heard()
            return True
        self.silence.pause()
        return False

    async def room(self) -> None:
        """Wait while the reader is far behind."""
        while self._size >= _MAX_UNREAD and not self._left:
            await self._room.park()

    def end(self, error: TransportError | None) -> None:
        """No more will come: this is the end, or an error."""
        self._error = error
        self._ended = True
        self._news.unpark_all()

    def leave(self) -> None:
        """Nobody will read any more."""
        self._left = True
        self._room.unpark_all()
