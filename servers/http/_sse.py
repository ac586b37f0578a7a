"""A log as a stream of server-sent events."""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio
from starlette.types import Receive, Scope, Send

from trio_agent import CursorExpired, Subscription
from trio_agent.abc import Entry
from trio_agent.wire import format_comment, format_sse

HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}

_HEARTBEAT: Final = format_comment()

_RETRY: Final = 1000
"""Milliseconds until a client that was cut off comes back."""

_RETRY_ELSEWHERE: Final = (100, 2000)
"""The same for all that are sent away at once, at least and at most."""


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

    Args:
        subscription: what is sent; closed at the end.
        location: where the run is; the header.
        heartbeat: seconds of silence after which a comment is sent.
        leaving: returns when clients are to go on at another server, or later: then the response
            ends, but behind the last event if the run has ended.
    """

    def __init__(
        self,
        subscription: Subscription,
        *,
        location: str | None = None,
        heartbeat: float = 15.0,
        leaving: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._subscription = subscription
        self._headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        if location is not None:
            self._headers.append((b"location", location.encode()))
        self._heartbeat = heartbeat
        self._leaving = leaving
        self._quiet_since = trio.current_time()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        with self._subscription as subscription:
            start = {
                "type": "http.response.start",
                "status": 200,
                "headers": self._headers,
            }
            await send(start)
            complete = False

            async def send_events() -> None:
                nonlocal complete
                complete = await self._send_events(subscription, send)
                nursery.cancel_scope.cancel(reason="all is sent")

            async with trio.open_nursery() as nursery:
                # A task of its own: below the app and its routes, each wake-up would have to find
                # its way through them.
                nursery.start_soon(send_events)
                nursery.start_soon(self._send_heartbeats, send)
                if self._leaving is not None:
                    nursery.start_soon(_close_when, self._leaving, subscription)
                await _wait_disconnect(receive)
                nursery.cancel_scope.cancel(reason="the client went away")
            if complete:
                # Not beside the reader: Hypercorn tells it of a disconnect before this send has
                # closed or recycled the connection, which must not be cancelled.
                await send({"type": "http.response.body", "body": b""})

    async def _send_events(self, subscription: Subscription, send: Send) -> bool:
        """Send all but the end, and tell whether there is one."""
        data = format_sse(retry=_RETRY)
        while True:
            self._quiet_since = trio.current_time()
            await send({"type": "http.response.body", "body": data, "more_body": True})
            try:
                data = await subscription.receive_frames(sse_frames)
            except trio.EndOfChannel:
                return True
            except trio.ClosedResourceError:
                data = format_sse(retry=random.randint(*_RETRY_ELSEWHERE))  # noqa: S311
                await send({"type": "http.response.body", "body": data, "more_body": True})
                return True
            except (trio.BrokenResourceError, CursorExpired):
                return False

    async def _send_heartbeats(self, send: Send) -> None:
        # A task of its own: a deadline around each wait for events would cost more than the wait.
        while True:
            due = self._quiet_since + self._heartbeat
            if trio.current_time() < due:
                await trio.sleep_until(due)
            else:
                self._quiet_since = trio.current_time()
                await send({"type": "http.response.body", "body": _HEARTBEAT, "more_body": True})


async def _wait_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _close_when(leaving: Callable[[], Awaitable[object]], subscription: Subscription) -> None:
    # Not cancelled: what is being sent is sent whole.
    await leaving()
    if not subscription.ended:
        subscription.close()
