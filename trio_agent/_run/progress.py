"""How far a call of a tool is, as its viewers see it.

A tool may say so from any thread and as often as it likes: it never waits, and what comes faster
than the store can take it is replaced by the latest. It is told only while half of the run's log
is free, so that progress ends no run, however many calls tell of theirs.
"""

from collections import deque
from typing import Any

import msgspec
import trio

from .._errors import FenceLost, StoreUnavailable
from .._events import ToolName, ToolProgress
from .._log.plain import plain_json
from .emit import now
from .nested import EventLog


class Progress:
    """The progress of one call. Made where the run lives.

    Args:
        tool: the call.
        log: where it is told.
        nursery: of the run; a task in it lives only while there is something to tell.
        least: bytes of the log that it leaves to what matters more.
    """

    def __init__(self, tool: ToolName, log: EventLog, nursery: trio.Nursery, *, least: int) -> None:
        self._tool = tool
        self._log = log
        self._nursery = nursery
        self._token = trio.lowlevel.current_trio_token()
        self._latest: deque[Any] = deque(maxlen=1)
        self._telling = False
        self._closed = False
        self._least = least

    def __call__(self, data: Any) -> None:
        """See `ToolContext.progress`."""
        self._latest.append(plain_json(data, "progress"))
        try:
            self._token.run_sync_soon(self._begin, idempotent=True)
        except trio.RunFinishedError:
            self._closed = True

    def close(self) -> None:
        """The call has its result: nothing is told any more."""
        self._closed = True

    def _begin(self) -> None:
        if not self._closed and not self._telling:
            self._telling = True
            self._nursery.start_soon(self._tell)

    async def _tell(self) -> None:
        try:
            await self._log.room()
        except (StoreUnavailable, FenceLost):
            return  # Whoever has to know is told where the run goes on.
        self._telling = False
        if not self._closed:
            self._tell_latest()

    def flush(self) -> None:
        """The call is about to have its result: tell the latest, unless the store is behind."""
        if self._log.has_room:
            self._tell_latest()

    def _tell_latest(self) -> None:
        if not self._latest:
            return
        event = ToolProgress(at=now(), tool=self._tool, data=self._latest.pop())
        if self._log.free - len(msgspec.json.encode(event)) >= self._least:
            self._log.append([event])
