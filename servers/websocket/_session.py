"""One WebSocket connection: its requests, answered in order, and the runs that it follows.

What waits for a client that does not read is bounded: requests by their number and their bytes,
and for each run that it follows one page of events, which is read only when the last one was sent.
"""

import logging
from contextlib import suppress
from typing import Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from trio_agent import Cursor, CursorExpired, Run, Subscription

from .._shared.guard import Caller
from .._shared.problem import Problem, problem_of
from .._shared.service import Service
from ._closing_stream import ClosingStream
from ._frames import answer_frame, event_frames
from ._requests import (
    MAX_MESSAGE,
    AnswerRequest,
    BadRequest,
    CancelRequest,
    Request,
    SayRequest,
    StartRequest,
    SubscribeRequest,
    UnsubscribeRequest,
    read_request,
)

logger = logging.getLogger("trio_agent.servers")

MAX_SUBSCRIPTIONS: Final = 100
MAX_QUEUED: Final = 64
MAX_QUEUED_BYTES: Final = 1 << 20
"""Requests that wait for their turn; more are refused at once."""

_FIRST_REQUEST: Final = 30.0
"""Seconds that a client may take to ask for something; so long it is a stranger."""

_FIRST_SLOWEST: Final = 256 << 10
"""Bytes of a long first request that have to come in each such time."""

_CLOSE: Final = 2.0
"""Seconds that it may take to answer a Close frame."""

_POLICY_VIOLATION: Final = 1008

_MAX_FRAGMENTS: Final = 10_000
_FRAGMENT: Final = 128
"""Pieces of one message, and bytes of the largest one for which there may be one more. They are
looked at with each ping: the library counts only characters."""

_LAST_EVENTS: Final = 3.0
"""Seconds that a drained client may take to receive the last events of its runs."""


class _Following:
    """A run that a connection follows, until its terminal event was sent."""

    def __init__(self, run: Run, after: Cursor | str | int) -> None:
        self.run = run
        self.subscription = run.subscribe(after=after)
        self.sent = self.subscription.cursor
        """Everything up to here was sent."""
        self.scope = trio.CancelScope()
        self.done = trio.Event()

    def answer(self, kind: str, request_id: str | int | None) -> bytes:
        """Encode the answer that it begins with."""
        if self.run.finished and self.sent == self.run.cursor:
            # Nothing will come, and this is how the client learns it.
            return answer_frame(kind, request_id, runId=self.run.id, ended=True)
        return answer_frame(kind, request_id, runId=self.run.id)


class Session:
    """What happens on a connection behind its handshake.

    Args:
        service: what is served.
        caller: who sent the handshake.
        websocket: the connection, whose reader task runs already.
        stream: what it sends through.
        drained: is set when everybody has to leave.
        ping_interval: seconds between two pings.
        pong_deadline: seconds after which a peer that does not answer one is cut off.
        max_message: bytes of a request.
    """

    def __init__(
        self,
        service: Service,
        caller: Caller,
        websocket: WebSocketConnection,
        stream: ClosingStream,
        *,
        drained: trio.Event,
        ping_interval: float,
        pong_deadline: float,
        max_message: int = MAX_MESSAGE,
    ) -> None:
        self._service = service
        self._caller = caller
        self._websocket = websocket
        self._stream = stream
        self._drained = drained
        self._ping_interval = ping_interval
        self._pong_deadline = pong_deadline
        self._max_message = max_message
        self._max_fragments = _MAX_FRAGMENTS + max_message // _FRAGMENT
        self._followed: dict[str, _Following] = {}
        self._send_request, self._requests = trio.open_memory_channel[
            tuple[Request | BadRequest, int]
        ](MAX_QUEUED)
        self._queued_bytes = 0
        self._held_bytes = 0
        self._asked = trio.Event()

    async def run(self) -> None:
        """Serve until the client is gone, or was told that everybody has to leave."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._receive, nursery.cancel_scope)
                nursery.start_soon(self._await_request)
                nursery.start_soon(self._ping)
                answering = trio.CancelScope()
                nursery.start_soon(self._answer_requests, nursery, answering)
                await self._drained.wait()
                await self._take_leave(answering)
                nursery.cancel_scope.cancel(reason="drained")
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # The client was cut off, or left while something was being sent.

    async def _receive(self, scope: trio.CancelScope) -> None:
        # Always reading: pings, pongs and the end of the connection come the same way.
        with suppress(ConnectionClosed):
            while True:
                message = await self._websocket.get_message()
                request: Request | BadRequest
                try:
                    request = read_request(message, self._max_message)
                except BadRequest as exc:
                    request = exc
                else:
                    self._asked.set()
                enqueued = self._enqueue(request, len(message))
                # What came behind it is no more than the beginning of the next one.
                self._stream.share.shrink(self._stream.share.size - self._held_bytes)
                if not enqueued:
                    # No answer waits in memory: this one is sent before the next one is read.
                    problem = Problem(503, "limit-exceeded", "too many requests are waiting")
                    await self._refuse(problem, request.request_id)
                del message, request  # the next one may be long in coming
        scope.cancel(reason="the client is gone")

    async def _await_request(self) -> None:
        received = -_FIRST_SLOWEST
        while self._stream.share.size - received >= _FIRST_SLOWEST:
            received = self._stream.share.size
            with trio.move_on_after(_FIRST_REQUEST):
                await self._asked.wait()
                return
        with trio.move_on_after(_CLOSE):
            await self._websocket.aclose(_POLICY_VIOLATION, "no request came")
        self._stream.close()

    def _enqueue(self, request: Request | BadRequest, size: int) -> bool:
        if self._queued_bytes and self._queued_bytes + size > MAX_QUEUED_BYTES:
            return False
        try:
            self._send_request.send_nowait((request, size))
        except trio.WouldBlock:
            return False
        self._queued_bytes += size
        self._held_bytes += size
        return True

    async def _answer_requests(self, nursery: trio.Nursery, scope: trio.CancelScope) -> None:
        with scope:
            async for request, size in self._requests:
                self._queued_bytes -= size
                try:
                    if isinstance(request, BadRequest):
                        raise request.problem
                    await self._answer(request, nursery)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    raise
                except Exception as exc:
                    problem = problem_of(exc)
                    if problem.status == 500:
                        logger.error("a WebSocket request failed by a bug", exc_info=exc)
                    await self._refuse(problem, request.request_id)
                del request
                self._held_bytes -= size
                self._stream.share.shrink(size)

    async def _answer(self, request: Request, nursery: trio.Nursery) -> None:
        match request:
            case StartRequest():
                await self._start(request, nursery)
            case SubscribeRequest():
                run = await self._service.run(self._caller, request.run_id)
                if run.id in self._followed:
                    raise Problem(409, "already-subscribed", "this connection follows that run")
                self._check_room()
                following = _Following(run, request.after)
                answer = following.answer("subscribed", request.request_id)
                await nursery.start(self._pump, following, answer)
            case UnsubscribeRequest():
                if (unwanted := self._followed.get(request.run_id)) is not None:
                    unwanted.scope.cancel(reason="unsubscribed")
                    await unwanted.done.wait()
                await self._send(
                    answer_frame("unsubscribed", request.request_id, runId=request.run_id)
                )
            case CancelRequest():
                await self._cancel(request)
            case AnswerRequest():
                reply = await self._service.answer(self._caller, request.run_id, request)
                await self._send(answer_frame("answered", request.request_id, **reply))
            case SayRequest():
                reply = await self._service.say(self._caller, request.run_id, request)
                await self._send(answer_frame("said", request.request_id, **reply))

    async def _start(self, request: StartRequest, nursery: trio.Nursery) -> None:
        if request.follow:
            self._check_room()
        run = await self._service.start(self._caller, request, key=request.key)
        if request.follow and run.id not in self._followed:
            following = _Following(run, 0)
            answer = following.answer("started", request.request_id)
            await nursery.start(self._pump, following, answer)
        else:
            await self._send(answer_frame("started", request.request_id, runId=run.id))

    async def _cancel(self, request: CancelRequest) -> None:
        receipt = await self._service.cancel(self._caller, request.run_id) or {}
        answer = answer_frame("cancelled", request.request_id, runId=request.run_id, **receipt)
        await self._send(answer)

    def _check_room(self) -> None:
        if len(self._followed) >= MAX_SUBSCRIPTIONS:
            message = f"a connection follows at most {MAX_SUBSCRIPTIONS} runs at one time"
            raise Problem(503, "limit-exceeded", message)

    async def _pump(
        self, following: _Following, answer: bytes, task_status: trio.TaskStatus[None]
    ) -> None:
        failure: Exception | None = None
        with following.subscription as subscription:
            await self._send(answer)
            self._followed[following.run.id] = following
            task_status.started()
            try:
                with following.scope:
                    failure = await self._send_events(following, subscription)
            finally:
                del self._followed[following.run.id]
                following.done.set()
        if failure is not None:
            problem = problem_of(failure)
            await self._send(
                answer_frame(
                    "subscription-error",
                    runId=following.run.id,
                    after=str(following.sent),
                    error=problem.error,
                )
            )

    async def _send_events(
        self, following: _Following, subscription: Subscription
    ) -> Exception | None:
        """Send all events, and return what kept the last ones from coming."""
        while True:
            try:
                frames = await subscription.receive_frames(event_frames)
            except trio.EndOfChannel:
                return None
            except CursorExpired as exc:
                return exc
            except trio.BrokenResourceError as exc:
                return exc.__cause__ if isinstance(exc.__cause__, Exception) else exc
            await self._send(frames)
            following.sent = subscription.cursor

    async def _send(self, frames: bytes) -> None:
        # Behind a Close frame nothing may follow (RFC 6455, section 5.5.1).
        await self._stream.send_if(self._is_open, frames)

    def _is_open(self) -> bool:
        return self._websocket.closed is None

    async def _refuse(self, problem: Problem, request_id: str | int | None) -> None:
        await self._send(answer_frame("error", request_id, error=problem.error))

    async def _ping(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                await trio.sleep(self._ping_interval)
                parts = self._websocket._message_parts  # noqa: SLF001 - of what is not whole yet
                if len(parts) > self._max_fragments:
                    self._stream.close()
                    return
                with trio.move_on_after(self._pong_deadline) as scope:
                    await self._websocket.ping()
                if scope.cancelled_caught:
                    self._stream.close()

    async def _take_leave(self, answering: trio.CancelScope) -> None:
        """Send the last events of runs that have ended, and tell where the others stand."""
        with trio.move_on_after(_LAST_EVENTS):
            for following in list(self._followed.values()):
                if following.subscription.ended:
                    await following.done.wait()
        answering.cancel(reason="drained")
        left = list(self._followed.values())
        for following in left:
            following.scope.cancel(reason="drained")
            await following.done.wait()
        cursors = {following.run.id: str(following.sent) for following in left}
        await self._send(answer_frame("draining", cursors=cursors))
