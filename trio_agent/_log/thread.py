"""What a store knows of a thread: a conversation of one owner, run after run.

- What a run adds to its thread is one turn, kept once, beside the run: it stays when the run is
  removed, and a run that follows another copies nothing of it.
- Turns are a tree, for a run may follow any turn. The head is the newest, and what was said in a
  thread is the way from the first turn to it.
- One run at a time is active in a thread. A thread is there from its first run on, and stays if
  that adds a turn.
"""

from collections.abc import Iterable
from typing import NamedTuple

import attrs

from .fitting import first_fitting


class ThreadCursor(NamedTuple):
    """The place of a thread in a list of its owner's."""

    updated_at: int
    """`ThreadInfo.updated_at`."""
    thread: str
    """Its name."""


@attrs.frozen
class ThreadInfo:
    """A thread as the store knows it now."""

    thread: str
    """Its name, which is its owner's choice."""
    owner: str | None
    """Whose it is; None where nobody is asked."""
    head: str | None
    """The run whose turn is the newest; None if there is none yet."""
    active: str | None
    """The run that is active in it, if one is."""
    turns: int
    """How many there are, also beside the way to the head."""
    size: int
    """Bytes of them."""
    updated_at: int
    """When a run in it last began or ended: Unix time in milliseconds, by the store's clock."""

    @property
    def cursor(self) -> ThreadCursor:
        """Its place in a list."""
        return ThreadCursor(self.updated_at, self.thread)


@attrs.frozen
class Turn:
    """What one run has added to its thread."""

    run_id: str
    follows: str | None
    """The run whose turn comes before it."""
    data: bytes
    """JSON: the messages that the run was given, and those that came of it."""


def first_turns(turns: Iterable[Turn], limit: int) -> list[Turn]:
    """Return the first of these, as many as `Store.turns` returns at once."""
    return first_fitting(turns, lambda turn: len(turn.data), limit)
