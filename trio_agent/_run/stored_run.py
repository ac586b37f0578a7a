"""A run whose worker is elsewhere, or gone: what the store knows of it."""

from collections.abc import Callable
from typing import Any, Final

import attrs
import msgspec
import trio

from .._errors import LogDamaged, RunFailed, UnknownBlob
from .._events import AnyEvent, Nested, RunError, RunFinish, RunWaiting, ToolResult
from .._log.feed import Feed
from .._log.log import Entry
from .._log.run_info import RunRecord
from .._log.store import Store
from .._output.shape import Shape
from .postbox import Postbox
from .private import said_before
from .replay import replay
from .result import Result, result_of
from .run import Receipt, Run, RunStatus, outcome_of
from .turns import history_left

_PAGE: Final = 1024
_UNKNOWN: Final = b'"status":"unknown"'


class StoredRun(Run[Any]):
    """A run as the store tells it.

    Args:
        record: what never changes of it.
        feed: grows while somebody uses it.
        store: where its log is.
        postbox: takes what it is told.
        request_cancel: asks its worker to cancel it, soon.
        last: its terminal event, if it had one when it was looked up.
        parked: whether it slept then.
        shape: what its answer is to be, where that is known.
    """

    def __init__(
        self,
        record: RunRecord,
        feed: Feed,
        store: Store,
        postbox: Postbox,
        request_cancel: Callable[[str, str], None],
        *,
        last: Entry | None = None,
        parked: bool = False,
        shape: Shape[Any] | None = None,
    ) -> None:
        super().__init__(record, feed, store, postbox)
        self._record = record
        self._ask_worker = request_cancel
        self._shape = shape
        self._parked_at = feed.tail if parked else -1
        self._terminal: RunFinish | RunError | None = None
        if last is not None:
            self._terminal = _terminal(last.event)

    @property
    def status(self) -> RunStatus:
        self._take_terminal()
        if self._terminal is not None:
            return outcome_of(self._terminal)
        asleep = self._feed.tail == self._parked_at or any(
            entry.readable and isinstance(entry.event, RunWaiting)
            for entry in self._feed.recent(self._feed.tail - 1)
        )
        return "waiting" if asleep else "active"

    async def wait(self) -> Result[Any]:
        terminal = await self._wait_closed()
        try:
            said = await said_before(self._store, self.id)
            before = await history_left(self._store, self._record)
            transcript, _ = await replay(self._store, self.id, (*before, *said))
        except (LogDamaged, UnknownBlob):  # a file that is lost is a damage, too
            if isinstance(terminal, RunError):
                raise RunFailed(terminal.error.code, terminal.error.message) from None
            raise
        result = self._shaped(result_of(self.id, terminal, transcript))
        if isinstance(terminal, RunError):
            raise RunFailed(terminal.error.code, terminal.error.message, result)
        return result

    def _shaped(self, result: Result[Any]) -> Result[Any]:
        if self._shape is None or result.finish_reason != "stop":
            return result
        text = msgspec.json.encode(result.output).decode()
        return attrs.evolve(result, output=self._shape.parse(text, unwrapped=True))

    def _request_cancel(self, reason: str) -> None:
        if self._terminal is None:
            self._ask_worker(self.id, reason)

    async def _wait_gone(self) -> Receipt:
        terminal = await self._wait_closed()
        return Receipt(outcome_of(terminal), self._feed.tail, await self._unknown_calls())

    async def _unknown_calls(self) -> tuple[str, ...]:
        """Return the calls whose outcome is unknown, at whatever depth: the log says so."""
        found: list[str] = []
        tail = 0
        while entries := (await self._store.read(self.id, tail, _PAGE)).entries:
            for entry in entries:
                if _UNKNOWN in entry.data and entry.readable:
                    found += _unknown(entry.event)
            tail = entries[-1].offset
        return tuple(found)

    async def _wait_closed(self) -> RunFinish | RunError:
        await trio.lowlevel.checkpoint()
        with self._feed.hold():
            while not self._feed.ended:
                await self._feed.changed()
        if self._feed.failure is not None:
            raise self._feed.failure
        self._take_terminal()
        if self._terminal is None:
            page = await self._store.read(self.id, self._feed.tail - 1, 1)
            self._terminal = _terminal(page.entries[0].event)
        return self._terminal

    def _take_terminal(self) -> None:
        if self._terminal is None and self._feed.closed:
            for entry in self._feed.recent(self._feed.tail - 1):
                self._terminal = _terminal(entry.event)


def _unknown(event: AnyEvent | None) -> tuple[str, ...]:
    match event:
        case Nested():
            return _unknown(event.event)
        case ToolResult(tool=outcome) if outcome.status == "unknown":
            return (outcome.id,)
    return ()


def _terminal(event: object) -> RunFinish | RunError:
    assert isinstance(event, RunFinish | RunError)
    return event
