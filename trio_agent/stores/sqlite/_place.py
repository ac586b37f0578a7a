"""Whether what is written into the open file is found again: at its path, on a disk with room.

A file that somebody removed or replaced can be written to for as long as it is open, and is lost
then. So is what stands in the write-ahead log beside it, if that was removed.
"""

import os
import shutil
import time
from pathlib import Path
from typing import Final

from ..._errors import StoreUnavailable

FULL: Final = "the disk is full"

_LOOK: Final = 1.0
"""Seconds between two looks."""

_SPARE: Final = 1 << 20
"""Free bytes on the disk below which it counts as full."""


class Place:
    """The place of a file that is open from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = self._at_path()
        self._look_at = 0.0

    def glance(self) -> None:
        """Look from time to time.

        Raises:
            StoreUnavailable: as `look`.
        """
        if time.monotonic() >= self._look_at:
            self.look()

    def look(self) -> None:
        """See whether the file is there.

        Raises:
            StoreUnavailable: it is not.
        """
        self._look_at = 0.0
        found = self._at_path()
        if any(old not in (None, new) for old, new in zip(self._files, found, strict=True)):
            raise StoreUnavailable("the file of the database was removed or replaced")
        self._look_at = time.monotonic() + _LOOK

    def look_for_room(self) -> None:
        """See whether something can be written.

        Raises:
            StoreUnavailable: the disk is full.
        """
        if shutil.disk_usage(self._path.parent).free < _SPARE:
            raise StoreUnavailable(FULL)

    def _at_path(self) -> list[tuple[int, int] | None]:
        return [_identity(self._path), _identity(f"{self._path}-wal")]


def _identity(path: Path | str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
