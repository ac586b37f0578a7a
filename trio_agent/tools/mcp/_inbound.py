"""What comes from a server, seen in the order in which it comes.

The SDK starts a task for each notification, and tasks that start at one moment run in any order:
progress would be told backwards now and then. So notifications are seen here, before the SDK has
them. So is the end, which the SDK tells only those who wait for an answer.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification

MAX_MESSAGE: Final = 16 * 2**20
"""Bytes of one message from a server."""

Reading: TypeAlias = ObjectReceiveStream[SessionMessage | Exception]
Streams: TypeAlias = tuple[Reading, ObjectSendStream[SessionMessage]]
"""What is read from a server, and what is written to it."""


class Inbound(ObjectReceiveStream[SessionMessage | Exception]):
    """Passes on what it reads.

    Args:
        stream: what is read.
        on_notification: called with each notification; must not raise.
        on_end: called when there is no more.
    """

    def __init__(
        self,
        stream: Reading,
        on_notification: Callable[[JSONRPCNotification], None],
        on_end: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._on_notification = on_notification
        self._on_end = on_end

    async def receive(self) -> SessionMessage | Exception:
        """Return what comes next. A checkpoint."""
        try:
            item = await self._stream.receive()
        except anyio.EndOfStream:
            self._on_end()
            raise
        if isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCNotification):
            self._on_notification(item.message)
        return item

    async def aclose(self) -> None:
        """Close what is read."""
        await self._stream.aclose()
