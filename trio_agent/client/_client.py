"""A client of a trio-agent server, whose subscriptions survive lost connections."""

import random
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

from .._errors import LimitExceeded, StoreUnavailable, TrioAgentError
from .._http import TransportError, open_transport
from .._limits import CancelAfter, OnDisconnect
from .._log.cursor import Cursor
from .._messages import AnyMessage
from .._nursery import expect_trio, open_plain_nursery
from .._run.run import Receipt
from ._http import HTTPWire
from ._remote import RemoteEvent, Wire
from ._websocket import WebSocketWire

_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 10.0


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
            CursorExpired: the log is gone, so that nothing can be continued.
            LimitExceeded, StoreUnavailable: the server has been saying so for too long.
            CursorInvalid, UnknownRun, ServerError: the server says so.
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
                await self._follow(wire, run_id, _Backoff(patience))
            except trio.EndOfChannel:
                pass
            except TrioAgentError as exc:
                self._failure = exc
            except trio.BrokenResourceError:
                pass  # nobody receives any more

    async def _follow(self, wire: Wire, run_id: str, backoff: "_Backoff") -> None:
        cursor = self._received
        while True:
            try:
                async with wire.events(run_id, cursor) as source:
                    while True:
                        batch = await source.receive()
                        backoff.connected()
                        if batch:
                            await self._send.send(batch)
                            cursor = batch[-1].cursor
                            backoff.reset()
                            if batch[-1].terminal:
                                return
            except (TransportError, LimitExceeded, StoreUnavailable) as exc:
                self.reconnects += 1
                await backoff.wait(exc)


class _Backoff:
    """Waits longer each time, at once at first, and gives up in the end."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._delay = 0.0
        self._give_up_at: float | None = None

    def connected(self) -> None:
        """The server is there."""
        self._give_up_at = None

    def reset(self) -> None:
        """It goes on: the next loss is a new one."""
        self._delay = 0.0

    async def wait(self, failure: TrioAgentError) -> None:
        """Wait until it is time to try again.

        Raises:
            TrioAgentError: that failure, because the server has been away for too long.
        """
        now = trio.current_time()
        if self._give_up_at is None:
            self._give_up_at = now + self._patience
        if now + self._delay > self._give_up_at:
            raise failure
        await trio.sleep(self._delay * random.uniform(0.5, 1))  # noqa: S311
        self._delay = min(2 * self._delay, _LONGEST_DELAY) or _FIRST_DELAY


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
        on_disconnect: OnDisconnect | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Start a run and return its id. A checkpoint.

        Arguments as for `Runtime.start`; `agent` is the name of one of the server's.

        Raises:
            LimitExceeded, ServerError: the server refused.
            TransportError: the server could not be reached; whether a run was started is
                unknown, unless you try again with the same `idempotency_key`.
        """
        policy = on_disconnect.seconds if isinstance(on_disconnect, CancelAfter) else on_disconnect
        wishes = {
            "prompt": prompt,
            "messages": list(messages) or None,
            "agent": agent,
            "onDisconnect": policy,
            "metadata": metadata,
        }
        said = {name: value for name, value in wishes.items() if value is not None}
        return await self._wire.start(said, idempotency_key)

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

    async def cancel(self, run_id: str) -> Receipt | None:
        """Cancel a run and return the receipt; None if it is not gone after half a minute.

        A checkpoint. Cancelling the wait does not undo the request.

        Raises:
            UnknownRun, ServerError, TransportError: the server has no such run, refused, or
                could not be reached.
        """
        return await self._wire.cancel(run_id)

    async def info(self, run_id: str) -> dict[str, Any]:
        """Return what the server tells of a run, as JSON. A checkpoint.

        Raises:
            As `cancel`.
        """
        return await self._wire.info(run_id)

    async def not_ready(self) -> str | None:
        """Return why the server can't start runs now, None if it can. A checkpoint."""
        try:
            await self._wire.check()
        except TrioAgentError as exc:
            return str(exc)
        return None


@asynccontextmanager
async def open_client(
    url: str, *, token: str | None = None, patience: float = 60.0, client: Any = None
) -> AsyncIterator[Client]:
    """Open a client of the server at `url`.

    Args:
        url: such as ``http://127.0.0.1:8000``, or ``ws://127.0.0.1:8001`` for WebSocket.
        token: sent as a bearer token.
        patience: seconds without a connection after which a subscription gives up.
        client: an `httpx.AsyncClient`, or one with the same API, to use instead of an own one;
            not for WebSocket.

    Raises:
        RuntimeError: this is no Trio task, but asyncio, for instance.
    """
    expect_trio()
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    if url.lower().startswith(("ws://", "wss://")):
        yield Client(WebSocketWire(url, headers), patience)
        return
    async with open_transport(url, client=client) as transport:
        yield Client(HTTPWire(transport, headers), patience)
