"""A subscription that survives lost connections.

A task of its own connects, and connects again; nobody else touches a connection. It hands over
what came in one go, and receives no more until that was taken.
"""

from collections import deque

import trio

from .._errors import TrioAgentError
from .._http import TransportError
from ._backoff import Backoff
from ._position import Position
from ._refusal import Passing, ServerError
from ._remote import RemoteEvent, Wire


class RemoteSubscription(trio.abc.ReceiveChannel[RemoteEvent]):
    """Yields the events of a run on a server, each exactly once, over lost connections.

    The channel ends behind the terminal event, and only there.
    """

    def __init__(self, after: str) -> None:
        self._send, self._receive = trio.open_memory_channel[list[RemoteEvent]](0)
        self._unread: deque[RemoteEvent] = deque()
        self._received = after
        self._failure: Exception | None = None
        self.reconnects: int = 0
        """How often the connection was lost so far."""

    @property
    def cursor(self) -> str:
        """Everything up to here was received; empty if nothing was."""
        return self._received

    async def receive_batch(self) -> list[RemoteEvent]:
        """Return all events that have come, at least one. A checkpoint.

        Raises:
            As `receive`.
        """
        await self._wait_unread()
        batch = list(self._unread)
        self._unread.clear()
        self._received = batch[-1].cursor
        return batch

    async def receive(self) -> RemoteEvent:
        """Return the next event. A checkpoint; if cancelled, nothing was taken.

        Raises:
            trio.EndOfChannel: the terminal event was received before.
            trio.BrokenResourceError: the server could not be reached for too long.
            trio.ClosedResourceError: this channel is closed.
            CursorInvalid: the cursor to begin behind is none of this run.
            CursorExpired: the log is gone, so that nothing can be continued.
            LimitExceeded, StoreUnavailable: the server has been saying so for too long.
            UnknownRun: the server has no such run.
            ServerError: the server refused; or (`bad-response`) what came can't be understood, or
                was not the next event of this run.
        """
        await self._wait_unread()
        event = self._unread.popleft()
        self._received = event.cursor
        return event

    async def _wait_unread(self) -> None:
        if self._unread:
            await trio.lowlevel.checkpoint()
        try:
            while not self._unread:
                self._unread.extend(await self._receive.receive())
        except trio.EndOfChannel:
            if isinstance(self._failure, TransportError):
                raise trio.BrokenResourceError(str(self._failure)) from self._failure
            if self._failure is not None:
                raise self._failure from None
            raise

    async def aclose(self) -> None:
        """Receive no more. A checkpoint."""
        self._unread.clear()
        await self._receive.aclose()

    async def follow(self, wire: Wire, run_id: str, patience: float) -> None:
        """Receive and hand over until the end, reconnecting: a task of its own does this."""
        with self._send:
            try:
                await self._follow(wire, run_id, Backoff(patience))
            except TrioAgentError as exc:
                self._failure = exc
            except trio.BrokenResourceError:
                pass  # nobody receives any more

    async def _follow(self, wire: Wire, run_id: str, backoff: Backoff) -> None:
        cursor = self._received
        position = Position(run_id, cursor)
        last: RemoteEvent | None = None
        while True:
            try:
                async with wire.events(run_id, cursor) as source:
                    while True:
                        batch = await source.receive()
                        backoff.connected()
                        if batch:
                            for last in batch:
                                position.move(last.cursor)
                            await self._send.send(batch)
                            cursor = batch[-1].cursor
                            backoff.reset()
                            if batch[-1].terminal:
                                return
            except trio.EndOfChannel:
                # What ended a run may be an event of a type that is newer than we are.
                if last.event is not None if last else cursor in ("", "0"):
                    message = "nothing follows, the server says, and there was no terminal event"
                    raise ServerError(0, "bad-response", message) from None
                return
            except TransportError as exc:
                self.reconnects += 1
                await backoff.wait(exc)
            except Passing as exc:
                self.reconnects += 1
                await backoff.wait(exc.error, exc.retry_after)
