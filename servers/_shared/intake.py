"""Memory for what clients send: large requests share some that is bounded.

Rules: who sends little is never kept waiting by those who send much, so that the first bytes of a
request are not counted. Who finds no room left is refused at once, and can come again.
"""

from typing import Final

FREE: Final = 64 << 10
"""Bytes of a request that need no room."""

LARGEST_AT_ONCE: Final = 16
"""Requests of the largest size for which there is room."""


class Intake:
    """The room of a server.

    Args:
        max_bytes: of all requests together that are being received, or wait for their turn.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.taken = 0
        """Bytes of it that are in use."""


class Share:
    """What one client has of it. Always `clear` it in the end.

    Args:
        intake: the room.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.size = 0
        """Bytes that are counted, those that need no room, too."""

    def grow(self, size: int) -> bool:
        """Count so many more bytes; False, and nothing is counted, if there is no room."""
        more = _needed(self.size + size) - _needed(self.size)
        if more and self._intake.taken + more > self._intake.max_bytes:
            return False
        self._intake.taken += more
        self.size += size
        return True

    def shrink(self, size: int) -> None:
        """Count so many bytes less."""
        self._intake.taken -= _needed(self.size) - _needed(self.size - size)
        self.size -= size

    def clear(self) -> None:
        """Count nothing any more."""
        self.shrink(self.size)


def _needed(size: int) -> int:
    return max(0, size - FREE)
