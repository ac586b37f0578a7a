"""Noticing that nothing is heard any more."""

import trio


class Silence:
    """A cancel scope that ends a wait when there was no sign of life for so many seconds.

    Moving a deadline costs as much as a token, so it is moved by tenths of itself: the scope is
    cancelled up to a tenth later than said, and never earlier.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.scope = trio.CancelScope(deadline=trio.current_time() + seconds)
        """Enter it around the wait."""

    def heard(self) -> None:
        """There was a sign of life: count from now."""
        due = trio.current_time() + self._seconds
        if not due <= self.scope.deadline <= due + self._seconds / 10:
            self.scope.deadline = due + self._seconds / 10

    def pause(self) -> None:
        """Count no more until something is heard: nobody listens."""
        self.scope.deadline = float("inf")
