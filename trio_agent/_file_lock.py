"""Locks on open files, which the system frees when their holder dies. POSIX only."""

import errno
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def lock_file(file: int | IO[Any]) -> None:
    """Lock a file, without waiting, until it is closed; two locks in one process exclude, too.

    Raises:
        BlockingIOError: somebody else has it.
        OSError: this system has no such locks, or this file can't be locked.
    """
    if fcntl is None:
        raise OSError(errno.ENOTSUP, "this system has no POSIX file locks")
    # Not `lockf`: such a lock doesn't keep two files of one process apart.
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
