"""A scripted HTTP server on a real socket: what the scripted providers share."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

import attrs
import h11
import trio

from .._nursery import open_plain_nursery

_MAX_BODY = 16 << 20
_READ_SIZE = 1 << 16
_STREAM_HEADERS = [("content-type", "text/event-stream"), ("cache-control", "no-cache")]


@attrs.frozen
class Status:
    """The answer is a plain response instead of a stream. Made by `status`."""

    code: int
    headers: Mapping[str, str]
    body: bytes


Step: TypeAlias = "bytes | Status | Callable[[Exchange], Awaitable[None]] | Iterable[Step]"
"""Bytes are sent as they are; the rest is made by the functions of this module."""

Answer: TypeAlias = Iterable[Step]
"""The steps of one answer. What ends a stream follows by itself, unless `end()` is the last."""

Script: TypeAlias = "Iterable[Answer | Callable[[RecordedRequest], Answer]]"
"""One answer for each call; a function makes its answer when it sees the request."""


class _Cut(Exception):
    """The connection is to be closed as it is."""


def pause(event: trio.Event) -> Step:
    """Go on when the event is set."""

    async def play(_: "Exchange") -> None:
        await event.wait()

    return play


def sleep(seconds: float) -> Step:
    """Go on later."""

    async def play(_: "Exchange") -> None:
        await trio.sleep(seconds)

    return play


def hang() -> Step:
    """Never go on."""
    return sleep(float("inf"))


def cut() -> Step:
    """Close the connection in the middle of a chunk."""

    async def play(exchange: "Exchange") -> None:
        await exchange.send()
        await exchange.send_raw(b"100\r\ndata: {")
        raise _Cut

    return play


def end() -> Step:
    """End the response properly, but without `[DONE]`."""

    async def play(exchange: "Exchange") -> None:
        await exchange.finish()

    return play


def status(
    code: int, headers: Mapping[str, str] | None = None, body: bytes | Mapping[str, Any] = b""
) -> Status:
    """Answer with a plain response: the only step of its answer. A mapping becomes JSON."""
    if isinstance(body, bytes):
        return Status(code, headers or {}, body)
    head = {"content-type": "application/json", **(headers or {})}
    return Status(code, head, json.dumps(body).encode())


@attrs.frozen(eq=False)
class RecordedRequest:
    """A request that the server got."""

    method: str
    path: str
    headers: Mapping[str, str]
    """With names in lower case."""
    body: Any
    """The JSON value of the body; its text if it is no JSON; None if it is empty."""
    disconnected: trio.Event = attrs.field(factory=trio.Event, repr=False)
    """Set when the client closed the connection before the answer was complete."""


@attrs.define(eq=False)
class ScriptedServer:
    """The running server and what it saw."""

    base_url: str
    """What clients take as the provider's base URL."""
    requests: list[RecordedRequest] = attrs.field(factory=list, init=False)
    """All requests, the oldest first."""
    connections: int = attrs.field(default=0, init=False)
    """How many connections were made."""


async def serve_script(
    script: Script,
    respond: Callable[[RecordedRequest], Answer | None],
    *,
    path: str,
    last_words: bytes = b"",
    refuse: Callable[[int, str], Status],
    port: int = 0,
    task_status: trio.TaskStatus[ScriptedServer] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a script on the loopback interface, forever.

    Args:
        script: the answers. It may be infinite (`itertools.repeat`).
        respond: answers a request by itself, such as one that the provider would refuse; None
            if the next answer of the script is due.
        path: of the base URL.
        last_words: end a stream that has said all.
        refuse: makes a provider's error out of a status and a message.
        port: by default any free one.
        task_status: told when the server listens.
    """
    (listener,) = await trio.open_tcp_listeners(port, host="127.0.0.1")
    _, port = listener.socket.getsockname()
    server = ScriptedServer(f"http://127.0.0.1:{port}{path}")
    answers = iter(script)

    def answer_of(request: RecordedRequest) -> Answer:
        if (answer := respond(request)) is not None:
            return answer
        scripted = next(answers, None)
        if scripted is None:
            return [refuse(400, "the script has no more answers")]
        return scripted(request) if callable(scripted) else scripted

    async def handle(stream: trio.SocketStream) -> None:
        server.connections += 1
        async with stream:
            # Whoever leaves, or can't speak HTTP, loses the connection and nothing else.
            with suppress(trio.BrokenResourceError, h11.RemoteProtocolError, _Cut):
                exchange = Exchange(stream, last_words)
                while (request := await exchange.receive_request()) is not None:
                    server.requests.append(request)
                    await exchange.play(answer_of(request), request.disconnected)

    task_status.started(server)
    await trio.serve_listeners(handle, [listener])


@asynccontextmanager
async def open_script(
    serve: Callable[..., Awaitable[None]], script: Iterable[Any], *, port: int = 0
) -> AsyncGenerator[ScriptedServer]:
    """Run a function like `serve_script` while the context lasts."""
    async with open_plain_nursery() as nursery:
        yield await nursery.start(partial(serve, script, port=port))
        nursery.cancel_scope.cancel()


class Exchange:
    """One connection: reads requests and plays answers."""

    def __init__(self, stream: trio.SocketStream, last_words: bytes) -> None:
        self._stream = stream
        self._last_words = last_words
        self._http = h11.Connection(h11.SERVER)

    async def receive_request(self) -> RecordedRequest | None:
        """Receive the next request, or None if the client is gone."""
        if self._http.our_state is h11.MUST_CLOSE:
            return None
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        head: h11.Request | None = None
        body = b""
        while True:
            event = self._http.next_event()
            match event:
                case h11.NEED_DATA:
                    self._http.receive_data(await self._stream.receive_some(_READ_SIZE))
                case h11.Request():
                    head = event
                case h11.Data():
                    body += event.data
                    if len(body) > _MAX_BODY:
                        return None
                case h11.EndOfMessage():
                    break
                case _:
                    return None
        assert head is not None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        try:
            value = json.loads(body) if body else None
        except ValueError:
            value = body.decode("utf-8", "replace")
        return RecordedRequest(head.method.decode(), head.target.decode(), headers, value)

    async def play(self, answer: Answer, disconnected: trio.Event) -> None:
        """Play an answer until it is over or the client leaves."""
        try:
            async with open_plain_nursery() as nursery:
                nursery.start_soon(self._watch, disconnected, nursery.cancel_scope)
                await self._play(answer)
                if self._http.our_state in (h11.SEND_RESPONSE, h11.SEND_BODY):
                    await self.send(*([self._last_words] if self._last_words else []))
                    await self.finish()
                nursery.cancel_scope.cancel("the answer is over")
        except trio.BrokenResourceError:
            disconnected.set()
        if disconnected.is_set():
            raise _Cut

    async def send(self, *chunks: bytes) -> None:
        """Send chunks of a stream in one write, after the head of the response if need be."""
        data = b""
        if self._http.our_state is h11.SEND_RESPONSE:
            data = self._encode(h11.Response(status_code=200, headers=_STREAM_HEADERS))
        await self.send_raw(data + b"".join(self._encode(h11.Data(data=chunk)) for chunk in chunks))

    async def send_raw(self, data: bytes) -> None:
        """Write to the socket."""
        await self._stream.send_all(data)

    async def finish(self) -> None:
        """End the response properly."""
        if self._http.our_state is h11.SEND_RESPONSE:
            await self.send()
        await self.send_raw(self._encode(h11.EndOfMessage()))

    async def _play(self, step: Step) -> None:
        if isinstance(step, bytes):
            await self.send(step)
        elif isinstance(step, Status):
            headers = {"content-length": str(len(step.body)), **step.headers}
            head = h11.Response(status_code=step.code, headers=list(headers.items()))
            await self.send_raw(self._encode(head) + self._encode(h11.Data(data=step.body)))
            await self.finish()
        elif callable(step):
            await step(self)
        else:
            for part in step:
                await self._play(part)

    async def _watch(self, disconnected: trio.Event, playing: trio.CancelScope) -> None:
        try:
            data = await self._stream.receive_some(_READ_SIZE)
        except trio.BrokenResourceError:
            data = b""
        if data:
            self._http.receive_data(data)
        else:
            disconnected.set()
            playing.cancel("the client left")

    def _encode(self, event: h11.Event) -> bytes:
        return self._http.send(event) or b""
