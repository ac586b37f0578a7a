"""A server behind a URL: MCP's streamable HTTP, on our own HTTP.

The SDK's client of it is not used. On Trio it leaves async generators to the garbage collector,
with a warning for each answer; a request that finds no server ends the connection with all calls
that others have open; and of a status nobody is told which it was.

- A request is a POST, with a task and a cancel scope of its own: what goes wrong is its own error.
- An answer that is an event stream is resumed where it was cut, if its events have ids.
- A server that can't be reached, or has forgotten the session, is lost.
- Nothing is said of the URL. A status is said; the page that came with it is not.
- Messages are bounded. Nothing but connecting is bounded in time: calls have deadlines.

Source: Model Context Protocol, 2025-11-25 and 2026-07-28, "Transports".
"""

import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import anyio
import trio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from ..._http.errors import TransportError
from ..._http.response import Response
from ..._http.transport import Transport, open_transport
from ..._nursery import open_plain_nursery
from ...wire import SSEDecoder, SSEError
from ._inbound import MAX_MESSAGE, Streams
from ._where import Endpoint

_SESSION: Final = "mcp-session-id"
_VERSION: Final = "mcp-protocol-version"
_NOTIFYING: Final = 10.0
"""Seconds for the server to take what has no answer; a later message waits for that."""
_LEAVING: Final = 2.0
"""Seconds to say that the session is over."""
_AGAIN: Final = 1.0
"""Seconds until a stream that was cut is asked for again, where the server does not say."""
_MAX_AGAIN: Final = 3
"""Attempts to go on with an answer without anything new."""
_TOO_LARGE: Final = f"it answered with more than {MAX_MESSAGE // 2**20} MiB"


@asynccontextmanager
async def open_endpoint(where: Endpoint, on_lost: Callable[[str], None]) -> AsyncIterator[Streams]:
    """Talk to a server. Nothing is sent before something is asked.

    Args:
        where: its URL, and what goes with each request.
        on_lost: called with what happened when nothing more can be asked.
    """
    scheme, host, *rest = urlsplit(where.url)
    path = urlunsplit(("", "", rest[0] or "/", rest[1], ""))
    incoming, reading = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    writing, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
    with incoming, reading, writing, outgoing:
        async with (
            open_transport(f"{scheme}://{host}") as transport,
            open_plain_nursery() as nursery,
        ):
            endpoint = _Endpoint(transport, path, where.headers, nursery, incoming, on_lost)
            nursery.start_soon(endpoint.run, outgoing)
            yield reading, writing
            await endpoint.take_leave()
            nursery.cancel_scope.cancel(reason="the connection is closed")


class _Endpoint:
    def __init__(
        self,
        transport: Transport,
        path: str,
        headers: Mapping[str, str],
        nursery: trio.Nursery,
        incoming: MemoryObjectSendStream[SessionMessage | Exception],
        on_lost: Callable[[str], None],
    ) -> None:
        self._transport = transport
        self._path = path
        self._given = headers
        self._nursery = nursery
        self._incoming = incoming
        self._on_lost = on_lost
        self._session: str | None = None
        self._version: str | None = None
        self._open: dict[RequestId, trio.CancelScope] = {}

    async def run(self, outgoing: MemoryObjectReceiveStream[SessionMessage]) -> None:
        """Send what is to be sent, until there is no more."""
        async for each in outgoing:
            metadata = each.metadata
            headers = metadata.headers if isinstance(metadata, ClientMessageMetadata) else None
            headers = headers or {}
            self._version = headers.get(_VERSION, self._version)
            match each.message:
                case JSONRPCRequest() as request:
                    if request.method == "initialize":
                        # A version that was probed for is not the one that is negotiated.
                        self._version = None
                    self._open[request.id] = trio.CancelScope()
                    self._nursery.start_soon(self._ask, request, headers)
                case JSONRPCNotification(method="notifications/cancelled") as cancel:
                    self._nursery.start_soon(self._cancel, cancel)
                case message:
                    await self._tell(message)
                    if getattr(message, "method", None) == "notifications/initialized":
                        self._nursery.start_soon(self._hear)

    async def take_leave(self) -> None:
        """Say that the session is over. Whether the server hears it is its own affair."""
        if self._session is not None:
            with trio.move_on_after(_LEAVING), suppress(TransportError):
                async with self._send("DELETE", {}, b"") as response:
                    await response.head()

    async def _ask(self, request: JSONRPCRequest, headers: Mapping[str, str]) -> None:
        try:
            with self._open[request.id]:
                reply = await self._answer(request, headers)
                if reply is not None:
                    await self._deliver(reply)
        finally:
            del self._open[request.id]

    async def _cancel(self, cancel: JSONRPCNotification) -> None:
        # Since 2026-07-28, an answer that is not waited for any more is the cancellation.
        if self._version not in MODERN_PROTOCOL_VERSIONS:
            await self._tell(cancel)
        request_id = (cancel.params or {}).get("requestId")
        if (scope := self._open.get(request_id)) is not None:  # type: ignore[arg-type]
            scope.cancel(reason="the request was cancelled")

    async def _tell(self, message: JSONRPCMessage) -> None:
        with trio.move_on_after(_NOTIFYING), suppress(TransportError):
            async with self._send("POST", {}, _encode(message)) as response:
                await response.head()
                await response.receive_rest(seconds=_NOTIFYING, max_bytes=MAX_MESSAGE)

    async def _hear(self) -> None:
        """Listen to what the server says by itself, if it does that."""
        last = ""
        while True:
            decoder = SSEDecoder(max_size=MAX_MESSAGE)
            with suppress(TransportError, SSEError):
                async with self._send("GET", _resume(last), b"") as response:
                    status, headers = await response.head()
                    if status != 200 or not _is(headers, "text/event-stream"):
                        return
                    await self._events(response, decoder, None)
            last = decoder.last_event_id or last
            await trio.sleep(max(_AGAIN, _pause(decoder)))

    async def _answer(
        self, request: JSONRPCRequest, headers: Mapping[str, str]
    ) -> JSONRPCMessage | None:
        """Ask, and return the answer; None if it was delivered with its stream."""
        method, content, last, attempts = "POST", _encode(request), "", 0
        while True:
            decoder = SSEDecoder(max_size=MAX_MESSAGE)
            try:
                async with self._send(method, {**headers, **_resume(last)}, content) as response:
                    status, got = await response.head()
                    if request.method == "initialize":
                        self._session = got.get(_SESSION)
                    if status != 200 or not _is(got, "text/event-stream"):
                        return await self._page(request, status, got, response)
                    if await self._events(response, decoder, request.id):
                        return None
            except SSEError:
                return _error(request, INTERNAL_ERROR, _TOO_LARGE)
            except TransportError as exc:
                if exc.code in ("connect", "timeout-connect"):
                    what = f"it can't be reached ({exc.code})"
                    self._on_lost(what)
                    return _error(request, CONNECTION_CLOSED, what)
            attempts = 0 if decoder.last_event_id not in ("", last) else attempts + 1
            last = decoder.last_event_id or last
            if not last or attempts >= _MAX_AGAIN:
                return _error(request, CONNECTION_CLOSED, "the connection broke before the answer")
            method, content = "GET", b""
            await trio.sleep(_pause(decoder))

    async def _page(
        self, request: JSONRPCRequest, status: int, headers: Mapping[str, str], response: Response
    ) -> JSONRPCMessage:
        """Read an answer that is no stream."""
        if status == 404 and self._session is not None:
            what = "it knows the session no more"
            self._on_lost(what)
            return _error(request, CONNECTION_CLOSED, what)
        if _is(headers, "application/json"):
            body = await response.receive_rest(seconds=math.inf, max_bytes=MAX_MESSAGE + 1)
            if len(body) > MAX_MESSAGE:
                return _error(request, INTERNAL_ERROR, _TOO_LARGE)
            if response.error is not None:
                return _error(request, CONNECTION_CLOSED, "the connection broke")
            message = _decode(body)
            if isinstance(message, JSONRPCError):
                # Its id may be null: it was refused before that was read.
                return JSONRPCError(jsonrpc="2.0", id=request.id, error=message.error)
            if message is not None and status == 200:
                return message
        what = "with no MCP message" if status == 200 else f"with status {status}"
        return _error(request, INTERNAL_ERROR, f"it answered {what}")

    async def _events(
        self, response: Response, decoder: SSEDecoder, request_id: RequestId | None
    ) -> bool:
        """Deliver the messages of a stream; True when the answer to the request was one."""
        while data := await response.receive():
            for event in decoder.feed(data):
                message = _decode(event.data.encode()) if event.event == "message" else None
                if message is None:
                    continue
                await self._deliver(message)
                if isinstance(message, JSONRPCResponse | JSONRPCError) and request_id is not None:
                    return True
        return False

    async def _deliver(self, message: JSONRPCMessage) -> None:
        # If nobody reads any more, the session is over.
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._incoming.send(SessionMessage(message))

    def _send(
        self, method: str, headers: Mapping[str, str], content: bytes
    ) -> AbstractAsyncContextManager[Response]:
        sent = {
            **self._given,
            "Accept": "application/json, text/event-stream",
            **({"Content-Type": "application/json"} if content else {}),
            **({} if self._session is None else {_SESSION: self._session}),
            **({} if self._version is None else {_VERSION: self._version}),
            **headers,
        }
        return self._transport.stream(method, self._path, headers=sent, content=content)


def _encode(message: JSONRPCMessage) -> bytes:
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode()


def _decode(data: bytes) -> JSONRPCMessage | None:
    try:
        return jsonrpc_message_adapter.validate_json(data, by_name=False)
    except ValueError:
        return None


def _error(request: JSONRPCRequest, code: int, message: str) -> JSONRPCError:
    return JSONRPCError(jsonrpc="2.0", id=request.id, error=ErrorData(code=code, message=message))


def _is(headers: Mapping[str, str], media_type: str) -> bool:
    found = headers.get("content-type", "").partition(";")[0]
    return found.strip().lower() == media_type


def _resume(last_event_id: str) -> dict[str, str]:
    return {"Last-Event-ID": last_event_id} if last_event_id else {}


def _pause(decoder: SSEDecoder) -> float:
    return _AGAIN if decoder.retry is None else decoder.retry / 1000
