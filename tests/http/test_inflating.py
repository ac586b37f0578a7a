"""Compressed responses: each coding, cut anywhere, and what can't be read."""

import gzip
import zlib

import pytest

from trio_agent._http.errors import TransportError
from trio_agent._http.inflating import inflating
from trio_agent._http.response import Response

TEXT = b"data: one\n\n" * 50


def raw(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


async def inflate(coding: str, data: bytes, size: int) -> bytes:
    response = Response()
    receiver = inflating(response, {"content-encoding": coding})
    receiver.begin(200, {})
    assert await response.head() == (200, {})
    for start in range(0, len(data), size):
        receiver.feed(data[start : start + size])
    response.end(None)
    return await response.receive()


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", gzip.compress(TEXT, mtime=0)),
        ("GZip, identity", gzip.compress(TEXT, mtime=0)),
        ("x-gzip", gzip.compress(TEXT[:40], mtime=0) + gzip.compress(TEXT[40:], mtime=0)),
        ("gzip", gzip.compress(TEXT, mtime=0) + bytes(8)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw(TEXT)),
    ],
)
async def test_what_was_compressed_is_read(coding: str, data: bytes, size: int) -> None:
    assert await inflate(coding, data, size) == TEXT


async def test_what_has_come_is_handed_on_at_once() -> None:
    response = Response()
    receiver = inflating(response, {"content-encoding": "gzip"})
    deflate = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    for piece in (b"one", b"two"):
        receiver.feed(deflate.compress(piece) + deflate.flush(zlib.Z_SYNC_FLUSH))
        assert await response.receive() == piece


async def test_a_small_response_does_not_become_a_large_piece() -> None:
    class Pieces(Response):
        def feed(self, data: bytes) -> bool:
            sizes.append(len(data))
            return super().feed(data)

    sizes: list[int] = []
    response = Pieces()
    receiver = inflating(response, {"content-encoding": "gzip"})
    assert not receiver.feed(gzip.compress(bytes(1 << 20)))
    assert (sum(sizes), max(sizes)) == (1 << 20, 1 << 16)
    await response.receive()
    await receiver.room()


@pytest.mark.parametrize("coding", ["utf-8", "none", "chunked", "gzip"])
async def test_what_says_so_and_is_not_compressed(coding: str) -> None:
    response = Response()
    receiver = inflating(response, {"content-encoding": coding})
    receiver.begin(200, {})
    for piece in (b"data: one\n", b"\n"):
        assert receiver.feed(piece)
    assert await response.receive() == b"data: one\n\n"


@pytest.mark.parametrize("coding", ["", "identity", " Identity "])
async def test_what_was_not_compressed_is_left_alone(coding: str) -> None:
    response = Response()
    assert inflating(response, {"content-encoding": coding}) is response
    assert inflating(response, {}) is response


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, deflate"])
async def test_what_can_not_be_read_is_said(coding: str) -> None:
    with pytest.raises(TransportError, match=f"encoded as '{coding}'"):
        inflating(Response(), {"content-encoding": coding})


async def test_what_is_broken_is_said() -> None:
    receiver = inflating(Response(), {"content-encoding": "gzip"})
    with pytest.raises(TransportError, match="cut-stream: the response's encoding: "):
        receiver.feed(b"\x00no\n\n")
    receiver = inflating(Response(), {"content-encoding": "gzip"})
    data = gzip.compress(TEXT, mtime=0)
    receiver.feed(data[:30])
    with pytest.raises(TransportError, match="encoding"):
        receiver.feed(b"\xff" * 30)
