"""The messages of a run, a page at a time: a fold of its log that begins anew at any step's end.

Nothing is remembered between two pages, and no more is held than a page and the step that ends it.
"""

from typing import Final

import msgspec

from .._errors import LogDamaged
from .._events import RunError, RunFinish, StepFinish
from .._log.log import PAGE_BYTES
from .._log.store import Store
from .._messages import AnyMessage
from .kept import without_provider
from .private import said_before
from .transcript import Transcript

_ENTRIES: Final = 1024

_BEGUN: Final = 1
"""The offset of `run-start`, behind which the first step begins."""


class MessagePage(msgspec.Struct, frozen=True):
    """A piece of what was said in a run, and before it."""

    messages: tuple[AnyMessage, ...]
    next: int | None
    """What to pass as `after` for the next page; None where nothing more was said so far."""


async def read_messages(store: Store, run_id: str, after: int) -> MessagePage:
    """Read the messages of the steps behind the offset `after`, which is the end of one.

    A checkpoint. A page ends behind the step in which it gets more than `PAGE_BYTES` of log; what
    was said before the run counts, too. At 0 the run begins.

    Raises:
        ValueError: it is no offset.
        UnknownRun, CursorExpired: there is no such run, or no more.
        LogDamaged: it can't be read.
        StoreUnavailable: the store can't be read now.
    """
    if after < 0:
        raise ValueError("after is 0, or what the page before says")
    transcript = Transcript()
    size = 0
    if after == 0:
        said = await said_before(store, run_id, files=False)
        transcript = Transcript([without_provider(message) for message in said])
        size = len(msgspec.json.encode(transcript.messages))
        if size > PAGE_BYTES:
            return MessagePage(transcript.messages, _BEGUN)
    read = after
    while entries := (await store.read(run_id, read, _ENTRIES)).entries:
        for entry in entries:
            if not entry.readable:
                raise LogDamaged(f"the log of run {run_id!r} is damaged")
            size += len(entry.data)
            if entry.event is None:
                continue
            transcript.add(entry.event)
            if isinstance(entry.event, StepFinish) and size > PAGE_BYTES:
                return MessagePage(transcript.messages, entry.offset)
            if isinstance(entry.event, RunFinish | RunError):
                return MessagePage(transcript.messages, None)
        read = entries[-1].offset
    return MessagePage(transcript.messages, None)
