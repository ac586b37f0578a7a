"""Request bodies: read whole before the handler runs, bounded in size, time and pieces.

Rules:

- What is left unread of a body blocks Hypercorn's reader for good, so nothing ever is.
- Only a POST's body is kept; elsewhere it has no meaning (RFC 9110, section 9.3.1).
- A body that says by itself that it is too large is refused before it comes.
- Large bodies share the memory that they may take until they are handed over.
"""

from typing import Final

import trio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .._shared.intake import LARGEST_AT_ONCE, Intake, Share
from .._shared.problem import Problem
from ._answers import problem_response

_SECONDS: Final = 30.0
_SLOWEST: Final = 100_000
"""For a body to arrive: so many seconds, and one more behind each so many bytes that did."""

_DRAIN_SECONDS: Final = 5.0
_DRAIN_BYTES: Final = 16 << 20
"""How much of a refused body is read, so that the client gets to read the answer."""

_PIECES: Final = 4096
_PIECE: Final = 64
"""Bytes that the pieces of a body have on average, if it has more than so many: each costs the
time of some thousand bytes."""

_DRAIN_PIECE: Final = 4096
"""Bytes that a piece counts at least where it is thrown away."""


class BodyLimit:
    """An ASGI app around another one, which then gets each body in one message.

    Args:
        max_bytes: a larger body is answered with 413.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._intake = Intake(LARGEST_AT_ONCE * max_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, then run the app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check_length(scope)
            messages = await self._read(receive, keep=scope["method"] == "POST")
        except Problem as problem:
            await refuse(problem_response(problem), scope, receive, send)
            return
        if not messages:
            return

        # The body is nowhere but in there: the answer may be a stream of hours.
        async def receive_whole() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, receive_whole, send)

    def _check_length(self, scope: Scope) -> None:
        length = Headers(scope=scope).get("content-length", "")
        # The server in front has checked its form.
        if length.isdecimal() and int(length) > self._max_bytes:
            raise self._too_large()

    def _too_large(self) -> Problem:
        return Problem(413, "too-large", f"a body has at most {self._max_bytes} bytes here")

    async def _read(self, receive: Receive, *, keep: bool) -> list[Message]:
        """Return the message that has it all; none if the client has left."""
        share = Share(self._intake)
        try:
            body = await self._receive(receive, share, keep=keep)
        finally:
            share.clear()
        return [] if body is None else [{"type": "http.request", "body": body, "more_body": False}]

    async def _receive(self, receive: Receive, share: Share, *, keep: bool) -> bytes | None:
        body = bytearray()
        size = pieces = 0
        began = trio.current_time()
        with trio.move_on_after(_SECONDS) as scope:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                # Both fields are optional in ASGI.
                piece: bytes = message.get("body", b"")
                size += len(piece)
                pieces += 1
                if size > self._max_bytes:
                    raise self._too_large()
                if pieces > _PIECES and size < pieces * _PIECE:
                    raise Problem(413, "too-large", "the body comes in too many small pieces")
                if keep:
                    if not share.grow(len(piece)):
                        words = "too many large requests at one time, try again later"
                        raise Problem(503, "limit-exceeded", words, {"retry-after": "1"})
                    body += piece
                scope.deadline = began + _SECONDS + size / _SLOWEST
                if not message.get("more_body", False):
                    return bytes(body)
        seconds = _SECONDS + size / _SLOWEST
        raise Problem(408, "too-slow", f"the body did not arrive within {seconds:.0f} s")


async def refuse(response: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request whose body was not read, and throw that away, within bounds."""

    async def send_open(message: Message) -> None:
        # The end is held back: behind it the connection is closed, unread bytes and all.
        if message["type"] == "http.response.body":
            message = {**message, "more_body": True}
        await send(message)

    await response(scope, receive, send_open)
    drained = 0
    with trio.move_on_after(_DRAIN_SECONDS):
        while drained < _DRAIN_BYTES:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            drained += max(_DRAIN_PIECE, len(message.get("body", b"")))
            if not message.get("more_body", False):
                break
    await send({"type": "http.response.body"})
    while (await receive())["type"] != "http.disconnect":
        pass
