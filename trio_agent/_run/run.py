"""One execution of an agent: an id, a cancel scope, a log, exactly one outcome."""

import contextvars
from abc import ABC, abstractmethod
from typing import Final, Literal, TypeAlias

import attrs

from .._events import FinishReason, RunError, RunFinish
from .._log.cursor import Cursor
from .._log.feed import Feed
from .._log.store import Store
from .._log.subscription import Subscription, resolve_cursor
from .machine import Result

RunOutcome: TypeAlias = FinishReason | Literal["error"]
"""How a run ended: its finish reason, or `error`."""

current_run: Final[contextvars.ContextVar["Run | None"]] = contextvars.ContextVar(
    "trio_agent_current_run", default=None
)
"""The run that this code is a part of."""


@attrs.frozen
class Receipt:
    """Proof that a run is gone: its tasks, its tools and its sockets."""

    outcome: RunOutcome
    last_offset: int
    """The offset of the terminal event."""
    abandoned: tuple[str, ...] = ()
    """Ids of the tool calls whose threads were let go, so that their outcome is unknown."""


@attrs.frozen
class RunStatistics:
    """How a run stands."""

    tail: int
    """The offset of the last committed event."""
    viewers: int
    """Open subscriptions in this process."""


class Run(ABC):
    """A run: one that lives here (`Runtime.start`), or one that the store knows of."""

    def __init__(self, agent: str, feed: Feed, store: Store) -> None:
        self.id: str = feed.run_id
        self.agent: str = agent
        """The agent's name."""
        self.feed: Feed = feed
        self._store = store

    @property
    @abstractmethod
    def status(self) -> Literal["active"] | RunOutcome:
        """How it ended, or `active`."""

    @property
    def cursor(self) -> Cursor:
        """The end of the log as far as it is known here."""
        return Cursor(self.id, self.feed.epoch, self.feed.tail)

    def subscribe(self, *, after: Cursor | str | int = 0) -> Subscription:
        """Subscribe to the events behind a cursor (or an offset; 0: all of them).

        Use it as ``async with run.subscribe() as events``, or close it yourself: an open
        subscription counts as a viewer.

        Raises:
            CursorInvalid: the text is no cursor, or the cursor of another run.
            CursorExpired: the cursor is from a lost log, or beyond the end.
        """
        return Subscription(self.feed, self._store, resolve_cursor(self.feed, after))

    @abstractmethod
    async def wait(self) -> Result:
        """Wait until everything of the run is gone, then return what came of it. A checkpoint.

        Cancelling the wait does not cancel the run. Waiting makes nobody a viewer.

        Raises:
            RunFailed: the run ended with `error`.
            RuntimeError: called from inside this run, which would wait for itself.
            StoreUnavailable: the store did not take, or can't tell, the terminal event.
            FenceLost: another worker took the run over.
        """

    @abstractmethod
    def request_cancel(self, reason: str = "requested") -> None:
        """Ask the run to end, without waiting. The first reason wins; again, it does nothing."""

    async def cancel(self, reason: str = "requested") -> Receipt:
        """Cancel the run and wait until all that belongs to it is gone. A checkpoint.

        On a finished run it returns the receipt of how it ended. Cancelling the wait does not
        undo the request.

        Raises:
            RuntimeError: called from inside this run, which would wait for itself.
            StoreUnavailable: everything is gone, but the store did not take the terminal event.
            FenceLost: another worker took the run over.
        """
        self._check_outside()
        self.request_cancel(reason)
        return await self._gone()

    @abstractmethod
    async def _gone(self) -> Receipt:
        """Wait until everything of the run is gone."""

    def statistics(self) -> RunStatistics:
        """Tell how the run stands."""
        return RunStatistics(self.feed.tail, self.feed.viewers)

    def _check_outside(self) -> None:
        if current_run.get() is self:
            raise RuntimeError("a run can't wait for its own end: use request_cancel() in a tool")


def outcome_of(terminal: RunFinish | RunError) -> RunOutcome:
    """Say how a run with this terminal event ended."""
    return "error" if isinstance(terminal, RunError) else terminal.run.finish_reason
