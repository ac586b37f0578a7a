"""Where a subscription stands in the log of its run.

The next event is the one behind the last, of the same run and the same epoch. A server that says
anything else is not believed: who receives events has to be able to trust that none is missing,
repeated, or another run's.
"""

from .._errors import CursorInvalid
from .._http.words import clean
from .._log.cursor import Cursor
from ._refusal import ServerError


class Position:
    """Moves along a log, event by event.

    Args:
        run_id: whose log it is.
        after: the cursor to begin behind; none: at the start of the log.
    """

    def __init__(self, run_id: str, after: str) -> None:
        self._run_id = run_id
        self._offset = 0
        self._log = ""
        self._known = True
        """Whether the offset of the first event is."""
        if after not in ("", "0"):
            try:
                cursor = Cursor.parse(after)
            except CursorInvalid:
                self._known = False  # the server will say so
            else:
                self._log = f"{cursor.run_id}.{cursor.epoch}."
                self._offset = cursor.offset

    def move(self, cursor: str) -> None:
        """Move on to the event that stands there.

        Raises:
            ServerError: `bad-response`, it is not the next one.
        """
        if not self._log:
            self._begin(cursor)
        self._offset += 1
        if cursor != f"{self._log}{self._offset}":
            message = f"event {clean(cursor)!r} came where {self._log}{self._offset} had to"
            raise ServerError(0, "bad-response", message)

    def _begin(self, cursor: str) -> None:
        """Learn the epoch from the first event."""
        try:
            first = Cursor.parse(cursor)
        except CursorInvalid:
            first = Cursor(self._run_id, "?", 0)
        self._log = f"{self._run_id}.{first.epoch}."
        if not self._known:
            self._offset = first.offset - 1
