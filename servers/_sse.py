"""A log as a stream of server-sent events."""

from collections.abc import Sequence
from typing import Final

import trio
from starlette.types import Receive, Scope, Send

from trio_agent import Subscription
from trio_agent.abc import Entry
from trio_agent.wire import format_comment, format_sse

HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]

_HEARTBEAT: Final = format_comment()


def sse_frames(run_id: str, epoch: str, entries: Sequence[Entry]) -> bytes:
    """Encode entries as server-sent events, each with its cursor as the id."""
    prefix = f"id: {run_id}.{epoch}.".encode()
    # The JSON of an event has no newline, so that one data line holds it.
    return b"".join(
        [b"%b%d\ndata: %b\n\n" % (prefix, entry.offset, entry.data) for entry in entries]
    )


class EventStream:
    """An ASGI response that sends a subscription's events until its end.

    Everything pending goes out in one send. When the client goes away, the subscription ends;
    what becomes of the run is the run's policy. A log that can't be continued aborts the
    response, so that no client takes the end for success.
    """

    def __init__(
        self,
        subscription: Subscription,
        *,
        status: int = 200,
        location: str | None = None,
        heartbeat: float = 15.0,
    ) -> None:
        self._subscription = subscription
        self._status = status
        self._headers = [*HEADERS]
        if location is not None:
            self._headers.append((b"location", location.encode()))
        self._heartbeat = heartbeat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        with self._subscription as subscription:
            start = {
                "type": "http.response.start",
                "status": self._status,
                "headers": self._headers,
            }
            await send(start)
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body"})
                return
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_on_disconnect, receive, nursery.cancel_scope)
                await self._send_events(subscription, send)
                nursery.cancel_scope.cancel()

    async def _send_events(self, subscription: Subscription, send: Send) -> None:
        body = {"type": "http.response.body", "more_body": True}
        await send({**body, "body": format_sse(retry=1000)})
        while True:
            with trio.move_on_after(self._heartbeat) as waiting:
                try:
                    data = await subscription.receive_frames(sse_frames)
                except trio.EndOfChannel:
                    break
                except trio.BrokenResourceError:
                    return
            await send({**body, "body": _HEARTBEAT if waiting.cancelled_caught else data})
        await send({"type": "http.response.body", "body": b""})


async def _cancel_on_disconnect(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel(reason="the client went away")
