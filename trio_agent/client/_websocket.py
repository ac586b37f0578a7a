"""The client's way over WebSocket.

The server's pings don't reach us: the library answers them. That a server is alive is seen by the
answers to ours.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar, cast
from urllib.parse import SplitResult, urlsplit

import attrs
import h11
import msgspec
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)
from wsproto.utilities import ProtocolError

from .._errors import TrioAgentError
from .._http import DEFAULT_CONNECT_DEADLINE, TransportError
from .._http.words import clean
from .._log.codec import EventInvalid
from .._nursery import open_plain_nursery
from .._run.run import Receipt
from ._refusal import MAX_ERROR, ErrorBody, ServerError, error_of, read_error
from ._remote import MAX_EVENT, Cancelled, EventSource, RemoteEvent, Told, Wire

_READ: Final = 1 << 16
_CLOSE_SECONDS: Final = 1.0

_T = TypeVar("_T")

_TOO_LARGE: Final = 1009
"""The close code of who got more than it takes (RFC 6455, section 7.4.1)."""


class _Message(msgspec.Struct, frozen=True, rename="camel"):
    """What of a server's message tells where it belongs."""

    type: str = ""
    id: str | None = None
    run_id: str | None = None
    ended: bool = False
    error: ErrorBody = ErrorBody()


_decode = msgspec.json.Decoder(_Message).decode


@attrs.define
class _Socket:
    """An open connection."""

    websocket: WebSocketConnection

    async def ask(self, **request: Any) -> None:
        """Send a request."""
        try:
            await self.websocket.send_message(msgspec.json.encode(request).decode())
        except ConnectionClosed as exc:
            raise _cut(exc) from exc

    async def receive(self) -> tuple[_Message, str]:
        """Return the next message that is meant for us, and its text."""
        try:
            text = await self.websocket.get_message()
            return _decode(text), cast(str, text)
        except ConnectionClosed as exc:
            raise _cut(exc) from exc
        except (msgspec.MsgspecError, RecursionError) as exc:
            raise ServerError(0, "bad-response", str(exc)) from None

    async def receive_answer(self, kind: str, about: str) -> tuple[_Message, str]:
        """Wait for the answer to the only request of this connection, or raise its error."""
        while True:
            message, text = await self.receive()
            if message.type == kind:
                return message, text
            if message.type == "error":
                raise error_of(0, message.error, about)


class _Subscription(EventSource):
    def __init__(self, socket: _Socket, run_id: str, answer_seconds: float) -> None:
        self._socket = socket
        self._run_id = run_id
        self._answer_seconds = answer_seconds
        self._subscribed = False
        self._ended = False

    async def receive(self) -> list[RemoteEvent]:
        if self._ended:
            raise trio.EndOfChannel
        if not self._subscribed:
            await self._receive_answer()
            return []
        message, text = await self._socket.receive()
        if message.id is not None:
            if message.run_id != self._run_id:
                raise ServerError(0, "bad-response", f"an event of another run: {message.run_id}")
            # What the server added, so that the rest is the event's JSON, as on any other wire.
            added = f'{{"id":"{message.id}",'
            text = text.replace(added, "{", 1).replace(f'{{"runId":"{self._run_id}",', "{", 1)
            try:
                return [RemoteEvent.read(message.id, text)]
            except EventInvalid as exc:
                raise ServerError(0, "bad-response", str(exc)) from None
        if message.type == "subscription-error":
            raise error_of(0, message.error, self._run_id)
        return []

    async def _receive_answer(self) -> None:
        with trio.move_on_after(self._answer_seconds):
            message, _ = await self._socket.receive_answer("subscribed", self._run_id)
            self._subscribed = True
            self._ended = message.ended
        if not self._subscribed:
            raise TransportError("cut-stream", "the server did not answer")


@attrs.frozen(eq=False)
class WebSocketWire(Wire):
    """Each request and each subscription has a connection of its own.

    So a subscription that is not read holds up no other one, and nothing waits in memory.
    """

    _url: str
    _headers: Mapping[str, str] = attrs.field(repr=False)
    _heartbeat_deadline: float

    async def start(self, wishes: Mapping[str, Any], key: str) -> str:
        request = {**wishes, "type": "start", "follow": False, "key": key}
        message, _ = await self._request("started", wishes.get("thread", ""), request)
        if message.run_id is None:
            raise ServerError(0, "bad-response", "the answer names no run")
        return message.run_id

    async def cancel(self, run_id: str) -> Receipt | None:
        request = {"type": "cancel", "runId": run_id}
        return (await self._ask("cancelled", run_id, request, Cancelled)).receipt

    async def answer(self, run_id: str, said: Mapping[str, Any]) -> Told:
        request = {**said, "type": "answer", "runId": run_id}
        return await self._ask("answered", run_id, request, Told)

    async def say(self, run_id: str, said: Mapping[str, Any], key: str) -> Told:
        request = {**said, "type": "say", "runId": run_id, "key": key}
        return await self._ask("said", run_id, request, Told)

    async def check(self) -> None:
        async with self._open():
            pass

    async def _ask(
        self, answer: str, run_id: str, request: Mapping[str, Any], form: type[_T]
    ) -> _T:
        _, text = await self._request(answer, run_id, request)
        try:
            return msgspec.json.decode(text, type=form)
        except (msgspec.MsgspecError, RecursionError) as exc:
            raise ServerError(0, "bad-response", str(exc)) from None

    async def _request(
        self, answer: str, about: str, request: Mapping[str, Any]
    ) -> tuple[_Message, str]:
        async with self._open() as socket:
            await socket.ask(**request)
            return await socket.receive_answer(answer, about)

    @asynccontextmanager
    async def events(self, run_id: str, after: str) -> AsyncIterator[EventSource]:
        async with self._open() as socket:
            await socket.ask(type="subscribe", runId=run_id, after=after or 0)
            yield _Subscription(socket, run_id, self._heartbeat_deadline)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[_Socket]:
        """Connect. Leaving says goodbye, if that is quickly done, and disconnects."""
        url = urlsplit(self._url)
        async with open_plain_nursery() as nursery:
            connection = _Connection(self._heartbeat_deadline)
            nursery.start_soon(connection.run, url, self._headers)
            websocket = await connection.opened()
            yield _Socket(websocket)
            with trio.move_on_after(_CLOSE_SECONDS):
                await websocket.aclose()
            nursery.cancel_scope.cancel(reason="the connection was left")


class _Connection:
    """Where trio-websocket's reader lives, which is a task that may raise."""

    def __init__(self, heartbeat_deadline: float) -> None:
        self._heartbeat_deadline = heartbeat_deadline
        self._websocket: WebSocketConnection | None = None
        self._failure: Exception | None = None
        self._news = trio.Event()

    async def opened(self) -> WebSocketConnection:
        """Wait for the handshake, or raise why there was none."""
        await self._news.wait()
        if self._websocket is None:
            assert self._failure is not None
            raise self._failure
        return self._websocket

    async def run(self, url: SplitResult, headers: Mapping[str, str]) -> None:
        """Connect, and read until cancelled."""
        try:
            stream = await _connect(url)
            try:
                await self._read(_Link(stream), url, headers)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(stream)
        except* _FAILURES as group:
            failure: BaseException = group
            while isinstance(failure, BaseExceptionGroup):
                failure = failure.exceptions[0]
            self._failure = _meaning(failure)
        self._news.set()

    async def _read(self, link: "_Link", url: SplitResult, headers: Mapping[str, str]) -> None:
        async with trio.open_nursery() as reading:
            with trio.fail_after(DEFAULT_CONNECT_DEADLINE):
                self._websocket = await wrap_client_stream(
                    reading,
                    cast(trio.SocketStream, link),
                    url.netloc.rpartition("@")[2],
                    url.path or "/",
                    extra_headers=[
                        (name.encode(), text.encode()) for name, text in headers.items()
                    ],
                    max_message_size=MAX_EVENT,
                    receive_buffer_size=_READ,
                )
            link.opened = True
            self._news.set()
            await self._ping(self._websocket, link)

    async def _ping(self, websocket: WebSocketConnection, link: "_Link") -> None:
        """Notice a server that has gone without a word, within the deadline."""
        interval = self._heartbeat_deadline / 3
        with suppress(ConnectionClosed):
            while True:
                await trio.sleep(interval)
                with trio.move_on_after(2 * interval) as waiting:
                    await websocket.ping()
                if waiting.cancelled_caught:
                    await trio.aclose_forcefully(link)


class _Link(trio.abc.Stream):
    """A stream that raises when it breaks off in the handshake, or when this is endless.

    With any other stream the library would wait for the handshake for ever, or keep all that is
    said in a refusal.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._received = 0
        self.opened = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            self._check()
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError:
            self._check()
            raise
        if not self.opened:
            self._received += len(data)
        if not data or self._received > MAX_ERROR:
            self._check()
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()
        self._check()

    def _check(self) -> None:
        if not self.opened:
            raise TransportError("cut-stream", "the connection broke off in the handshake")


async def _connect(url: SplitResult) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
    secure = url.scheme.lower() == "wss"
    with trio.fail_after(DEFAULT_CONNECT_DEADLINE):
        stream = await trio.open_tcp_stream(url.hostname or "", url.port or (443 if secure else 80))
        if not secure:
            return stream
        secured = trio.SSLStream(
            stream,
            ssl.create_default_context(),
            server_hostname=url.hostname,
            https_compatible=True,
        )
        try:
            await secured.do_handshake()
        except BaseException:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)
            raise
    return secured


_FAILURES: Final = (
    ConnectionRejected,
    ProtocolError,
    h11.ProtocolError,
    TransportError,
    OSError,
    ValueError,
    trio.BrokenResourceError,
    trio.TooSlowError,
)


def _meaning(failure: BaseException) -> Exception:
    """Say what kept a connection from being opened."""
    match failure:
        case TransportError():
            return failure
        case trio.TooSlowError():
            return TransportError("timeout-connect", "the server does not answer")
        case ConnectionRejected(status_code=status, body=body):
            return error_of(status, read_error(status, body or b""), "")
        case ProtocolError() | h11.ProtocolError():
            return ServerError(0, "bad-response", "this is no WebSocket")
    # Trio tells of a TLS handshake that failed with an error that has only a cause.
    words = str(failure) or str(failure.__cause__ or type(failure).__name__)
    return TransportError("connect", clean(words))


def _cut(exc: ConnectionClosed) -> TrioAgentError:
    if exc.reason is not None and exc.reason.code == _TOO_LARGE:
        return ServerError(0, "too-large", "the server does not take messages of that size")
    return TransportError("cut-stream", clean(f"the connection was closed: {exc.reason}"))
