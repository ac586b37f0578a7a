"""Who is dead: a lock that ends with its holder, and the id of the machine's own life."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ..._errors import StoreUnavailable
from ..._file_lock import lock_file

_MODE: Final = 0o600
_LOOK: Final = 0.05
"""Seconds within which whoever only looks lets go of the lock again."""


@contextmanager
def serving(path: Path) -> Iterator[None]:
    """Be the only server of a file, which is made if there is none.

    Raises:
        StoreUnavailable: there is another server, or the file can't be made or locked.
    """
    if os.path.isdir(path):
        raise StoreUnavailable(f"{path} is a directory: give the path of a file in it")
    try:
        # The lock file is never removed: two servers could hold two files of one name.
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, _MODE)
    except OSError as exc:
        raise StoreUnavailable(f"{path} can't be opened: {exc.strerror}") from exc
    try:
        try:
            _lock_soon(lock)
        except BlockingIOError:
            raise StoreUnavailable(
                f"{path} is in use by another server: stop that one, use another file, "
                "or look on with SQLiteStore(path, follow=True)"
            ) from None
        except OSError as exc:
            raise StoreUnavailable(f"{path} can't be locked: {exc.strerror}") from exc
        # Only to make it: closing a file that this process has open elsewhere, too, would take
        # SQLite's own locks away.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _MODE))
        yield
    finally:
        os.close(lock)


def _lock_soon(lock: int) -> None:
    """Lock it, though somebody may be looking whether it is locked (`is_served`)."""
    try:
        lock_file(lock)
    except BlockingIOError:
        time.sleep(_LOOK)
        lock_file(lock)


def is_served(path: Path) -> bool:
    """Whether a file has a server, as far as can be told without disturbing one."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        lock_file(lock)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def boot_id() -> str:
    """Return what tells this life of the machine from its others; "" where nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        return ""
