"""A client of a trio-agent server, whose subscriptions survive lost connections."""

import random
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import quote

import attrs
import msgspec
import trio

from ._codec import EventInvalid, decode_event
from ._cursor import Cursor
from ._errors import (
    CursorExpired,
    CursorInvalid,
    LimitExceeded,
    StoreUnavailable,
    TrioAgentError,
    UnknownRun,
)
from ._events import AnyEvent
from ._http import Response, Transport, TransportError, open_transport
from ._limits import CancelAfter, OnDisconnect
from ._messages import AnyMessage
from ._nursery import open_plain_nursery
from ._run import Receipt, RunOutcome
from ._sse import ServerSentEvent, SSEDecoder, SSEError

_MAX_ANSWER: Final = 16 << 20
_ANSWER_SECONDS: Final = 60.0
_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 10.0

_ERRORS: Final[Mapping[str, type[TrioAgentError]]] = {
    "cursor-invalid": CursorInvalid,
    "cursor-expired": CursorExpired,
    "limit-exceeded": LimitExceeded,
    "store-unavailable": StoreUnavailable,
}

_T = TypeVar("_T")


class ServerError(TrioAgentError):
    """The server refused a request, or its answer can't be understood (`bad-response`).

    `status` is that of HTTP; otherwise `code` and `message` are the server's.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@attrs.frozen
class RemoteEvent:
    """An event as it came: what it is, and where it stands."""

    cursor: str
    """Everything up to this event; subscribe after it to go on from here."""
    data: str
    """The event's JSON, the same on every connection."""
    event: AnyEvent | None
    """The event, None if it is of a type that this version doesn't know."""

    @property
    def terminal(self) -> bool:
        """Whether it is the last of its run."""
        return self.event is not None and self.event.terminal


class RemoteSubscription(trio.abc.ReceiveChannel[RemoteEvent]):
    """Yields the events of a run on a server, each exactly once, over lost connections.

    The channel ends behind the terminal event, and only there.
    """

    def __init__(self, after: str) -> None:
        self._send, self._receive = trio.open_memory_channel[list[RemoteEvent]](0)
        self._unread: deque[RemoteEvent] = deque()
        self._received = after
        self._failure: Exception | None = None
        self.reconnects = 0
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

    async def follow(
        self, transport: Transport, run_id: str, headers: Mapping[str, str], patience: float
    ) -> None:
        """Receive and hand over until the end, reconnecting: a task of its own does this."""
        with self._send:
            try:
                await self._follow(transport, run_id, headers, patience)
            except TrioAgentError as exc:
                self._failure = exc
            except trio.BrokenResourceError:
                pass  # nobody receives any more

    async def _follow(
        self, transport: Transport, run_id: str, headers: Mapping[str, str], patience: float
    ) -> None:
        path = f"{_path_of(run_id)}/events"
        backoff = _Backoff(patience)
        cursor = self._received
        headers = {**headers, "accept": "text/event-stream"}
        while True:
            if cursor:
                headers["last-event-id"] = cursor
            try:
                async with transport.stream("GET", path, headers=headers) as response:
                    status, fields = await response.head()
                    if status == 204:
                        return
                    if status != 200:
                        await _raise_error(status, response, run_id)
                    if not fields.get("content-type", "").startswith("text/event-stream"):
                        raise ServerError(status, "bad-response", "this is no event stream")
                    decoder = SSEDecoder()
                    while data := await response.receive():
                        backoff.connected()
                        if batch := [_event_of(sse) for sse in decoder.feed(data)]:
                            await self._send.send(batch)
                            cursor = batch[-1].cursor
                            backoff.reset()
                            if batch[-1].terminal:
                                return
                failure: TrioAgentError = TransportError("cut-stream", "the stream broke off")
            except (TransportError, LimitExceeded, StoreUnavailable) as exc:
                failure = exc
            except (SSEError, EventInvalid) as exc:
                raise ServerError(200, "bad-response", str(exc)) from None
            self.reconnects += 1
            await backoff.wait(failure)


class _Backoff:
    """Waits longer each time, at once at first, and gives up in the end."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._delay = 0.0
        self._give_up_at: float | None = None

    def connected(self) -> None:
        """Hear that the server is there."""
        self._give_up_at = None

    def reset(self) -> None:
        """Hear that it goes on."""
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

    _transport: Transport
    _headers: Mapping[str, str] = attrs.field(repr=False)
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
        body = {name: value for name, value in wishes.items() if value is not None}
        headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
        return (await self._request("POST", "/runs", _Started, body=body, headers=headers)).id

    @asynccontextmanager
    async def subscribe(
        self, run_id: str, *, after: Cursor | str = ""
    ) -> AsyncIterator[RemoteSubscription]:
        """Follow a run behind a cursor, by default from its start.

        Errors come out of `receive`, when everything before them was received.
        """
        subscription = RemoteSubscription(str(after))
        async with open_plain_nursery() as nursery:
            nursery.start_soon(
                subscription.follow, self._transport, run_id, self._headers, self._patience
            )
            yield subscription
            nursery.cancel_scope.cancel(reason="the subscription was left")

    async def cancel(self, run_id: str) -> Receipt | None:
        """Cancel a run and return the receipt; None if it is not gone after half a minute.

        A checkpoint. Cancelling the wait does not undo the request.

        Raises:
            UnknownRun, ServerError, TransportError: the server has no such run, refused, or
                could not be reached.
        """
        path = f"{_path_of(run_id)}/cancel"
        answer = await self._request("POST", path, _Cancelled, run_id=run_id)
        if answer.outcome is None:
            return None
        return Receipt(answer.outcome, answer.last_offset, answer.abandoned)

    async def info(self, run_id: str) -> dict[str, Any]:
        """Return what the server tells of a run, as JSON. A checkpoint.

        Raises:
            As `cancel`.
        """
        return await self._request("GET", _path_of(run_id), dict[str, Any], run_id=run_id)

    async def not_ready(self) -> str | None:
        """Return why the server can't start runs now, None if it can. A checkpoint."""
        try:
            await self._request("GET", "/health/ready", object)
        except TrioAgentError as exc:
            return str(exc)
        return None

    async def _request(
        self,
        method: str,
        path: str,
        answer: type[_T],
        *,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        run_id: str = "",
    ) -> _T:
        content = b"" if body is None else msgspec.json.encode(body)
        headers = {**self._headers, **(headers or {})}
        if content:
            headers["content-type"] = "application/json"
        async with self._transport.stream(
            method, path, headers=headers, content=content
        ) as response:
            status, _ = await response.head()
            if status >= 300:
                await _raise_error(status, response, run_id)
            try:
                return msgspec.json.decode(await _rest(response), type=answer)
            except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
                raise ServerError(status, "bad-response", str(exc)) from None


@asynccontextmanager
async def open_client(
    url: str, *, token: str | None = None, patience: float = 60.0, client: Any = None
) -> AsyncIterator[Client]:
    """Open a client of the server at `url`.

    Args:
        url: such as ``http://127.0.0.1:8000``.
        token: sent as a bearer token.
        patience: seconds without a connection after which a subscription gives up.
        client: an `httpx.AsyncClient`, or one with the same API, to use instead of an own one.
    """
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    async with open_transport(url, client=client) as transport:
        yield Client(transport, headers, patience)


def _event_of(sse: ServerSentEvent) -> RemoteEvent:
    return RemoteEvent(sse.id, sse.data, decode_event(sse.data.encode()))


async def _rest(response: Response) -> bytes:
    return await response.receive_rest(seconds=_ANSWER_SECONDS, max_bytes=_MAX_ANSWER)


def _path_of(run_id: str) -> str:
    return f"/runs/{quote(run_id, safe='')}"


class _Started(msgspec.Struct, frozen=True):
    id: str


class _Cancelled(msgspec.Struct, frozen=True, rename="camel"):
    outcome: RunOutcome | None = None
    last_offset: int = 0
    abandoned: tuple[str, ...] = ()


class _ErrorBody(msgspec.Struct, frozen=True):
    code: str = "http-error"
    message: str = "the server refused without saying why"


class _ErrorAnswer(msgspec.Struct, frozen=True):
    error: _ErrorBody = _ErrorBody()


async def _raise_error(status: int, response: Response, run_id: str) -> NoReturn:
    """Raise what an answer means."""
    try:
        error = msgspec.json.decode(await _rest(response), type=_ErrorAnswer).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        error = _ErrorBody()
    if status >= 500:
        raise _ERRORS.get(error.code, StoreUnavailable)(error.message)
    if error.code == "unknown-run":
        raise UnknownRun(run_id)
    if error.code in _ERRORS:
        raise _ERRORS[error.code](error.message)
    raise ServerError(status, error.code, error.message)
