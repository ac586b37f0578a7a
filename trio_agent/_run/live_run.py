"""A run that lives in a runtime of this process."""

import math
from typing import Any

import trio

from .._errors import FenceLost, RunFailed, StoreUnavailable
from .._events import RunError, RunFinish
from .._limits import CancelAfter, OnDisconnect
from .._log.feed import Feed
from .._log.run_info import RunRecord
from .._log.store import Store
from .inbox import Inbox
from .postbox import Postbox
from .result import Result
from .run import Receipt, Run, RunStatus, outcome_of


class LiveRun(Run[Any]):
    """A run with its cancel scopes. What it does is its `Performer`'s business.

    When it goes to sleep, it is handed on: whoever holds it sees what becomes of it elsewhere.

    Args:
        record: what never changes of it.
        feed: what its log has.
        store: where its log is.
        postbox: takes what it is told.
        inbox: where that comes out.
        on_disconnect: what becomes of it when nobody watches.
        retractable: whether all who read it can take text back.
    """

    def __init__(
        self,
        record: RunRecord,
        feed: Feed,
        store: Store,
        postbox: Postbox,
        inbox: Inbox,
        *,
        on_disconnect: OnDisconnect,
        retractable: bool,
    ) -> None:
        super().__init__(record, feed, store, postbox)
        self.record: RunRecord = record
        self.inbox: Inbox = inbox
        self.retractable: bool = retractable
        self.cancel_scope: trio.CancelScope = trio.CancelScope()
        self.viewer_scope: trio.CancelScope = trio.CancelScope()
        """Cancelled by its deadline when nobody has watched for long enough."""
        self.cancel_reason: str | None = None
        self.abandoned: list[str] = []
        self.on_disconnect: OnDisconnect = on_disconnect
        """What becomes of it when nobody watches."""
        self.leaving: bool = False
        """Whether it is to go on elsewhere."""
        self._watched = False
        self.lost: bool = False
        """Whether another worker has taken it over."""
        self.viewers_elsewhere: int = 0
        """Subscriptions that follow it in other processes."""
        self._done = trio.Event()
        self._terminal: RunFinish | RunError | None = None
        self._result: Result[Any] | None = None
        self._failure: StoreUnavailable | FenceLost | None = None
        self._elsewhere: Run[Any] | None = None
        feed.on_use.append(self._viewers_changed)
        if isinstance(on_disconnect, CancelAfter):
            self.viewer_scope.deadline = trio.current_time() + on_disconnect.seconds
        if feed.viewers:  # They have watched it while it slept.
            self._viewers_changed(feed)

    @property
    def done(self) -> bool:
        """Whether everything of the run is gone."""
        return self._done.is_set()

    @property
    def status(self) -> RunStatus:
        if self._elsewhere is not None:
            return self._elsewhere.status
        # An end that the store does not have yet is known to nobody.
        if self._terminal is None or not self._feed.closed:
            return "active"
        return outcome_of(self._terminal)

    async def wait(self) -> Result[Any]:
        self._check_outside()
        await self._done.wait()
        if self._elsewhere is not None:
            return await self._elsewhere.wait()
        terminal = self._terminal_or_failure()
        if isinstance(terminal, RunError):
            raise RunFailed(terminal.error.code, terminal.error.message, self._result)
        assert self._result is not None
        return self._result

    def _request_cancel(self, reason: str) -> None:
        if self._elsewhere is not None:
            self._elsewhere.request_cancel(reason)
        elif self.cancel_reason is None and not self._feed.closed:
            self.cancel_reason = reason
            self.cancel_scope.cancel(reason=reason)

    async def _wait_gone(self) -> Receipt:
        await self._done.wait()
        if self._elsewhere is not None:
            return await self._elsewhere._wait_gone()  # noqa: SLF001 - it is what this was
        return Receipt(
            outcome_of(self._terminal_or_failure()), self._feed.tail, tuple(self.abandoned)
        )

    def end(
        self,
        terminal: RunFinish | RunError,
        result: Result[Any] | None,
        failure: StoreUnavailable | FenceLost | None,
    ) -> None:
        """Everything of the run is gone: those who wait for it go on."""
        self._terminal = terminal
        self._result = result
        self._failure = failure
        self._leave()

    def hand_on(self, run: Run[Any]) -> None:
        """It sleeps: whoever holds it goes on with `run`, which is the same one."""
        self._elsewhere = run
        if self.cancel_reason is not None:  # too late for its scope
            run.request_cancel(self.cancel_reason)
        self._leave()

    def leave(self) -> None:
        """It goes on elsewhere, and nobody here follows it."""
        self._failure = FenceLost(f"run {self.id} goes on elsewhere")
        self._leave()

    def _leave(self) -> None:
        self._done.set()
        # Who still reads the log needs nothing else of the run.
        self._feed.on_use.remove(self._viewers_changed)

    def _terminal_or_failure(self) -> RunFinish | RunError:
        # The store may have taken the end after all, later.
        if self._failure is not None and not self._feed.closed:
            raise type(self._failure)(*self._failure.args) from self._failure
        assert self._terminal is not None
        return self._terminal

    def speaks(self) -> None:
        """The model says its first word of a step."""
        if self.first_token_at is None:
            self.first_token_at: float | None = trio.current_time()

    def hand_over(self) -> None:
        """Stop what it does here, so that it goes on elsewhere."""
        self.leaving = True
        self.cancel_scope.cancel(reason="it goes on elsewhere")

    def stop_as_lost(self) -> None:
        """Another worker has taken it over: stop what it does here."""
        self.lost = True
        self.cancel_scope.cancel(reason="another worker has the run")

    def set_viewers_elsewhere(self, viewers: int) -> None:
        """So many subscriptions follow it in other processes."""
        if viewers != self.viewers_elsewhere:
            self.viewers_elsewhere = viewers
            self._viewers_changed(self._feed)

    def _viewers_changed(self, _: Feed) -> None:
        if self.done:
            return
        if self._feed.viewers or self.viewers_elsewhere:
            self._watched = True
            self.viewer_scope.deadline = math.inf
        elif self._feed.failure is not None:
            pass  # They did not leave: they were told that the log can't be continued.
        elif isinstance(self.on_disconnect, CancelAfter):
            self.viewer_scope.deadline = trio.current_time() + self.on_disconnect.seconds
        elif self.on_disconnect == "cancel" and self._watched:
            self.request_cancel("nobody watches")
