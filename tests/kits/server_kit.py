"""What the tests of the servers share: a real server in-process, a model that is driven step by
step, and a raw HTTP/1.1 client whose bytes the test controls."""

import json
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Self

import attrs
import h11
import httpx
import trio
import trio.testing
from store_kit import whole_log

from trio_agent import Agent, Run, Runtime, RuntimeLimits, open_runtime, tool
from trio_agent._nursery import open_plain_nursery
from trio_agent.abc import Model, ModelFinish, ModelPart, ModelRequest, Store, TextPart
from trio_agent.servers import Guard, Service, create_app
from trio_agent.servers.http._hypercorn import serve_asgi
from trio_agent.testing import ScriptedModel, call
from trio_agent.wire import SSEDecoder

SOON = 60.0
"""Seconds: a test that waits longer hangs, on however busy a machine."""

TOKENS = {"alice": "alice-has-a-token", "bob": "bob-has-another-one"}
ALICE = {"Authorization": "Bearer alice-has-a-token"}
BOB = {"Authorization": "Bearer bob-has-another-one"}


class StepModel(Model):
    """Says what the test tells it to, when it does. All of its runs hear the same steps."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[Any](100)
        self.asked = 0

    def say(self, *words: str) -> None:
        """Emit these, one part each, in one go."""
        self._send.send_nowait(tuple(TextPart(word) for word in words))

    def finish(self, reason: Any = "stop") -> None:
        """End the answer."""
        self._send.send_nowait(ModelFinish(reason))

    def fail(self, exc: Exception) -> None:
        """Raise in the model."""
        self._send.send_nowait(exc)

    async def generate(self, request: ModelRequest, emit: Any) -> ModelFinish:
        self.asked += 1
        while True:
            match await self._receive.receive():
                case ModelFinish() as finish:
                    return finish
                case Exception() as exc:
                    raise exc
                case parts:
                    await emit(*parts)


@tool
async def get_weather(city: str) -> str:
    """Get the weather."""
    return f"{city}: snow"


def talking_model(*words: str) -> ScriptedModel:
    """A model whose first (and only) answer is these words."""
    return ScriptedModel(words)


def endless(*answer: ModelPart | str) -> Model:
    """A model that gives the same answer to whatever it is asked."""

    class Endless(Model):
        async def generate(self, request: ModelRequest, emit: Any) -> ModelFinish:
            await emit(*[TextPart(part) if isinstance(part, str) else part for part in answer])
            return ModelFinish("stop")

    return Endless()


def weather_model() -> ScriptedModel:
    """A run with text, a tool call and a result."""
    return ScriptedModel(
        ["Look.", call("c1", "get_weather", city="Oslo")], ["Cold, ", "é\n\u2028."]
    )


@attrs.define
class Server:
    """A server of this process."""

    runtime: Runtime
    service: Service
    host: str
    port: int
    cancel: Callable[[], None]
    done: trio.Event

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def connect(self, *, receive_buffer: int | None = None) -> "Client":
        """Open a raw connection."""
        sock = trio.socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await sock.connect((self.host, self.port))
        except OSError:
            sock.close()
            raise
        return Client(trio.SocketStream(sock), f"{self.host}:{self.port}")

    async def request(self, *args: Any, **kwargs: Any) -> "Answer":
        """Ask one question on a connection of its own."""
        async with await self.connect() as client:
            return await client.request(*args, **kwargs)

    def http(self, **settings: Any) -> httpx.AsyncClient:
        """Make an httpx client."""
        return httpx.AsyncClient(base_url=self.url, trust_env=False, **settings)

    async def start(self, agent: Agent | None = None, **kwargs: Any) -> Run:
        """Start a run of the first agent, in-process."""
        agent = agent or next(iter(self.service.agents.values()))
        return await self.runtime.start(agent, "hi", **kwargs)


@asynccontextmanager
async def open_server(
    *agents: Agent | Model,
    limits: RuntimeLimits | None = None,
    store: Store | None = None,
    guard: Guard | None = None,
    heartbeat: float = 15.0,
    write_deadline: float = 10.0,
    max_connections: int = 10_000,
    seconds: float = SOON,
    wrap: Callable[[Any], Any] = lambda app: app,
    websocket_port: Callable[[], int | None] = lambda: None,
    **service: Any,
) -> AsyncIterator[Server]:
    """Open a runtime and serve it, with all knobs at hand. Leaving cancels everything."""
    made = [agent if isinstance(agent, Agent) else Agent(model=agent) for agent in agents]
    with trio.fail_after(seconds):
        async with (
            open_plain_nursery() as nursery,
            open_runtime(store=store, limits=limits, agents=made) as runtime,
        ):
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            the_service = Service(runtime, made, **service)
            host, port = listener.socket.getsockname()
            scope, done = trio.CancelScope(), trio.Event()
            app = create_app(the_service, guard, heartbeat=heartbeat, websocket_port=websocket_port)

            async def serve(task_status: trio.TaskStatus[None]) -> None:
                task_status.started()
                with scope:
                    await serve_asgi(
                        wrap(app),
                        [listener],
                        until=runtime.wait_drained,
                        write_deadline=write_deadline,
                        max_connections=max_connections,
                    )
                done.set()

            await nursery.start(serve)
            try:
                yield Server(runtime, the_service, host, port, scope.cancel, done)
            finally:
                nursery.cancel_scope.cancel()


@attrs.define
class Answer:
    """A whole response."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    complete: bool = False
    """Whether it came to its proper end."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code; checks that it has the form of our errors."""
        value = self.json
        assert self.headers["content-type"] == "application/json"
        assert set(value) == {"error"}
        code = str(value["error"]["code"])
        more = {"runId"} if code == "thread-busy" else set()
        assert set(value["error"]) == {"code", "message"} | more
        return code

    @property
    def events(self) -> list[tuple[str, Any]]:
        """Ids and JSON of the events in the body."""
        return [(event.id, json.loads(event.data)) for event in SSEDecoder().feed(self.body)]


class Client:
    """One raw connection."""

    def __init__(self, stream: trio.SocketStream, host: str) -> None:
        self.stream = stream
        self.host = host
        self._http = h11.Connection(h11.CLIENT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(self.stream)

    def encode(
        self,
        method: str,
        path: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        host: str | None = None,
    ) -> bytes:
        """The bytes of a request."""
        fields = [("Host", self.host if host is None else host), *headers]
        if body:
            fields.append(("Content-Length", str(len(body))))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields if value != "")
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body

    async def send(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes | dict[str, Any] = b"",
        *,
        host: str | None = None,
    ) -> None:
        """Send a request; a dict is sent as JSON."""
        fields = list((headers or {}).items())
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            if not any(name.lower() == "content-type" for name, _ in fields):
                fields.append(("Content-Type", "application/json"))
        await self.stream.send_all(self.encode(method, path, fields, body, host=host))
        self._expect(method)

    def _expect(self, method: str) -> None:
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        self._http.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        self._http.send(h11.EndOfMessage())

    async def receive_head(self) -> Answer:
        """Receive the head of the answer to a request that `send` sent."""
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                headers = {name.decode(): value.decode() for name, value in event.headers}
                return Answer(event.status_code, headers)
            assert isinstance(event, h11.InformationalResponse), event

    async def receive_body(self, answer: Answer, *, until: bytes | None = None) -> Answer:
        """Receive the rest, or until the body contains something."""
        while until is None or until not in answer.body:
            match await self._event():
                case h11.Data() as data:
                    answer.body += data.data
                case h11.EndOfMessage():
                    answer.complete = True
                    return answer
                case _:
                    assert until is None, f"{until!r} is not in {answer.body!r}"
                    return answer
        return answer

    async def request(self, *args: Any, **kwargs: Any) -> Answer:
        """Ask and receive the whole answer."""
        await self.send(*args, **kwargs)
        return await self.receive_body(await self.receive_head())

    async def watch(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        """Open an event stream and receive its beginning."""
        await self.send("GET", path, headers)
        answer = await self.receive_head()
        assert answer.status == 200, await self.receive_body(answer)
        return await self.receive_body(answer, until=b"retry: 1000\n\n")

    async def _event(self) -> Any:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                return None
            if event is not h11.NEED_DATA:
                return event
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError:
                return None
            self._http.receive_data(data)

    async def receive_all(self) -> bytes:
        """Receive what comes until the server closes."""
        data = b""
        try:
            async for chunk in self.stream:
                data += chunk
        except trio.BrokenResourceError:
            pass
        return data


async def settled(server: Server, *, tasks: int) -> None:
    """Wait until no connection and no viewer is left and as many tasks live as before."""
    with trio.move_on_after(SOON / 2):
        while trio.lowlevel.current_statistics().tasks_living > tasks:
            await trio.testing.wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living == tasks, _living_tasks()
    assert server.runtime.statistics().viewers == 0


def _living_tasks() -> list[str]:
    root = trio.lowlevel.current_root_task()
    names, tasks = [], [root] if root is not None else []
    while tasks:
        task = tasks.pop()
        names.append(task.name)
        tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return names


async def logged(run: Run, server: Server) -> list[tuple[str, bytes]]:
    """What a viewer has to see of a run: ids and data."""
    entries = await whole_log(server.runtime.store, run.id)
    return [(f"{run.id}.{run.cursor.epoch}.{entry.offset}", entry.data) for entry in entries]


def framed(events: Iterable[tuple[str, bytes]]) -> bytes:
    """The same as bytes of an event stream."""
    return b"".join(b"id: %b\ndata: %b\n\n" % (id_.encode(), data) for id_, data in events)


async def live_tasks() -> int:
    """How many tasks live when all is quiet."""
    await trio.testing.wait_all_tasks_blocked()
    return trio.lowlevel.current_statistics().tasks_living


class Forever(Model):
    """Never answers."""

    async def generate(self, request: object, emit: object) -> ModelFinish:  # type: ignore[override]
        await trio.sleep_forever()
        raise AssertionError


class Leaving(trio.abc.Instrument):
    """Cancels the block ``with leaving.scope:`` at one step of any task."""

    def __init__(self, point: int) -> None:
        self.scope = trio.CancelScope()
        self._left = point

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left < 0:
            self.scope.cancel()
