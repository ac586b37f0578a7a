"""One execution of an agent: an id, a cancel scope, a log, exactly one outcome."""

import contextvars
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Generic, Literal, TypeAlias

import attrs
import msgspec
import trio

from .._content import Content, Text
from .._events import FinishReason, RunError, RunFinish
from .._log.cursor import Cursor
from .._log.feed import Feed
from .._log.page import ViewerPages
from .._log.plain import check_text, plain_json
from .._log.run_info import RunRecord
from .._log.store import Store
from .._log.subscription import Subscription, resolve_cursor
from .._messages import UserMessage
from .._output.shape import OutT_co
from .files import checked, files_of
from .items import Answer, Said
from .postbox import Postbox
from .result import Result

RunOutcome: TypeAlias = FinishReason | Literal["error"]
"""How a run ended: its finish reason, or `error`."""

RunStatus: TypeAlias = Literal["active", "waiting"] | RunOutcome
"""How a run stands."""

_current_run: Final[contextvars.ContextVar["Run[Any] | None"]] = contextvars.ContextVar(
    "trio_agent_current_run", default=None
)


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


class Run(ABC, Generic[OutT_co]):
    """A run: one that lives here (`Runtime.start`), or one that the store knows of."""

    def __init__(self, record: RunRecord, feed: Feed, store: Store, postbox: Postbox) -> None:
        self.id: str = record.run_id
        """Names the run in every store, cursor and URL."""
        self.agent: str = record.agent
        """The agent's name."""
        self.owner: str | None = record.owner
        """The principal whose run it is, None where nobody is asked."""
        self.metadata: Mapping[str, Any] = record.metadata
        """What was given at the start."""
        self.thread: str | None = record.thread
        """The thread that it is a part of, if it is one."""
        self.first_token_at: float | None = None
        """When the model said its first word, in Trio's time; None if it has not yet, or if the
        run lives elsewhere."""
        self._feed = feed
        self._store = store
        self._postbox = postbox

    @property
    @abstractmethod
    def status(self) -> RunStatus:
        """How it ended, or `active`, or `waiting` if it sleeps until somebody answers."""

    @property
    def cursor(self) -> Cursor:
        """The end of the log as far as it is known here."""
        return Cursor(self.id, self._feed.epoch, self._feed.tail)

    @property
    def finished(self) -> bool:
        """Whether the log has its terminal event, as far as it is known here."""
        return self._feed.closed

    def resolve(self, after: Cursor | str | int) -> Cursor:
        """Return the cursor that a cursor's text or an offset means in this run's log.

        Raises:
            CursorInvalid: the text is no cursor, or the cursor of another run.
            CursorExpired: the cursor is from a lost log, or beyond the end.
        """
        return Cursor(self.id, self._feed.epoch, resolve_cursor(self._feed, after))

    def subscribe(self, *, after: Cursor | str | int = 0) -> Subscription:
        """Subscribe to the events behind a cursor (or an offset; 0: all of them).

        Use it as ``async with run.subscribe() as events``, or close it yourself: an open
        subscription counts as a viewer.

        Raises:
            As `resolve`.
        """
        offset = resolve_cursor(self._feed, after)
        return Subscription(self._feed, ViewerPages(self._store), offset)

    @abstractmethod
    async def wait(self) -> Result[OutT_co]:
        """Wait until everything of the run is gone, then return what came of it. A checkpoint.

        Cancelling the wait does not cancel the run. Waiting makes nobody a viewer.

        Raises:
            RunFailed: the run ended with `error`.
            RuntimeError: called from inside this run, which would wait for itself.
            StoreUnavailable: the store did not take, or can't tell, the terminal event.
            FenceLost: another worker took the run over.
        """

    async def answer(
        self,
        call_id: str,
        *,
        approved: bool | None = None,
        output: Any = msgspec.UNSET,
        reason: str | None = None,
        by: str | None = None,
        arguments: Any = msgspec.UNSET,
    ) -> None:
        """Answer a call that waits (`ToolAsked`), and wait until that is in the log. A checkpoint.

        The first answer counts, whoever gives it; the same again is none too many. Cancelling the
        wait does not undo it. The run goes on where its agent is known.

        Args:
            call_id: which.
            approved: whether the call is to be made. Of a call that wants its result, False says
                that there will be none.
            output: the result, JSON, of a call that wants one.
            reason: why; the model reads it if the call is not made.
            by: the principal who answers.
            arguments: those that were shown to them, to be compared with the call's.

        Raises:
            AnswerRefused: no such call waits, it was answered already, or its arguments are others.
            RunOver: the run has ended.
            ValueError: an answer is missing, or is no answer to what was asked.
            LimitExceeded: the run was told too much.
            StoreUnavailable: the store can't take it now.
        """
        if approved is None and output is msgspec.UNSET:
            raise ValueError("say approved=True or approved=False, or give the output of the call")
        if approved is False and output is not msgspec.UNSET:
            raise ValueError("a call that is not made has no output")
        if output is not msgspec.UNSET:
            output = plain_json(output, "the output")
        for what, text in (("the reason", reason), ("the principal", by)):
            check_text(text or "", what)
        answer = Answer(call_id, approved is not False, output, by, reason)
        await self._postbox.answer(self._feed, answer, arguments)

    async def say(self, content: Content, *, by: str | None = None, key: str | None = None) -> None:
        """Tell the run something while it is under way, and wait until it has taken it.

        A checkpoint. The model reads it before its next step, behind the results of tools.
        Cancelling the wait does not undo it.

        Args:
            content: what the user says: a text, or texts and files by their URLs.
            by: the principal who says it.
            key: with the same key, the same is said once.

        Raises:
            RunOver: the run has ended.
            AnswerRefused: something else was said with this key.
            ValueError: there is nothing in it, it is no text, or a file is none.
            LimitExceeded: the run was told too much.
            StoreUnavailable: the store can't take it now.
        """
        if not content:
            raise ValueError("say something")
        [said] = checked([UserMessage(content)])
        assert isinstance(said, UserMessage)
        parts = [Text(content)] if isinstance(content, str) else content
        text = "".join(part.text for part in parts if isinstance(part, Text))
        for what, each in (("the message", text), ("the principal", by), ("the key", key)):
            check_text(each or "", what)
        if any(file.url is None for file in files_of([said])):
            raise ValueError("files that are said while a run is under way go by their URLs")
        await self._postbox.say(self._feed, Said(said.content, by), key)

    def request_cancel(self, reason: str = "requested") -> None:
        """Ask the run to end, without waiting. The first reason wins; again, it does nothing.

        May be called from the thread of a sync tool, too.

        Raises:
            RuntimeError: called from a thread that Trio has not started.
        """
        if trio.lowlevel.in_trio_run():
            self._request_cancel(reason)
        else:
            trio.from_thread.run_sync(self._request_cancel, reason)

    @abstractmethod
    def _request_cancel(self, reason: str) -> None:
        """Do so, within Trio."""

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
        return await self._wait_gone()

    @abstractmethod
    async def _wait_gone(self) -> Receipt:
        """Wait until everything of the run is gone."""

    def statistics(self) -> RunStatistics:
        """Tell how the run stands."""
        return RunStatistics(self._feed.tail, self._feed.viewers)

    def _check_outside(self) -> None:
        if current_run() is self:
            raise RuntimeError("a run can't wait for its own end: use request_cancel() in a tool")


def outcome_of(terminal: RunFinish | RunError) -> RunOutcome:
    """Say how a run with this terminal event ended."""
    return "error" if isinstance(terminal, RunError) else terminal.run.finish_reason


def current_run() -> Run[Any] | None:
    """Return the run that this code is a part of, such as a tool's; None outside of all runs.

    Also in the threads of sync tools.
    """
    return _current_run.get()


@contextmanager
def entered(run: Run[Any]) -> Iterator[None]:
    """Make `run` the current one of this task, and of those that it starts, for a while."""
    token = _current_run.set(run)
    try:
        yield
    finally:
        _current_run.reset(token)
