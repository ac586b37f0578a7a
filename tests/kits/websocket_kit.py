"""What the tests of the WebSocket side share: a real server, and a client whose bytes they see."""

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import attrs
import h11
import trio
import trio.testing
from server_kit import SOON, live_tasks
from store_kit import whole_log
from wsproto import ConnectionType
from wsproto.connection import Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage

from trio_agent import Agent, Run, Runtime, RuntimeLimits, open_runtime
from trio_agent._nursery import open_plain_nursery
from trio_agent.abc import Model, Store
from trio_agent.servers import Guard, Service, WebSocketServer

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@attrs.define
class WebSocketKit:
    """A server of this process."""

    runtime: Runtime
    service: Service
    port: int
    cancel: Callable[[], None]
    done: trio.Event

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def connect(self, *, receive_buffer: int | None = None) -> trio.SocketStream:
        """Open a raw connection."""
        sock = trio.socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await sock.connect(("127.0.0.1", self.port))
        return trio.SocketStream(sock)

    def handshake(self, *, path: str = "/", host: str | None = None, **headers: str) -> bytes:
        """The bytes of a handshake."""
        fields = {
            "Host": f"127.0.0.1:{self.port}" if host is None else host,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": KEY,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()

    async def refused(self, handshake: bytes) -> tuple[int, dict[str, str], Any]:
        """Send a handshake that is refused; return the answer, behind which the server closes."""
        async with await self.connect() as stream:
            await stream.send_all(handshake)
            raw = b"".join([data async for data in stream])
        http = h11.Connection(h11.CLIENT)
        http.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        http.receive_data(raw)
        http.receive_data(b"")
        head = http.next_event()
        assert isinstance(head, h11.Response), raw
        body = b""
        while isinstance(event := http.next_event(), h11.Data):
            body += event.data
        headers = {name.decode(): value.decode() for name, value in head.headers}
        return head.status_code, headers, json.loads(body) if body else None

    async def open(self, *, receive_buffer: int | None = None, **headers: str) -> "Socket":
        """Open a WebSocket."""
        stream = await self.connect(receive_buffer=receive_buffer)
        await stream.send_all(self.handshake(**headers))
        raw = b""
        while b"\r\n\r\n" not in raw:
            data = await stream.receive_some()
            assert data, raw
            raw += data
        assert raw.startswith(b"HTTP/1.1 101 "), raw
        return Socket(stream, raw.partition(b"\r\n\r\n")[2])

    async def start(self, **kwargs: Any) -> Run:
        """Start a run in-process."""
        return await self.runtime.start(next(iter(self.service.agents.values())), "hi", **kwargs)


class Socket:
    """An open WebSocket. It answers pings by itself, unless `silent`."""

    def __init__(self, stream: trio.SocketStream, received: bytes = b"") -> None:
        self.stream = stream
        self.silent = False
        self.pings = 0
        self.close_code: int | None = None
        self._ws = Connection(ConnectionType.CLIENT)
        self._ws.receive_data(received)
        self._messages: list[Any] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.stream.socket.close()

    async def send_event(self, event: Event) -> None:
        await self.stream.send_all(self._ws.send(event))

    async def send(self, message: Any) -> None:
        """Send text, bytes, or anything else as JSON."""
        if isinstance(message, bytes):
            await self.send_event(BytesMessage(data=message))
        else:
            text = message if isinstance(message, str) else json.dumps(message)
            await self.send_event(TextMessage(data=text))

    async def receive(self) -> Any:
        """Receive a message; None when the server has closed."""
        parts = ""
        while True:
            for event in self._ws.events():
                match event:
                    case TextMessage(data=data, message_finished=finished):
                        parts += data
                        if finished:
                            return json.loads(parts)
                    case Ping():
                        self.pings += 1
                        if not self.silent:
                            await self.send_event(event.response())
                    case CloseConnection(code=code):
                        self.close_code = code
                        if not self.silent and self._ws.state is not ConnectionState.CLOSED:
                            await self.send_event(event.response())
                        return None
                    case Pong():
                        return "pong"
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError:
                return None
            if not data:
                return None
            self._ws.receive_data(data)

    async def ask(self, message: Any) -> Any:
        """Send a request and receive the next message."""
        await self.send(message)
        return await self.receive()

    async def receive_run(self) -> list[Any]:
        """Receive messages until a terminal event."""
        messages = [await self.receive()]
        while not terminal(messages[-1]):
            messages.append(await self.receive())
        return messages

    async def receive_rest(self) -> list[Any]:
        """Receive messages until the server closes."""
        messages = []
        while (message := await self.receive()) is not None:
            messages.append(message)
        return messages


def terminal(message: Any) -> bool:
    assert message is not None
    return "id" in message and message["type"] in ("run-finish", "error")


@asynccontextmanager
async def open_websocket_server(
    *agents: Agent | Model,
    limits: RuntimeLimits | None = None,
    store: Store | None = None,
    guard: Guard | None = None,
    seconds: float = SOON,
    service: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[WebSocketKit]:
    """Open a runtime and serve it. Leaving cancels everything."""
    made = [agent if isinstance(agent, Agent) else Agent(model=agent) for agent in agents]
    with trio.fail_after(seconds):
        async with (
            open_plain_nursery() as nursery,
            open_runtime(store=store, limits=limits, agents=made) as runtime,
        ):
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            the_service = Service(runtime, made, **(service or {}))
            server = WebSocketServer(the_service, guard, **settings)
            scope, done = trio.CancelScope(), trio.Event()

            async def serve(task_status: trio.TaskStatus[None]) -> None:
                task_status.started()
                with scope:
                    await server.serve([listener], until=runtime.wait_drained)
                done.set()

            await nursery.start(serve)
            port = listener.socket.getsockname()[1]
            try:
                yield WebSocketKit(runtime, the_service, port, scope.cancel, done)
            finally:
                nursery.cancel_scope.cancel()


async def expected(kit: WebSocketKit, run: Run) -> list[Any]:
    """What a viewer of a run gets, from its start."""
    return [
        {
            "id": f"{run.id}.{run.cursor.epoch}.{entry.offset}",
            "runId": run.id,
            **json.loads(entry.data),
        }
        for entry in await whole_log(kit.runtime.store, run.id)
    ]


def error(code: str, request_id: object = None) -> Any:
    """An error answer, whatever its message."""

    class Answer:
        def __eq__(self, other: object) -> bool:
            assert isinstance(other, dict)
            ids = {} if request_id is None else {"requestId": request_id}
            detail = dict(other["error"])
            return bool(detail.pop("message")) and {**other, "error": detail} == {
                "type": "error",
                "error": {"code": code},
                **ids,
            }

        def __repr__(self) -> str:
            return f"error {code} {request_id}"

    return Answer()


async def tasks_between_runs(kit: WebSocketKit) -> int:
    """How many tasks live when the model was used once, and nobody is connected."""
    run = await kit.start()
    await trio.testing.wait_all_tasks_blocked()
    await run.cancel()
    return await live_tasks()


async def until_tasks(count: int) -> None:
    """Wait until no connection is left."""
    with trio.move_on_after(SOON / 2):
        while trio.lowlevel.current_statistics().tasks_living > count:
            await trio.testing.wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living == count
