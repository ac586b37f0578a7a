"""What happens often is logged seldom: the first time, then after a while, with a count."""

import logging
import math
from time import monotonic

logger = logging.getLogger("trio_agent.servers")


class Seldom:
    """Warns of one kind of event at most once in a while.

    Args:
        seconds: between two lines.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._not_before = -math.inf
        self._left_out = 0

    def warn(self, message: str, *args: object) -> None:
        """Log a warning, or count it."""
        now = monotonic()
        if now < self._not_before:
            self._left_out += 1
            return
        self._not_before = now + self._seconds
        if self._left_out:
            message += " (and %d times before)"
            args = (*args, self._left_out)
            self._left_out = 0
        logger.warning(message, *args)
