"""Responses that are compressed although identity was asked for.

Source: RFC 9110, section 8.4.1. What can be read with the standard library is read, piece by
piece, so that a small response can't fill the memory at once.
"""

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from .errors import TransportError

if TYPE_CHECKING:
    from .exchange import Receiver

_PIECE: Final = 1 << 16
_PLAIN: Final = (b"data:", b"event:", b": ", b'{"', b"[{", b"<!", b"<html")
"""How responses begin that are not compressed."""
_ZLIB_OR_GZIP: Final = zlib.MAX_WBITS | 32
_CODINGS: Final = frozenset({"gzip", "x-gzip", "deflate"})
_OTHERS: Final = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
"""What is registered besides. Everything else (`utf-8`, `none`) is a server's mistake."""


def inflating(receiver: "Receiver", headers: Mapping[str, str]) -> "Receiver":
    """Return what takes a response with these headers: `receiver`, or one that inflates for it.

    Raises:
        TransportError: the response is compressed in a way that can't be read here.
    """
    codings = [coding.strip().lower() for coding in headers.get("content-encoding", "").split(",")]
    match [coding for coding in codings if coding in _CODINGS | _OTHERS]:
        case []:
            return receiver
        case [coding] if coding in _CODINGS:
            return _Inflating(receiver)
        case unknown:
            name = ", ".join(unknown)[:40]
            raise TransportError("cut-stream", f"the response is encoded as {name!r}: unreadable")


class _Inflating:
    """Takes compressed bytes and hands on what they mean."""

    def __init__(self, receiver: "Receiver") -> None:
        self._receiver = receiver
        self._zlib: Any = zlib.decompressobj(_ZLIB_OR_GZIP)
        self._start: bytes | None = b""
        """What came before anything could be read."""
        self._plain: bool | None = None
        """Whether it is not compressed at all; None before anything has come."""
        self._ended = False
        """Whether what the header names has come to its end once."""

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self._receiver.begin(status, headers)

    def feed(self, data: bytes) -> bool:
        if self._plain is None and data:
            # Proxies inflate, and leave the header as it was.
            self._plain = data.startswith(_PLAIN)
        if self._plain:
            return self._receiver.feed(data)
        has_room = True
        while data:
            try:
                piece = self._zlib.decompress(data, _PIECE)
            except zlib.error as exc:
                if self._ended:
                    break  # padding behind the end
                if self._start is None:
                    raise TransportError("cut-stream", f"the response's encoding: {exc}") from exc
                # Deflate without zlib's header, which some servers mean by the name.
                data, self._start = self._start + data, None
                self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
                continue
            if piece:
                self._start = None
                has_room = self._receiver.feed(piece)
            elif self._start is not None:
                self._start += data
            data = self._zlib.unconsumed_tail
            if self._zlib.eof:
                data = self._zlib.unused_data  # gzip's next member
                self._ended = True
                self._zlib = zlib.decompressobj(_ZLIB_OR_GZIP)
        return has_room

    async def room(self) -> None:
        await self._receiver.room()
