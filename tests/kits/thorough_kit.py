"""How much is tried of what is more of the same: some of it each time, all of it if one asks.

`THOROUGH=1` asks. What is always tried is enough to fail, and has all places where something begins
or ends.
"""

import os
from itertools import accumulate
from typing import Final

THOROUGH: Final = os.environ.get("THOROUGH", "") not in ("", "0")

STRIDE: Final = 13
"""Bytes between two places of a stream where nothing begins or ends: prime, as no size of ours."""


def rounds(some: int, *, thorough: int) -> int:
    """Return how often to do what chance, or repetition, is to find something in."""
    return thorough if THOROUGH else some


def ends_of_lines(raw: bytes) -> list[int]:
    """Return where the lines of a stream end, its chunks' among them."""
    return list(accumulate(map(len, raw.splitlines(keepends=True))))


def ends_of_frames(raw: bytes) -> list[int]:
    """Return where the frames of a WebSocket end that a server has sent, its handshake first."""
    ends = [raw.index(b"\r\n\r\n") + 4]
    while ends[-1] < len(raw):
        match raw[ends[-1] + 1]:
            case 127:
                begin, size = 10, int.from_bytes(raw[ends[-1] + 2 : ends[-1] + 10])
            case 126:
                begin, size = 4, int.from_bytes(raw[ends[-1] + 2 : ends[-1] + 4])
            case size:
                begin = 2
        ends.append(ends[-1] + begin + size)
    return ends


def places_to_cut(raw: bytes, ends: list[int]) -> list[int]:
    """Return how much of a stream of bytes is to be received, each time before it is cut.

    Args:
        raw: the whole stream.
        ends: where one part of it ends and the next one begins.
    """
    if THOROUGH:
        return list(range(len(raw) + 1))
    around = {end + by for end in ends for by in (-2, -1, 0, 1, 2)}
    within_characters = {place for place, byte in enumerate(raw) if byte >= 0x80}
    some = {*range(0, len(raw), STRIDE), len(raw)}
    return sorted(place for place in around | within_characters | some if 0 <= place <= len(raw))
