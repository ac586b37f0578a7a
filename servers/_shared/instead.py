"""Starting a run instead of the one that is active in its thread.

Rule: whoever starts it waits for the end of that one no longer than who cancels a run. If it does
not end, nothing is started; what was started in that very moment is found by its key.
"""

from contextlib import suppress
from typing import Literal, Protocol

import trio

from trio_agent import LimitExceeded, Run, Runtime, ThreadBusy, UnknownThread


class Begin(Protocol):
    """Starts the run, or finds it by its key."""

    async def __call__(self, *, on_busy: Literal["reject", "cancel"]) -> Run:
        """See `Runtime.start`."""


async def begin_instead(
    begin: Begin, runtime: Runtime, thread: str, owner: str | None, *, seconds: float
) -> Run:
    """Start a run when the one that is active in its thread was cancelled and is gone.

    A checkpoint. The other one is cancelled also if it is not gone in time.

    Raises:
        ThreadBusy: it is not, after so many seconds.
        As `Runtime.start`.
    """
    with trio.move_on_after(seconds):
        return await begin(on_busy="cancel")
    try:
        return await begin(on_busy="reject")
    except LimitExceeded as exc:
        refusal = exc
    # Perhaps the one that doesn't end has the last place.
    with suppress(UnknownThread):
        if (active := (await runtime.thread(thread, owner=owner)).active) is not None:
            raise ThreadBusy(thread, active)
    raise refusal
