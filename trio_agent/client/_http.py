"""The client's way over HTTP and server-sent events."""

import hashlib
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import quote, urlencode

import attrs
import msgspec
import trio

from .._errors import UnknownBlob, UnknownThread
from .._http import Response, Transport, TransportError
from .._log.codec import EventInvalid
from .._log.plain import UNREADABLE
from .._run.listed import RunPage
from .._run.message_page import MessagePage
from .._run.run import Receipt
from .._run.thread_page import Thread, ThreadPage, TurnPage
from ..wire._sse import SSEDecoder, SSEError
from ._refusal import MAX_ERROR, Passing, ServerError, error_of, read_error
from ._remote import MAX_EVENT, Cancelled, Ended, EventSource, RemoteEvent, Told, Wire

_MAX_ANSWER: Final = 1 << 20
MAX_BLOB: Final = 64 << 20
"""Bytes of a file; a larger one is not received."""

_ANSWER_SECONDS: Final = 60.0
_ERROR_SECONDS: Final = 5.0

_T = TypeVar("_T")


class _EventStream(EventSource):
    def __init__(self, response: Response | None) -> None:
        self._response = response
        self._decoder = SSEDecoder(max_size=MAX_EVENT)

    async def receive(self) -> list[RemoteEvent]:
        if self._response is None:
            raise trio.EndOfChannel
        data = await self._response.receive()
        if not data:
            # An end in good order: the server says when to come back.
            seconds = (self._decoder.retry or 0) / 1000
            raise Passing(TransportError("cut-stream", "the stream broke off"), seconds)
        try:
            return [RemoteEvent.read(sse.id, sse.data) for sse in self._decoder.feed(data)]
        except (SSEError, EventInvalid) as exc:
            raise ServerError(200, "bad-response", str(exc)) from None


@attrs.frozen(eq=False)
class HTTPWire(Wire):
    """Each request and each subscription is a request of HTTP."""

    _transport: Transport
    _headers: Mapping[str, str] = attrs.field(repr=False)
    _heartbeat_deadline: float

    async def start(self, wishes: Mapping[str, Any], key: str) -> str:
        started = await self._request(
            "POST",
            "/runs",
            _Started,
            body=wishes,
            headers={"idempotency-key": key},
            about=wishes.get("thread", ""),
        )
        return started.id

    async def cancel(self, run_id: str) -> Receipt | None:
        path = f"{_path_of(run_id)}/cancel"
        return (await self._request("POST", path, Cancelled, about=run_id)).receipt

    async def answer(self, run_id: str, said: Mapping[str, Any]) -> Told:
        path = f"{_path_of(run_id)}/answers"
        return await self._request("POST", path, Told, body=said, about=run_id)

    async def say(self, run_id: str, said: Mapping[str, Any], key: str) -> Told:
        path, headers = f"{_path_of(run_id)}/messages", {"idempotency-key": key}
        return await self._request("POST", path, Told, body=said, headers=headers, about=run_id)

    async def info(self, run_id: str) -> dict[str, Any]:
        return await self._request(
            "GET", _path_of(run_id), dict[str, Any], about=run_id, max_bytes=MAX_EVENT
        )

    async def ended(self, run_id: str) -> Ended:
        return await self._request(
            "GET", _path_of(run_id), Ended, about=run_id, max_bytes=MAX_EVENT
        )

    async def messages(self, run_id: str, after: int, max_bytes: int) -> tuple[MessagePage, int]:
        path = f"{_path_of(run_id)}/messages?after={after}"
        page = await self._request("GET", path, msgspec.Raw, about=run_id, max_bytes=max_bytes)
        return _decode(200, page, MessagePage), len(page)

    async def runs(self, before: str | None, limit: int, thread: str | None) -> RunPage:
        path = f"/runs?limit={limit}{_query('&', before=before, thread=thread)}"
        return await self._request("GET", path, RunPage, about=before or "", max_bytes=MAX_EVENT)

    async def delete(self, run_id: str) -> None:
        async with self._stream("DELETE", _path_of(run_id), headers={}, about=run_id):
            pass

    async def blob(self, run_id: str, digest: str) -> bytes:
        path = f"{_path_of(run_id)}/blobs/{quote(digest, safe='')}"
        try:
            async with self._stream("GET", path, headers={}, about=run_id) as (
                status,
                _,
                response,
            ):
                data = await response.receive_rest(seconds=math.inf, max_bytes=MAX_BLOB)
                if response.error is not None:
                    raise response.error
        except ServerError as exc:
            if exc.code == "unknown-blob":
                raise UnknownBlob(run_id, digest) from None
            raise
        if hashlib.sha256(data).hexdigest() != digest:
            raise ServerError(status, "bad-response", "this is not the file with that SHA-256")
        return data

    async def thread(self, thread: str) -> Thread:
        path = f"{_path_of_thread(thread)}?messages=0"
        return await self._request("GET", path, Thread, about=thread)

    async def threads(self, before: str | None, limit: int) -> ThreadPage:
        path = f"/threads?limit={limit}{_query('&', before=before)}"
        return await self._request("GET", path, ThreadPage, max_bytes=MAX_EVENT)

    async def thread_messages(self, thread: str, last: str | None, max_bytes: int) -> TurnPage:
        path = _path_of_thread(thread) + _query("?", last=last)
        return await self._request("GET", path, TurnPage, about=thread, max_bytes=max_bytes)

    async def delete_thread(self, thread: str) -> None:
        async with self._stream("DELETE", _path_of_thread(thread), headers={}, about=thread):
            pass

    async def check(self) -> None:
        await self._request("GET", "/health/ready", object)

    @asynccontextmanager
    async def events(self, run_id: str, after: str) -> AsyncIterator[EventSource]:
        headers = {"accept": "text/event-stream, application/json"}
        if after:
            headers["last-event-id"] = after
        path = f"{_path_of(run_id)}/events"
        async with self._stream(
            "GET", path, headers=headers, about=run_id, silence=self._heartbeat_deadline
        ) as (status, fields, response):
            if status == 204:
                yield _EventStream(None)
                return
            if status != 200 or not fields.get("content-type", "").startswith("text/event-stream"):
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
        about: str = "",
        max_bytes: int = _MAX_ANSWER,
    ) -> _T:
        content = b"" if body is None else msgspec.json.encode(body)
        headers = dict(headers or {})
        if content:
            headers["content-type"] = "application/json"
        async with self._stream(method, path, headers=headers, content=content, about=about) as (
            status,
            _,
            response,
        ):
            rest = await response.receive_rest(seconds=_ANSWER_SECONDS, max_bytes=max_bytes)
            if response.error is not None:
                raise response.error
            return _decode(status, rest, answer)

    @asynccontextmanager
    async def _stream(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        about: str,
        content: bytes = b"",
        silence: float = math.inf,
    ) -> AsyncIterator[tuple[int, Mapping[str, str], Response]]:
        """Ask, or raise what a refusal means."""
        async with self._transport.stream(
            method, path, headers={**self._headers, **headers}, content=content, silence=silence
        ) as response:
            status, fields = await response.head()
            if 300 <= status < 400 and (location := fields.get("location")):
                # Where a redirect is not followed: another host is not to see our token.
                message = f"the server is elsewhere now, give the client its URL: {location}"
                raise ServerError(status, "redirected", message)
            if status >= 300:
                await _raise_error(status, fields, response, about)
            yield status, fields, response


def _decode(status: int, body: bytes | msgspec.Raw, answer: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=answer)
    except UNREADABLE as exc:
        raise ServerError(status, "bad-response", str(exc)) from None


def _path_of(run_id: str) -> str:
    return f"/runs/{quote(run_id, safe='')}"


def _path_of_thread(thread: str) -> str:
    if not thread or not {".", ".."}.isdisjoint(thread.split("/")):
        # No thread is called so, and in a path it means another place.
        raise UnknownThread(thread)
    return f"/threads/{quote(thread, safe='')}"


def _query(first: str, **given: str | None) -> str:
    """Return what of a query is given, behind its first character."""
    query = urlencode({name: text for name, text in given.items() if text is not None})
    return first + query if query else ""


class _Started(msgspec.Struct, frozen=True):
    id: str


async def _raise_error(
    status: int, fields: Mapping[str, str], response: Response, about: str
) -> NoReturn:
    """Raise what an answer means."""
    body = await response.receive_rest(seconds=_ERROR_SECONDS, max_bytes=MAX_ERROR)
    raise error_of(status, read_error(status, body), about, _seconds(fields.get("retry-after")))


def _seconds(retry_after: str | None) -> float:
    """Read a `Retry-After` in seconds; a date (RFC 9110, section 10.2.3) is not waited for."""
    text = retry_after or ""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0
