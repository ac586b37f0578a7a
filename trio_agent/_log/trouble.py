"""What goes wrong in tasks that serve everybody.

Such a task serves all runs of a runtime or a store, so that nothing that goes wrong in it, a bug
included, may end it: it tells its `Trouble`, and goes on after a while.
"""

import logging
import math
from typing import Final

import trio

from .._errors import StoreUnavailable

logger = logging.getLogger("trio_agent")

_QUIET: Final = 60.0
"""Seconds in which the same trouble is not logged again."""


class Trouble:
    """Logs one kind of trouble: at once, and while it lasts, once a minute.

    Args:
        what: what could not be done; with places, as in `logging`, for what `tell` is given.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._told: dict[type[Exception], float] = {}

    def tell(self, failure: Exception, *places: object) -> None:
        """Log why, with a traceback unless the store is to blame. For tasks of Trio."""
        kind, now = type(failure), trio.current_time()
        if now - self._told.get(kind, -math.inf) < _QUIET:
            return
        self._told[kind] = now
        if isinstance(failure, StoreUnavailable):
            logger.warning(f"{self._what}: %s", *places, failure)
        else:
            logger.error(f"{self._what}: a bug", *places, exc_info=failure)
