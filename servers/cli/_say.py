"""What a command tells its user beside its results.

Rule: saying something never stops doing something. Whoever should have read it may be gone or may
not read; then it is left out. Nothing here raises, and nothing waits.
"""

import logging
import os
import select
import sys
from contextlib import suppress
from typing import Final, TextIO

_PIECE: Final = 512
"""Bytes that a pipe which is ready takes without waiting (`PIPE_BUF` of POSIX, at least)."""


def say(text: str) -> None:
    """Write a line to standard error."""
    _write(sys.stderr, text)


def announce(text: str) -> None:
    """Write a line to standard output."""
    _write(sys.stdout, text)


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
            stream.write(f"{text}\n")
            stream.flush()
            return
        # Not through the stream: what it could not write, it would try again at the very end.
        rest = memoryview(f"{text}\n".encode(errors="backslashreplace"))
        while rest and _is_ready(number):
            rest = rest[os.write(number, rest[:_PIECE]) :]


def _is_ready(number: int) -> bool:
    if not hasattr(select, "poll"):
        return True  # elsewhere it is known of sockets only
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    return bool(poll.poll(0))
