"""The handlers, cancelled at every step: each run ends once or goes on, and nothing is left."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from log_kit import check_log
from server_kit import Forever, Leaving, get_weather, weather_model
from starlette.types import Message

from trio_agent import Agent, MemoryStore, open_runtime
from trio_agent.abc import Model
from trio_agent.servers import Service, create_app
from trio_agent.testing import Sweep, cancel_sweep
from trio_agent.wire import SSEDecoder


class Browser:
    """Talks to the app without a socket; what was sent by then counts, as on a socket."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.status = 0
        self.body = b""
        self.complete = False

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        accept: str = "*/*",
        leave_at: bytes | None = None,
    ) -> "Browser":
        """Ask one question; `leave_at` is what to see before leaving in the middle."""
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [
                (b"host", b"localhost"),
                (b"accept", accept.encode()),
                (b"content-type", b"application/json"),
            ],
        }
        data = b"" if body is None else json.dumps(body).encode()
        messages: list[Message] = [{"type": "http.request", "body": data, "more_body": False}]
        gone = trio.Event()

        async def receive() -> Message:
            await trio.lowlevel.checkpoint()
            if messages:
                return messages.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            await trio.lowlevel.checkpoint()
            if message["type"] == "http.response.start":
                self.status = message["status"]
            else:
                self.body += message.get("body", b"")
                self.complete = not message.get("more_body", False)
            if leave_at is not None and leave_at in self.body:
                gone.set()

        await self._app(scope, receive, send)
        return self

    @property
    def events(self) -> list[tuple[str, bytes]]:
        return [(event.id, event.data.encode()) for event in SSEDecoder().feed(self.body)]


async def check(store: MemoryStore, browsers: list[Browser]) -> None:
    """What holds wherever it was cut: whole logs, and nobody saw anything else."""
    infos = await store.find(None, None, 100)
    logs = {}
    for info in infos:
        entries = (await store.read(info.record.run_id, 0, 10_000)).entries
        check_log([event for entry in entries if (event := entry.event) is not None])
        prefix = f"{info.record.run_id}.{info.record.epoch}"
        logs[info.record.run_id] = [(f"{prefix}.{entry.offset}", entry.data) for entry in entries]
    for browser in browsers:
        seen = browser.events
        log = logs.get(seen[0][0].partition(".")[0]) if seen else None
        if log is not None:  # else it was deleted
            start = log.index(seen[0])
            assert seen == log[start : start + len(seen)]
            if browser.complete:
                assert seen[-1] == log[-1]


SCENARIOS: dict[str, tuple[Callable[[], Model], Any]] = {}


def scenario(model: Callable[[], Model]) -> Callable[[Any], Any]:
    def register(play: Any) -> Any:
        SCENARIOS[play.__name__] = model, play
        return play

    return register


@scenario(weather_model)
async def start_and_watch(ask: Any) -> None:
    answer = await ask("POST", "/runs", {"prompt": "x"}, accept="text/event-stream")
    assert (answer.status, answer.complete) == (200, True)


@scenario(weather_model)
async def start_then_watch_and_leave_then_resume(ask: Any) -> None:
    started = json.loads((await ask("POST", "/runs", {"prompt": "x"})).body)
    part = await ask("GET", started["events"], leave_at=b"text-delta")
    cursor = part.events[-1][0]
    rest = await ask("GET", f"{started['events']}?after={cursor}")
    assert rest.complete or rest.status == 204


@scenario(Forever)
async def cancel_while_somebody_watches(ask: Any) -> None:
    run_id = json.loads((await ask("POST", "/runs", {"prompt": "x"})).body)["id"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, "GET", f"/runs/{run_id}/events")
        receipt = json.loads((await ask("POST", f"/runs/{run_id}/cancel")).body)
        assert receipt["outcome"] == "cancelled"
    assert (await ask("DELETE", f"/runs/{run_id}")).status == 204


@scenario(Forever)
async def leaving_cancels(ask: Any) -> None:
    body = {"prompt": "x", "onDisconnect": "cancel"}
    await ask("POST", "/runs", body, accept="text/event-stream", leave_at=b"step-start")


@pytest.mark.parametrize("name", SCENARIOS)
def test_server_cancelled_with_its_runtime(name: str) -> None:
    make_model, play = SCENARIOS[name]

    async def round_(sweep: Sweep) -> None:
        store, browsers = MemoryStore(), []
        with sweep:
            async with open_runtime(store=store) as runtime:
                app = create_app(Service(runtime, [Agent(model=make_model(), tools=[get_weather])]))

                async def ask(*args: Any, **kwargs: Any) -> Browser:
                    browsers.append(Browser(app))
                    return await browsers[-1].ask(*args, **kwargs)

                await play(ask)
                assert runtime.statistics().viewers == 0
        await check(store, browsers)

    assert cancel_sweep(round_) > 20


@pytest.mark.parametrize("name", SCENARIOS)
def test_handlers_cancelled_while_runs_go_on(name: str) -> None:
    make_model, play = SCENARIOS[name]

    async def round_(leaving: Leaving) -> None:
        store, browsers = MemoryStore(), []
        async with open_runtime(store=store) as runtime:
            app = create_app(Service(runtime, [Agent(model=make_model(), tools=[get_weather])]))

            async def ask(*args: Any, **kwargs: Any) -> Browser:
                browsers.append(Browser(app))
                return await browsers[-1].ask(*args, **kwargs)

            trio.lowlevel.add_instrument(leaving)
            with leaving.scope:
                await play(ask)
            trio.lowlevel.remove_instrument(leaving)
            await trio.testing.wait_all_tasks_blocked()
            assert runtime.statistics().viewers == 0
            for info in await store.find(None, None, 100):
                assert info.viewers == 0
                if make_model is Forever:
                    policy = "cancel" if name == "leaving_cancels" else "continue"
                    watched = any(browser.status for browser in browsers)
                    asked = "cancel" in name and len(browsers) > 2
                    assert info.active or asked or policy == "cancel"
                    assert not (info.active and policy == "cancel" and watched)
                else:
                    assert not info.active
            await runtime.drain(0)
        await check(store, browsers)

    for point in itertools.count():  # pragma: no branch
        leaving = Leaving(point)
        with_clock = trio.testing.MockClock(autojump_threshold=0)
        trio.run(round_, leaving, clock=with_clock)
        if not leaving.scope.cancelled_caught:
            break
    assert point > 20
