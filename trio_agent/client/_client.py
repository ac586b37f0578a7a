"""What a server is asked, whatever the wire.

A start is asked for with a key, and so is what a run is told, so that one whose answer was lost can
be asked for again: it is the same. No wait for an answer is without a deadline.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import msgspec
import trio

from .._content import Content
from .._errors import RunFailed, TrioAgentError
from .._http.words import clean
from .._limits import OnDisconnect
from .._log.cursor import Cursor
from .._messages import AnyMessage
from .._nursery import open_plain_nursery
from .._run.branch import OnBusy
from .._run.listed import RunPage
from .._run.result import Result
from .._run.run import Receipt
from .._run.thread_page import Thread, ThreadPage, TurnPage
from ..tools._client_tool import ClientTool
from ._asking import ANSWER_SECONDS, ask, ask_again
from ._http import MAX_BLOB
from ._refusal import ServerError
from ._remote import Told, Wire
from ._subscription import RemoteSubscription
from ._wishes import SLOWEST, answer_of, seconds_for, wishes_of

MAX_TRANSCRIPT: Final = 64 << 20
"""Bytes of the JSON of all messages of a run, or of a page of a thread; more are not received."""

_BLOB_SECONDS: Final = ANSWER_SECONDS + MAX_BLOB / SLOWEST

_PENDING: Final = 1.0
"""Seconds until what is not taken yet is asked for again, in case a server says so at once."""

_UNDER_WAY: Final = ("active", "waiting")


@attrs.frozen(eq=False)
class Client:
    """Talks to one server. Made by `open_client`."""

    _wire: Wire
    _patience: float

    async def start(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[AnyMessage] = (),
        agent: str | None = None,
        thread: str | None = None,
        after: str | None = None,
        on_busy: OnBusy = "reject",
        on_disconnect: OnDisconnect | None = None,
        options: Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
        client_tools: Iterable[ClientTool | Mapping[str, Any]] = (),
        retractable: bool = True,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Start a run and return its id. A checkpoint.

        Arguments as for `Runtime.start`; `agent` is the name of one of the server's, and `options`
        and `limits` are those that it allows: limits by their names, lower than its own. If you
        show text that you can't take back (`StepDiscard`), say ``retractable=False``. Without an
        `idempotency_key` one is made up. Files go with their data; where they are an earlier
        run's (`File.blob`), with its name only. `AssistantMessage.provider` is left out, because
        servers take it from nobody. If the connection breaks before the answer has come, the
        same is asked for again, with the same key, until there was no connection for `patience`
        seconds: no second run is started.

        Raises:
            ValueError: there is no such limit.
            ThreadBusy: a run is active in the thread; if that was to be cancelled, it is not gone
                after half a minute.
            CursorExpired: what was said before in the thread is damaged: see `after`.
            KeyReused: the key belongs to a run that was asked for with other words.
            LimitExceeded: the server has as many runs as it may have, or is shutting down.
            StoreUnavailable: the server, its store or a proxy has a problem that may pass.
            ServerError: the server refused, or its answer can't be understood; `too-large` if that
                is the files, or what was said before in the thread.
            TransportError: the server could not be reached; with the code `cut-stream`, whether a
                run was started is unknown, unless you try again with the same key.
        """
        wishes = wishes_of(
            prompt=prompt,
            messages=messages,
            agent=agent,
            thread=thread,
            after=after,
            on_busy=on_busy,
            on_disconnect=on_disconnect,
            options=options,
            limits=limits,
            client_tools=client_tools,
            retractable=retractable,
            metadata=metadata,
        )
        key = secrets.token_hex(16) if idempotency_key is None else idempotency_key
        return await ask_again(
            lambda: self._wire.start(wishes, key), self._patience, seconds_for(messages)
        )

    @asynccontextmanager
    async def subscribe(
        self, run_id: str, *, after: Cursor | str = ""
    ) -> AsyncIterator[RemoteSubscription]:
        """Follow a run behind a cursor, by default from its start.

        Errors come out of `receive`, when everything before them was received.
        """
        subscription = RemoteSubscription(str(after))
        async with open_plain_nursery() as nursery:
            nursery.start_soon(subscription.follow, self._wire, run_id, self._patience)
            yield subscription
            nursery.cancel_scope.cancel(reason="the subscription was left")

    async def answer(
        self,
        run_id: str,
        call_id: str,
        *,
        approved: bool | None = None,
        output: Any = msgspec.UNSET,
        reason: str | None = None,
        arguments: Any = msgspec.UNSET,
    ) -> None:
        """Answer a call of a run that waits, and wait until that is in the log. A checkpoint.

        As `Run.answer`; who answers is for the server to know. If the connection breaks before it
        has said that the answer is there, it is given again, until there was no connection for
        `patience` seconds.

        Args:
            run_id: the run.
            call_id: which call (`ToolAsked.tool`).
            approved: whether the call is to be made. Of a call that wants its result, False says
                that there will be none.
            output: the result, JSON, of a call that wants one.
            reason: why; the model reads it if the call is not made.
            arguments: those that were shown to who answers, to be compared with the call's.

        Raises:
            AnswerRefused: no such call waits, it was answered already, or its arguments are others.
            RunOver: the run has ended; if the connection was lost before, perhaps by this answer.
            ValueError: an answer is missing, or is no answer to what was asked.
            As `cancel`; TransportError `cut-stream` if it is unknown whether it was taken.
        """
        said = answer_of(
            call_id, approved=approved, output=output, reason=reason, arguments=arguments
        )
        await self._tell(lambda: self._wire.answer(run_id, said))

    async def say(self, run_id: str, content: Content, *, key: str | None = None) -> None:
        """Tell a run something while it is under way, and wait until it has taken it.

        A checkpoint. As `Run.say`: the model reads it before its next step, so that this may take
        as long as the model speaks. Without a `key` one is made up; if the connection breaks
        before the server has said that it was taken, it is said again with the same key, and so is
        there once. That goes on until there was no connection for `patience` seconds.

        Args:
            run_id: the run.
            content: what the user says: a text, or texts and files by their URLs.
            key: with the same key, the same is said once.

        Raises:
            RunOver: the run has ended; if the connection was lost before, perhaps behind this.
            AnswerRefused: something else was said with this key.
            ValueError: there is nothing in it, or a file is none.
            As `cancel`; TransportError `cut-stream` if it is unknown whether it was taken.
        """
        key = secrets.token_hex(16) if key is None else key
        await self._tell(lambda: self._wire.say(run_id, {"content": content}, key))

    async def cancel(self, run_id: str) -> Receipt | None:
        """Cancel a run and return the receipt; None if it is not gone after half a minute.

        A checkpoint. Cancelling the wait does not undo the request.

        Raises:
            UnknownRun: the server has no such run.
            CursorExpired: the run is no longer kept.
            LimitExceeded: the server, or a proxy, is asked for too much.
            StoreUnavailable: the server, its store or a proxy has a problem that may pass.
            ServerError: the server refused, or its answer can't be understood.
            TransportError: the server could not be reached.
        """
        return await ask(self._wire.cancel(run_id))

    async def info(self, run_id: str) -> dict[str, Any]:
        """Return what the server tells of a run, as JSON. A checkpoint.

        Raises:
            As `cancel`; ServerError `not-supported` over WebSocket, too.
        """
        return await ask(self._wire.info(run_id))

    async def result(self, run_id: str) -> Result | None:
        """Return what came of a run, as `Run.wait` tells it; None until it has ended. A checkpoint.

        Its messages are those that `messages` returns.

        Raises:
            RunFailed: the run ended with `error`. It has no `result`: ask for `messages`.
            As `messages`.
        """
        ended = await ask(self._wire.ended(run_id))
        if ended.status in _UNDER_WAY:
            return None
        if ended.error is not None:
            raise RunFailed(clean(ended.error.code), clean(ended.error.message))
        return Result(
            run_id,
            ended.text,
            ended.steps,
            ended.status,
            ended.usage,
            await self.messages(run_id),
            ended.reason,
            ended.text if ended.output is msgspec.UNSET else ended.output,
        )

    async def messages(self, run_id: str) -> tuple[AnyMessage, ...]:
        """Return what a run was given and what was said in it, so that another can go on from it.

        What was said before it in its thread, if it is a part of one, tells `thread_messages`.

        Of an active run, up to the last step that has ended. Files go by their names
        (`File.blob`); `blob` gets them. More than 64 MiB is not received. A checkpoint.

        Raises:
            As `cancel`; CursorExpired if the log is damaged, ServerError `not-supported` over
                WebSocket, too.
        """
        said: list[AnyMessage] = []
        after, room = 0, MAX_TRANSCRIPT
        while True:
            page, size = await ask(self._wire.messages(run_id, after, room))
            said += page.messages
            if page.next is None:
                return tuple(said)
            room -= size
            if page.next <= after or room <= 0:
                message = "the pages of messages have no end, or there is more than 64 MiB"
                raise ServerError(200, "bad-response", message)
            after = page.next

    async def runs(
        self, *, thread: str | None = None, before: str | None = None, limit: int = 50
    ) -> RunPage:
        """List the runs that you may see, newest first. A checkpoint.

        As `Runtime.runs`; a server does not tell the owners.

        Args:
            thread: only those of this thread of yours.
            before: the id of a run behind which the page begins; by default the newest is first.
            limit: runs of a page, 1 to 500.

        Raises:
            As `cancel`, about the run `before`; ServerError `not-supported` over WebSocket, too.
        """
        return await ask(self._wire.runs(before, limit, thread))

    async def delete(self, run_id: str) -> None:
        """Remove a finished run, and the files that it was given. A checkpoint.

        Raises:
            As `cancel`; ServerError `run-active` if it is, `not-supported` over WebSocket, too.
        """
        await ask(self._wire.delete(run_id))

    async def blob(self, run_id: str, digest: str) -> bytes:
        """Return a file that was given to a run. A checkpoint.

        One of more than 64 MiB is not received.

        Args:
            run_id: the run.
            digest: the SHA-256 of the file in hexadecimal digits.

        Raises:
            UnknownBlob: the run was given no such file.
            As `cancel`; ServerError `not-supported` over WebSocket, too.
        """
        return await ask(self._wire.blob(run_id, digest), _BLOB_SECONDS)

    async def thread(self, thread: str) -> Thread:
        """Tell how a thread of yours stands. A checkpoint.

        Args:
            thread: its name.

        Raises:
            UnknownThread: you have none with this name.
            As `cancel`; ServerError `not-supported` over WebSocket, too.
        """
        return await ask(self._wire.thread(thread))

    async def threads(self, *, before: str | None = None, limit: int = 50) -> ThreadPage:
        """List your threads, those first in which something happened last. A checkpoint.

        Args:
            before: where the page begins, as the page before it says (``page.next``).
            limit: threads of a page, 1 to 500.

        Raises:
            As `cancel`; ServerError `bad-request` if `before` is no such place, `not-supported`
                over WebSocket, too.
        """
        return await ask(self._wire.threads(before, limit))

    async def thread_messages(self, thread: str, *, last: str | None = None) -> TurnPage:
        """Return what was said in a thread of yours, the newest page first. A checkpoint.

        As `Runtime.thread_messages`. A page of more than 64 MiB is not received.

        Args:
            thread: its name.
            last: the run that has said the last of the page; by default the head.

        Raises:
            As `thread`; CursorExpired if what was said is damaged, ServerError `bad-request` if
                that run has said nothing in the thread.
        """
        return await ask(self._wire.thread_messages(thread, last, MAX_TRANSCRIPT))

    async def delete_thread(self, thread: str) -> None:
        """Remove a thread of yours, all that was said in it, and its runs. A checkpoint.

        Args:
            thread: its name.

        Raises:
            ThreadBusy: a run is active in it: cancel that first.
            As `thread`.
        """
        await ask(self._wire.delete_thread(thread))

    async def not_ready(self) -> str | None:
        """Return why the server can't start runs now, None if it can. A checkpoint.

        The reason is one printable line. Over WebSocket it is whether the server can be reached.
        """
        try:
            await ask(self._wire.check())
        except TrioAgentError as exc:
            return str(exc)
        return None

    async def _tell(self, request: Callable[[], Awaitable[Told]]) -> None:
        """Ask until it is in the log: a server says within half a minute that it is not yet."""
        while True:
            try:
                told = await ask_again(request, self._patience)
            except ServerError as exc:
                if exc.code == "bad-request":
                    raise ValueError(exc.message) from None
                raise
            if not told.pending:
                return
            await trio.sleep(_PENDING)
