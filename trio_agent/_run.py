"""One execution of an agent: an id, a cancel scope, a log, exactly one outcome."""

import contextvars
import math
from typing import Final, Literal, TypeAlias

import attrs
import trio

from ._cursor import Cursor
from ._errors import FenceLost, RunFailed, StoreUnavailable
from ._events import FinishReason, RunError, RunFinish
from ._feed import Feed
from ._limits import CancelAfter, OnDisconnect
from ._machine import Result
from ._store import Store
from ._subscription import Subscription, resolve_cursor

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


class Run:
    """A run that lives in a runtime of this process. `Runtime.start` makes it."""

    def __init__(
        self, agent: str, feed: Feed, store: Store, *, on_disconnect: OnDisconnect
    ) -> None:
        self.id = feed.run_id
        self.agent = agent
        self.feed = feed
        self.cancel_scope = trio.CancelScope()
        self.viewer_scope = trio.CancelScope()
        """Cancelled by its deadline when nobody has watched for long enough."""
        self.cancel_reason: str | None = None
        self.abandoned: list[str] = []
        self._store = store
        self._on_disconnect = on_disconnect
        self._watched = False
        self._done = trio.Event()
        self._terminal: RunFinish | RunError | None = None
        self._result: Result | None = None
        self._failure: StoreUnavailable | FenceLost | None = None
        feed.on_viewers = self._viewers_changed
        if isinstance(on_disconnect, CancelAfter):
            self.viewer_scope.deadline = trio.current_time() + on_disconnect.seconds

    @property
    def done(self) -> bool:
        """Whether everything of the run is gone."""
        return self._done.is_set()

    @property
    def status(self) -> Literal["active"] | RunOutcome:
        """How it ended, or `active`."""
        if self._terminal is None:
            return "active"
        return _outcome(self._terminal)

    @property
    def cursor(self) -> Cursor:
        """The end of the log as it is now."""
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

    async def wait(self) -> Result:
        """Wait until everything of the run is gone, then return what came of it. A checkpoint.

        Cancelling the wait does not cancel the run.

        Raises:
            RunFailed: the run ended with `error`.
            RuntimeError: called from inside this run, which would wait for itself.
            StoreUnavailable: the store did not take the terminal event.
            FenceLost: another worker took the run over.
        """
        self._check_outside()
        await self._done.wait()
        terminal = self._closing()
        if isinstance(terminal, RunError):
            raise RunFailed(terminal.error.code, terminal.error.message)
        assert self._result is not None
        return self._result

    def request_cancel(self, reason: str = "requested") -> None:
        """Ask the run to end, without waiting. The first reason wins; again, it does nothing."""
        if self.cancel_reason is None and not self.feed.closed:
            self.cancel_reason = reason
            self.cancel_scope.cancel(reason=reason)

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
        await self._done.wait()
        return Receipt(_outcome(self._closing()), self.feed.tail, tuple(self.abandoned))

    def statistics(self) -> RunStatistics:
        """Tell how the run stands."""
        return RunStatistics(self.feed.tail, self.feed.viewers)

    def settle(
        self,
        terminal: RunFinish | RunError,
        result: Result | None,
        failure: StoreUnavailable | FenceLost | None,
    ) -> None:
        """Hear that everything is gone."""
        self._terminal = terminal
        self._result = result
        self._failure = failure
        self.feed.on_viewers = None
        self._done.set()

    def _check_outside(self) -> None:
        if current_run.get() is self:
            raise RuntimeError("a run can't wait for its own end: use request_cancel() in a tool")

    def _closing(self) -> RunFinish | RunError:
        if self._failure is not None:
            raise type(self._failure)(*self._failure.args) from self._failure
        assert self._terminal is not None
        return self._terminal

    def _viewers_changed(self) -> None:
        if self.feed.viewers:
            self._watched = True
            self.viewer_scope.deadline = math.inf
        elif self.feed.failure is not None:
            pass  # They did not leave: they were told that the log can't be continued.
        elif isinstance(self._on_disconnect, CancelAfter):
            self.viewer_scope.deadline = trio.current_time() + self._on_disconnect.seconds
        elif self._on_disconnect == "cancel" and self._watched:
            self.request_cancel("nobody watches")


def _outcome(terminal: RunFinish | RunError) -> RunOutcome:
    return "error" if isinstance(terminal, RunError) else terminal.run.finish_reason
