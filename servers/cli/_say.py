"""What a command tells its user beside its results.

Rule: saying something never stops doing something. Whoever should have read it may be gone or may
not read; then it is left out. Nothing here raises, and nothing waits. What strangers have said is
made safe for a terminal.
"""

import io
import logging
import os
import select
import sys
from contextlib import suppress
from typing import Final, TextIO

from ._text import printable

_PIECE: Final = 512
"""Bytes that a pipe which is ready takes without waiting (`PIPE_BUF` of POSIX, at least)."""


def say(text: str) -> None:
    """Write a line to standard error."""
    _write(sys.stderr, f"{printable(text)}\n")


def put(text: str) -> None:
    """Write text of ours to standard error as it is."""
    _write(sys.stderr, text)


def announce(text: str) -> None:
    """Write a line to standard output."""
    _write(sys.stdout, f"{printable(text)}\n")


class Stderr(io.TextIOBase):
    """Standard error as a file, for who wants one."""

    def isatty(self) -> bool:
        """Tell whether a person looks on."""
        return sys.stderr is not None and sys.stderr.isatty()

    def write(self, text: str, /) -> int:
        """Write it as it is."""
        put(text)
        return len(text)


class SayHandler(logging.Handler):
    """Says what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        try:
            say(self.format(record))
        except Exception:
            self.handleError(record)  # the caller has logged what can't be formatted


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:
        return
    with suppress(OSError, ValueError):
        try:
            number = stream.fileno()
        except (OSError, ValueError, AttributeError):
            # It is no file, but what a program or a test has put there.
            stream.write(text)
            stream.flush()
            return
        # Not through the stream: what it could not write, it would try again at the very end.
        rest = memoryview(text.encode(errors="backslashreplace"))
        while rest and _is_ready(number):
            rest = rest[os.write(number, rest[:_PIECE]) :]


def _is_ready(number: int) -> bool:
    if not hasattr(select, "poll"):
        return True  # elsewhere it is known of sockets only
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    return bool(poll.poll(0))
