"""The client's way over HTTP and server-sent events."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import quote

import attrs
import msgspec
import trio

from .._http import Response, Transport, TransportError
from .._log.codec import EventInvalid
from .._run.run import Receipt
from ..wire._sse import SSEDecoder, SSEError
from ._remote import (
    Cancelled,
    ErrorBody,
    EventSource,
    RemoteEvent,
    ServerError,
    Wire,
    error_of,
)

_MAX_ANSWER: Final = 16 << 20
_ANSWER_SECONDS: Final = 60.0

_T = TypeVar("_T")


class _EventStream(EventSource):
    def __init__(self, response: Response | None) -> None:
        self._response = response
        self._decoder = SSEDecoder()

    async def receive(self) -> list[RemoteEvent]:
        if self._response is None:
            raise trio.EndOfChannel
        data = await self._response.receive()
        if not data:
            raise TransportError("cut-stream", "the stream broke off")
        try:
            return [RemoteEvent.read(sse.id, sse.data) for sse in self._decoder.feed(data)]
        except (SSEError, EventInvalid) as exc:
            raise ServerError(200, "bad-response", str(exc)) from None


@attrs.frozen(eq=False)
class HTTPWire(Wire):
    """Each request and each subscription is a request of HTTP."""

    _transport: Transport
    _headers: Mapping[str, str] = attrs.field(repr=False)

    async def start(self, wishes: Mapping[str, Any], key: str | None) -> str:
        headers = {} if key is None else {"idempotency-key": key}
        return (await self._request("POST", "/runs", _Started, body=wishes, headers=headers)).id

    async def cancel(self, run_id: str) -> Receipt | None:
        path = f"{_path_of(run_id)}/cancel"
        return (await self._request("POST", path, Cancelled, run_id=run_id)).receipt

    async def info(self, run_id: str) -> dict[str, Any]:
        return await self._request("GET", _path_of(run_id), dict[str, Any], run_id=run_id)

    async def check(self) -> None:
        await self._request("GET", "/health/ready", object)

    @asynccontextmanager
    async def events(self, run_id: str, after: str) -> AsyncIterator[EventSource]:
        headers = {**self._headers, "accept": "text/event-stream, application/json"}
        if after:
            headers["last-event-id"] = after
        path = f"{_path_of(run_id)}/events"
        async with self._transport.stream("GET", path, headers=headers) as response:
            status, fields = await response.head()
            if status == 204:
                yield _EventStream(None)
                return
            if status != 200:
                await _raise_error(status, response, run_id)
            if not fields.get("content-type", "").startswith("text/event-stream"):
                raise ServerError(status, "bad-response", "this is no event stream")
            yield _EventStream(response)

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
            rest = await _rest(response)
            if response.error is not None:
                raise response.error
            try:
                return msgspec.json.decode(rest, type=answer)
            except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
                raise ServerError(status, "bad-response", str(exc)) from None


async def _rest(response: Response) -> bytes:
    return await response.receive_rest(seconds=_ANSWER_SECONDS, max_bytes=_MAX_ANSWER)


def _path_of(run_id: str) -> str:
    return f"/runs/{quote(run_id, safe='')}"


class _Started(msgspec.Struct, frozen=True):
    id: str


class _ErrorAnswer(msgspec.Struct, frozen=True):
    error: ErrorBody = ErrorBody()


async def _raise_error(status: int, response: Response, run_id: str) -> NoReturn:
    """Raise what an answer means."""
    try:
        error = msgspec.json.decode(await _rest(response), type=_ErrorAnswer).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        error = ErrorBody()
    raise error_of(status, error, run_id, passing=status >= 500)
