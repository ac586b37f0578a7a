"""What people are told beside the results: saying something never stops doing something.

A reader that is gone, a pipe that is full or a terminal that is stopped loses text; it neither
ends nor blocks anything.
"""

import io
import os
import select
import sys
from contextlib import suppress
from typing import Final, TextIO

from ._text import printable

_PIECE: Final = 512
"""Bytes that a pipe which has any room has room for (`PIPE_BUF` of POSIX, at least)."""


def say(text: str) -> None:
    """Say it on standard error, in a line of its own."""
    put(f"{printable(text)}\n")


def announce(text: str) -> None:
    """Say it on standard output, which is for programs."""
    _write(sys.stdout, f"{text}\n")


def put(text: str) -> None:
    """Write text of ours to standard error as it is."""
    _write(sys.stderr, text)


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:  # it was closed before this process began
        return
    with suppress(OSError, ValueError):
        try:
            number = stream.fileno()
        except OSError:  # no file of the system: nobody has to read it
            stream.write(text)
            return
        # Not through the stream, which keeps what it can't write, and fails again at the end.
        data = text.encode(stream.encoding, "backslashreplace")
        for at in range(0, len(data), _PIECE):
            if not _has_room(number):
                return
            os.write(number, data[at : at + _PIECE])


def _has_room(number: int) -> bool:
    if not hasattr(select, "poll"):
        return True  # elsewhere it is known of sockets only
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
