"""When runs finished: Unix time that nobody can set forward or back while the process lives.

A clock that is set forward by a day would make every finished run a day old, and retention would
remove them all. Files outlive processes, so that from one to the next only the machine's clock can
be asked, and believed.
"""

import time
from typing import Final


def _elapsed() -> float:
    # Where it can be had, time that passes while the machine sleeps, too.
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


_BEGINNING: Final = time.time() - _elapsed()


def now() -> float:
    """Return the Unix time, in seconds, as it passed since the process began."""
    return _BEGINNING + _elapsed()
