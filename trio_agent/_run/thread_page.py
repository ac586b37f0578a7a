"""Threads as they stand in lists, and what was said in them, a page at a time.

A conversation is read as people look at it: the newest page first, and then what was said earlier.
"""

from typing import Final

import msgspec

from .._errors import CursorExpired, UnknownRun
from .._log.store import Store
from .._log.thread import ThreadCursor, ThreadInfo, Turn
from .._messages import AnyMessage, UserMessage
from .files import set_apart
from .kept import without_provider
from .turns import decode_turn, no_turn

_PAGE: Final = 100
"""Turns of a page at most."""

_DIGITS: Final = 18
"""Of a time at most: more than that, not every store can look for."""


class Thread(msgspec.Struct, frozen=True, rename="camel"):
    """A conversation, as it stands in a list."""

    thread: str
    """Its name."""
    head: str | None
    """The run whose turn is the newest: what the next run follows. None if there is none yet."""
    active: str | None
    """The run that is active in it, or waits, if one does."""
    turns: int
    """How many runs have added to it."""
    size: int
    """Bytes of what they have added."""
    updated_at: int
    """When a run in it last began or ended: Unix time in milliseconds."""


class ThreadPage(msgspec.Struct, frozen=True):
    """A piece of a list of threads, those first in which something happened last."""

    threads: tuple[Thread, ...]
    next: str | None
    """What to pass as `before` for the next page; None behind the last one, which is empty."""


class PageTurn(msgspec.Struct, frozen=True, rename="camel"):
    """Which of the messages of a page one run has added."""

    run_id: str
    follows: str | None
    """The run whose turn comes before it: what `after` is, for another answer to the same."""
    messages: int
    """How many of them: those of one turn come behind those of the turns before."""


class TurnPage(msgspec.Struct, frozen=True):
    """A piece of what was said in a thread."""

    messages: tuple[AnyMessage, ...]
    """The oldest first."""
    # In JSON it stands beside the `turns` of a thread, which are a number.
    turns: tuple[PageTurn, ...] = msgspec.field(name="pageTurns")
    """Who has added them, in the same order."""
    next: str | None
    """What to pass as `last` for what was said before it; None where nothing was."""


def shown(info: ThreadInfo) -> Thread:
    """Show what a store knows of a thread."""
    return Thread(info.thread, info.head, info.active, info.turns, info.size, info.updated_at)


def cursor_text(cursor: ThreadCursor) -> str:
    """Write a place in a list as text."""
    return f"{cursor.updated_at}.{cursor.thread}"


def read_cursor(text: str) -> ThreadCursor:
    """Read a place in a list.

    Raises:
        ValueError: it is none.
    """
    updated_at, dot, name = text.partition(".")
    digits = updated_at.isascii() and updated_at.isdecimal() and len(updated_at) <= _DIGITS
    if not (dot and name and digits):
        raise ValueError("before is what the page of threads before it says")
    return ThreadCursor(int(updated_at), name)


async def read_turns(store: Store, owner: str | None, thread: str, last: str | None) -> TurnPage:
    """Read a page of turns on the way to that of the run `last`, or to the head.

    A checkpoint. Files go by their names, and what providers want back is left out.

    Raises:
        ValueError: that run has no turn in the thread.
        UnknownThread: the owner has no such thread.
        CursorExpired: it was removed and begun anew in this moment, or its end is lost.
        LogDamaged: what was said can't be read.
        StoreUnavailable: the store can't be read now.
    """
    newest = (await store.thread(owner, thread)).head if last is None else last
    if newest is None:
        return TurnPage((), (), None)
    try:
        turns = await store.turns(owner, thread, newest, _PAGE)
    except UnknownRun:
        if last is not None:
            raise no_turn(thread, last) from None
        raise CursorExpired(f"the end of the thread {thread!r} is gone: look again") from None
    messages: list[AnyMessage] = []
    parts: list[PageTurn] = []
    for turn in reversed(turns):
        added = _shown(thread, turn)
        messages += added
        parts.append(PageTurn(turn.run_id, turn.follows, len(added)))
    return TurnPage(tuple(messages), tuple(parts), turns[-1].follows)


def _shown(thread: str, turn: Turn) -> list[AnyMessage]:
    return [without_provider(_named(message, turn.run_id)) for message in decode_turn(thread, turn)]


def _named(message: AnyMessage, run_id: str) -> AnyMessage:
    # What the user gave lies beside the run; what a tool returned does not.
    if not isinstance(message, UserMessage):
        return message
    [named], _ = set_apart([message], run_id)
    return named
