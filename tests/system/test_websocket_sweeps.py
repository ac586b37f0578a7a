"""The WebSocket side, cut all over and cancelled at every step.

Around each end of a frame, and every few bytes between; after every byte if one asks.
"""

import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing
from log_kit import check_log
from server_kit import SOON, Forever, Leaving, get_weather, weather_model
from team_kit import make_team
from thorough_kit import ends_of_frames, places_to_cut
from trio_websocket import ConnectionClosed
from websocket_kit import WebSocketKit, expected, open_websocket_server
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import TextMessage
from wsproto.frame_protocol import FrameProtocol

from trio_agent import Agent, MemoryStore, open_runtime
from trio_agent.abc import Model
from trio_agent.servers import Service, WebSocketServer
from trio_agent.servers._shared.intake import Intake, Share
from trio_agent.servers.websocket._session import Session
from trio_agent.testing import Sweep, cancel_sweep

CUTTERS = 4
"""Tasks that cut at the same time."""


def subscribe(run_id: str, after: str | int = 0) -> bytes:
    text = json.dumps({"type": "subscribe", "runId": run_id, "after": after})
    return Connection(ConnectionType.CLIENT).send(TextMessage(data=text))


async def shake_hands(kit: WebSocketKit, stream: trio.SocketStream) -> bytes:
    await stream.send_all(kit.handshake())
    raw = b""
    while b"\r\n\r\n" not in raw:
        data = await stream.receive_some(1)
        if not data:
            raise trio.BrokenResourceError
        raw += data
    return raw


async def receive_exactly(stream: trio.SocketStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await stream.receive_some(count - len(data))
    return data


def read_messages(raw: bytes) -> list[Any]:
    """What a client has of a connection that was cut there."""
    protocol = FrameProtocol(client=True, extensions=[])
    protocol.receive_bytes(raw.partition(b"\r\n\r\n")[2])
    messages, text = [], ""
    for frame in protocol.received_frames():
        text += frame.payload
        if frame.message_finished:
            messages.append(json.loads(text))
            text = ""
    return messages


async def test_replay_is_cut_after_every_byte() -> None:
    agent = Agent(model=weather_model(), tools=[get_weather])
    async with open_websocket_server(agent, seconds=6 * SOON) as kit:
        run = await kit.start()
        await run.wait()
        events = await expected(kit, run)
        async with await kit.connect() as stream:
            raw = head = await shake_hands(kit, stream)
            await stream.send_all(subscribe(run.id))
            while b'"run-finish"' not in raw or read_messages(raw)[-1] != events[-1]:
                raw += await stream.receive_some()
        assert read_messages(raw)[1:] == events
        ends = ends_of_frames(raw)
        assert len(ends) > len(events)
        assert ends[-1] == len(raw)
        places = iter(places_to_cut(raw, ends))

        async def cut() -> None:
            async with await kit.open() as resuming:
                for place in places:
                    async with await kit.connect() as stream:
                        if place < len(head):
                            await stream.send_all(kit.handshake())
                            await receive_exactly(stream, place)
                            seen = []
                        else:
                            await shake_hands(kit, stream)
                            await stream.send_all(subscribe(run.id))
                            body = await receive_exactly(stream, place - len(head))
                            seen = read_messages(head + body)[1:]
                    after = seen[-1]["id"] if seen else 0
                    answer = await resuming.ask(
                        {"type": "subscribe", "runId": run.id, "after": after}
                    )
                    assert answer["type"] == "subscribed"
                    rest = [] if answer.get("ended") else await resuming.receive_run()
                    assert seen + rest == events, place

        async with trio.open_nursery() as nursery:
            for _ in range(CUTTERS):
                nursery.start_soon(cut)
        assert len(raw) > 1000


async def test_a_run_with_sub_agents_is_cut_in_the_middle_and_goes_on() -> None:
    """Behind each of its messages, while it is under way."""
    async with open_websocket_server(make_team(), seconds=2 * SOON) as kit:
        for place in range(1, 60):
            async with await kit.open() as socket:
                await socket.send({"prompt": "x"})
                assert (await socket.receive())["type"] == "started"
                seen = [await socket.receive() for _ in range(place)]
            async with await kit.open() as socket:
                request = {"type": "subscribe", "runId": seen[-1]["runId"], "after": seen[-1]["id"]}
                assert (await socket.ask(request))["type"] == "subscribed"
                rest = await socket.receive_run()
            run = await kit.runtime.find(seen[0]["runId"])
            assert seen + rest == await expected(kit, run), place
            assert sum(message["type"] == "nested" for message in rest + seen) > 40


class Browser:
    """A client without a socket: what was sent to it counts, as on a socket."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.messages: list[Any] = []
        self._news = trio.Event()
        self._send, self._receive = trio.open_memory_channel[str](100)
        self._buffer = FrameProtocol(client=True, extensions=[])
        self.closed: object = None
        self.share = Share(Intake(0))

    # What a session uses of trio-websocket and of the stream.
    async def get_message(self) -> str:
        try:
            message = await self._receive.receive()
            assert self.share.grow(len(message))
            return message
        except trio.EndOfChannel:
            raise ConnectionClosed(None) from None

    async def ping(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send_if(self, wanted: Callable[[], bool], data: bytes) -> bool:
        await trio.lowlevel.checkpoint()
        if not wanted():
            return False
        self._buffer.receive_bytes(data)
        for frame in self._buffer.received_frames():
            self.messages.append(json.loads(frame.payload))
        self._news.set()
        self._news = trio.Event()
        return True

    async def play(self, *requests: Any, until: str) -> "Browser":
        """Connect, ask, and leave when a message of that type has come."""
        websocket: Any = self
        session = Session(
            self._service,
            None,
            websocket,
            websocket,
            drained=trio.Event(),
            ping_interval=1,
            pong_deadline=1,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            for request in requests:
                self._send.send_nowait(json.dumps(request))
            while not any(message["type"] == until for message in self.messages):
                await self._news.wait()
            self._send.close()
        return self

    @property
    def events(self) -> list[Any]:
        return [message for message in self.messages if "id" in message]


async def check(store: MemoryStore, browsers: list[Browser]) -> None:
    """What holds wherever it was cut: whole logs, and nobody saw anything else."""
    logs = {}
    for info in await store.find(None, None, 100):
        run_id = info.record.run_id
        entries = (await store.read(run_id, 0, 10_000)).entries
        check_log([event for entry in entries if (event := entry.event) is not None])
        logs[run_id] = [
            {
                "id": f"{run_id}.{info.record.epoch}.{entry.offset}",
                "runId": run_id,
                **json.loads(entry.data),
            }
            for entry in entries
        ]
    for browser in browsers:
        for run_id in {event["runId"] for event in browser.events}:
            seen = [event for event in browser.events if event["runId"] == run_id]
            start = logs[run_id].index(seen[0])
            assert seen == logs[run_id][start : start + len(seen)]


SCENARIOS: dict[str, tuple[Callable[[], Model], Any]] = {}


def scenario(model: Callable[[], Model]) -> Callable[[Any], Any]:
    def register(play: Any) -> Any:
        SCENARIOS[play.__name__] = model, play
        return play

    return register


@scenario(weather_model)
async def start_and_follow(browse: Any) -> None:
    browser = await browse({"prompt": "x"}, until="run-finish")
    assert browser.messages[0]["type"] == "started"


@scenario(weather_model)
async def start_leave_and_resume(browse: Any) -> None:
    first = await browse({"prompt": "x"}, until="text-delta")
    last = first.events[-1]
    if last["type"] != "run-finish":
        request = {"type": "subscribe", "runId": last["runId"], "after": last["id"]}
        await browse(request, until="run-finish")


@scenario(Forever)
async def subscribe_unsubscribe_cancel(browse: Any) -> None:
    started = await browse({"prompt": "x", "follow": False}, until="started")
    run_id = started.messages[0]["runId"]
    requests = [{"type": t, "runId": run_id} for t in ("subscribe", "unsubscribe", "cancel")]
    await browse(*requests, until="cancelled")


@scenario(Forever)
async def leaving_cancels(browse: Any) -> None:
    await browse({"prompt": "x", "onDisconnect": "cancel"}, until="step-start")


@pytest.mark.parametrize("name", SCENARIOS)
def test_session_cancelled_with_its_runtime(name: str) -> None:
    make_model, play = SCENARIOS[name]

    async def round_(sweep: Sweep) -> None:
        store, browsers = MemoryStore(), []
        with sweep:
            async with open_runtime(store=store) as runtime:
                service = Service(runtime, [Agent(model=make_model(), tools=[get_weather])])

                async def browse(*requests: Any, until: str) -> Browser:
                    browsers.append(Browser(service))
                    return await browsers[-1].play(*requests, until=until)

                await play(browse)
                assert runtime.statistics().viewers == 0
        await check(store, browsers)

    assert cancel_sweep(round_) > 20


@pytest.mark.parametrize("name", SCENARIOS)
def test_session_cancelled_while_runs_go_on(name: str) -> None:
    make_model, play = SCENARIOS[name]

    async def round_(leaving: Leaving) -> None:
        store, browsers = MemoryStore(), []
        async with open_runtime(store=store) as runtime:
            service = Service(runtime, [Agent(model=make_model(), tools=[get_weather])])

            async def browse(*requests: Any, until: str) -> Browser:
                browsers.append(Browser(service))
                return await browsers[-1].play(*requests, until=until)

            trio.lowlevel.add_instrument(leaving)
            with leaving.scope:
                await play(browse)
            trio.lowlevel.remove_instrument(leaving)
            await trio.testing.wait_all_tasks_blocked()
            assert runtime.statistics().viewers == 0
            for info in await store.find(None, None, 100):
                assert info.viewers == 0
                if make_model is not Forever:
                    assert not info.active
                elif name == "leaving_cancels":
                    assert not (info.active and any(browser.messages for browser in browsers))
            await runtime.drain(0)
        await check(store, browsers)

    for point in itertools.count():  # pragma: no branch
        leaving = Leaving(point)
        trio.run(round_, leaving, clock=trio.testing.MockClock(autojump_threshold=0))
        if not leaving.scope.cancelled_caught:
            break
    assert point > 20


async def test_connection_cancelled_at_every_step() -> None:
    """A real connection: whatever step it is cut off at, nothing of it is left."""
    agent = Agent(model=weather_model(), tools=[get_weather])
    async with open_runtime() as runtime:
        service = Service(runtime, [agent])
        run = await runtime.start(agent, "x")
        await run.wait()
        server = WebSocketServer(service)
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        kit = WebSocketKit(runtime, service, listener.socket.getsockname()[1], print, trio.Event())
        events = await expected(kit, run)

        async def round_(leaving: Leaving) -> bytes:
            raw = b""
            async with await kit.connect() as client, trio.open_nursery() as nursery:
                stream = await listener.accept()

                async def serve() -> None:
                    with leaving.scope:
                        await server.serve_connection(stream)

                nursery.start_soon(serve)
                trio.lowlevel.add_instrument(leaving)
                with suppress(trio.BrokenResourceError):
                    raw = await shake_hands(kit, client)
                    await client.send_all(subscribe(run.id))
                    while b'"run-finish"' not in raw:
                        data = await client.receive_some()
                        if not data:
                            break
                        raw += data
                client.socket.close()
            trio.lowlevel.remove_instrument(leaving)
            return raw

        async with listener:
            await trio.testing.wait_all_tasks_blocked()
            tasks = trio.lowlevel.current_statistics().tasks_living
            for point in itertools.count():  # pragma: no branch
                leaving = Leaving(point)
                with trio.fail_after(SOON):
                    raw = await round_(leaving)
                seen = read_messages(raw)[1:]
                assert seen == events[: len(seen)]
                assert runtime.statistics().viewers == 0
                assert trio.lowlevel.current_statistics().tasks_living == tasks
                if not leaving.scope.cancel_called:
                    break
        assert seen == events
        assert point > 20
