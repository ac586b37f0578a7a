"""One request, and its response handed on as it comes.

Two rules. What came in one read is handed on together, and at once: just before the next read
would wait. And the reading ends in one way only: at the response's end, or by an exception that
rises in the innermost read. An exception of the receiver, raised around the library's nested
async iterators, would leave these to the garbage collector, and their connection open. So such a
failure cancels the reading, and is raised when the connection is closed.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import trio

from .before_waiting import BeforeWaiting
from .errors import transport_error
from .inflating import inflating
from .redirects import MAX_REDIRECTS, REDIRECTS, redirect_target

_CLOSE: Final = 1.0
"""Seconds that closing a connection may take; it needs none, whatever a client does then."""


class Receiver(Protocol):
    """Takes a response. What it raises ends the exchange."""

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the head, once, before all else; the headers' names are case-insensitive."""

    def feed(self, data: bytes) -> bool:
        """Take what came in one read; False if `room` has to be awaited before the next one."""

    async def room(self) -> None:
        """Wait until there is room for more."""


class Exchange:
    """An exchange that is going on: `await Exchange(receiver).run(client, request)`."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._reading = trio.CancelScope()
        self._chunks: list[bytes] = []
        self._has_room = True
        self._failure: Exception | None = None

    async def run(self, client: Any, request: Any) -> None:
        """Send a request and hand its response on, until its end. A checkpoint.

        Raises:
            TransportError: there was no connection, or it broke.
        """
        try:
            with self._reading:
                await BeforeWaiting(self._read(client, request), self._hand_on)
                self._hand_on()
        except Exception as exc:
            self._hand_on()  # what came before, in the same read
            if self._failure is None:
                error = transport_error(exc)
                if error is None:
                    raise
                raise error from exc
        if self._failure is not None:
            raise self._failure

    async def _read(self, client: Any, request: Any) -> None:
        response = await _send(client, request)
        try:
            self._receiver = inflating(self._receiver, response.headers)
            self._receiver.begin(response.status_code, response.headers)
            async for chunk in response.stream:
                self._chunks.append(chunk)
                if not self._has_room:
                    await self._wait_for_room()
        except BaseException:
            await _close(response)  # noqa: ASYNC102 - shielded and bounded inside
            raise
        await response.aclose()

    def _hand_on(self) -> None:
        if self._chunks and self._failure is None:
            try:
                self._has_room = self._receiver.feed(b"".join(self._chunks))
            except Exception as exc:
                self._fail(exc)
        self._chunks.clear()

    async def _wait_for_room(self) -> None:
        try:
            await self._receiver.room()
            self._has_room = True
        except trio.Cancelled:  # noqa: ASYNC103 - raised again by the next read
            pass
        except Exception as exc:
            self._fail(exc)

    def _fail(self, exc: Exception) -> None:
        self._failure = exc
        self._has_room = True
        self._reading.cancel(reason="the response is not wanted any more")


async def _send(client: Any, request: Any) -> Any:
    response = await client.send(request, stream=True)
    for _ in range(MAX_REDIRECTS):
        if response.status_code not in REDIRECTS:
            break
        location = response.headers.get("location", "")
        target = redirect_target(request.method, str(request.url), response.status_code, location)
        if target is None:
            break
        await _close(response)
        request.url = type(request.url)(target)
        response = await client.send(request, stream=True)
    return response


async def _close(response: Any) -> None:
    # httpcore closes the connection by itself, but forgets the request only then.
    with trio.move_on_after(_CLOSE, shield=True):
        await response.aclose()
