"""When to try again after a failure that may pass."""

import random
from typing import Final

import trio

from .._errors import TrioAgentError

_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 10.0
_LONGEST_WISH: Final = 30.0
"""Seconds of a server's `Retry-After` that are respected: it may not send us away for a year."""


class Backoff:
    """Waits longer each time, at once at first, and gives up in the end.

    Args:
        patience: seconds without a connection after which it gives up.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._delay = 0.0
        self._give_up_at: float | None = None

    def connected(self) -> None:
        """The server is there."""
        self._give_up_at = None

    def reset(self) -> None:
        """It goes on: the next loss is a new one."""
        self._delay = 0.0

    async def wait(self, failure: TrioAgentError, wish: float = 0.0) -> None:
        """Wait until it is time to try again, at least for the seconds that the server wishes.

        A checkpoint.

        Raises:
            TrioAgentError: that failure, because the server has been away for too long.
        """
        now = trio.current_time()
        if self._give_up_at is None:
            self._give_up_at = now + self._patience
        if now + self._delay > self._give_up_at:
            raise failure
        delay = self._delay * random.uniform(0.5, 1)  # noqa: S311
        self._delay = min(2 * self._delay, _LONGEST_DELAY) or _FIRST_DELAY
        await trio.sleep(max(delay, min(wish, _LONGEST_WISH)))
