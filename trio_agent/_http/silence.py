"""Noticing that nothing is heard any more."""

import trio


def later(deadline: float, seconds: float) -> float | None:
    """Return the deadline of a wait for `seconds` from now, None if `deadline` will do.

    Moving a deadline costs as much as a token, so it is moved by tenths of the wait: that ends up
    to a tenth later than said, and never earlier.
    """
    due = trio.current_time() + seconds
    latest = due + seconds / 10
    return None if due <= deadline <= latest else latest


class Silence:
    """A cancel scope that ends a wait when there was no sign of life for so many seconds.

    Its deadline is moved as `later` says.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.scope = trio.CancelScope(deadline=trio.current_time() + seconds)
        """Enter it around the wait."""

    def heard(self) -> None:
        """There was a sign of life: count from now."""
        deadline = later(self.scope.deadline, self._seconds)
        if deadline is not None:
            self.scope.deadline = deadline

    def pause(self) -> None:
        """Count no more until something is heard: nobody listens."""
        self.scope.deadline = float("inf")
