"""What the operator is told, on standard error: saying something never stops doing something.

A reader that is gone, a pipe that is full or a terminal that is stopped loses text; it neither
ends nor blocks anything.
"""

import io
import select
import sys
from contextlib import suppress
from typing import Final

from ._text import printable

_PIECE: Final = 400
"""Characters that a pipe which has any room has room for, whatever their encoding."""


def say(text: str) -> None:
    """Say it in a line of its own."""
    put(f"{printable(text)}\n")


def put(text: str) -> None:
    """Write text of ours as it is."""
    if sys.stderr is None:  # it was closed before this process began
        return
    with suppress(OSError, ValueError):
        for at in range(0, len(text), _PIECE):
            if not _has_room():
                return
            sys.stderr.write(text[at : at + _PIECE])
            sys.stderr.flush()


def _has_room() -> bool:
    try:
        number = sys.stderr.fileno()
    except (OSError, ValueError):  # no file of the system: nobody has to read it
        return True
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    return bool(poll.poll(0))


class Stderr(io.TextIOBase):
    """Standard error as a file, for who wants one."""

    def isatty(self) -> bool:
        """Tell whether a person looks on."""
        return sys.stderr is not None and sys.stderr.isatty()

    def write(self, text: str, /) -> int:
        """Write it as it is."""
        put(text)
        return len(text)
