"""Request bodies: read whole before the handler runs, bounded in size and time.

What is left unread of a body blocks Hypercorn's reader for good, so nothing ever is.
"""

from typing import Final, cast

import trio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .._shared.problem import Problem
from ._answers import problem_response

_SECONDS: Final = 30.0
"""For a body to arrive."""

_DRAIN_SECONDS: Final = 5.0
_DRAIN_BYTES: Final = 16 << 20
"""How much of a refused body is read, so that the client gets to read the answer."""


class BodyLimit:
    """An ASGI app around another one, which then gets each body in one message.

    Args:
        max_bytes: a larger body is answered with 413.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, then run the app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(receive)
        except Problem as problem:
            await _refuse(problem, scope, receive, send)
            return
        if body is None:
            return
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_whole() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, receive_whole, send)

    async def _read(self, receive: Receive) -> bytes | None:
        body = bytearray()
        with trio.move_on_after(_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += cast(bytes, message["body"])
                if len(body) > self._max_bytes:
                    raise Problem(
                        413, "too-large", f"a body has at most {self._max_bytes} bytes here"
                    )
                if not message["more_body"]:
                    return bytes(body)
        raise Problem(408, "too-slow", f"the body did not arrive within {_SECONDS:g} s")


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    async def send_open(message: Message) -> None:
        # The end is held back: behind it the connection is closed, unread bytes and all.
        if message["type"] == "http.response.body":
            message = {**message, "more_body": True}
        await send(message)

    await problem_response(problem)(scope, receive, send_open)
    drained = 0
    with trio.move_on_after(_DRAIN_SECONDS):
        while drained < _DRAIN_BYTES:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            drained += len(message["body"])
            if not message["more_body"]:
                break
    await send({"type": "http.response.body"})
    while (await receive())["type"] != "http.disconnect":
        pass
