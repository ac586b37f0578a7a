"""How a command ends: with a status, and with one sentence if a person can do something about it.

- 0 and 1 are the command's own, 2 is for what could not be used, 130 for Ctrl-C.
- 141 is for a reader of standard output that has left, such as `head`: nothing is said, as by
  every program that SIGPIPE ends.
- What is left is a bug: it comes out with its traceback.
"""

import io
import os
import sys
from collections.abc import Callable
from typing import Final

import trio

from trio_agent import TrioAgentError

from ._say import say
from ._usage import UsageError

_INTERRUPTED: Final = 130
_NOBODY_READS: Final = 141

_OUTSIDE: Final = (UsageError, TrioAgentError, trio.BrokenResourceError, OSError, ImportError)
"""What the world does to us."""


def prepare_streams() -> None:
    """Make standard streams of those that are closed, and let no character be an error."""
    # A socket that gets the number of a stream would be written to.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def status_of(command: Callable[[], int]) -> int:
    """Do what the command does, and return the status of the process."""
    try:
        try:
            return command()
        finally:
            sys.stdout.flush()
    except (KeyboardInterrupt, Exception, BaseExceptionGroup) as exc:
        if _first(exc, KeyboardInterrupt) is not None:
            return _INTERRUPTED
        if _first(exc, BrokenPipeError) is not None:
            _forget_output()
            return _NOBODY_READS
        outside = _first(exc, _OUTSIDE)
        if outside is None:
            raise
        if isinstance(outside, OSError):
            _forget_output()  # it may be what failed
        say(f"trio-agent: error: {_sentence(outside)}")
        return 2


def _first(
    exc: BaseException, kinds: type[BaseException] | tuple[type[BaseException], ...]
) -> BaseException | None:
    """Find it, for nurseries group what is raised in several tasks, or beside their body."""
    found = exc.subgroup(kinds) if isinstance(exc, BaseExceptionGroup) else exc
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found if isinstance(found, kinds) else None


def _sentence(exc: BaseException) -> str:
    if isinstance(exc, OSError) and exc.strerror:
        return f"{exc.filename}: {exc.strerror}" if exc.filename else exc.strerror
    return str(exc) or type(exc).__name__


def _forget_output() -> None:
    """Let nobody try to write the rest when the process ends."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), number)
