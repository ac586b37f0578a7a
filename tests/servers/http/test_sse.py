"""A subscription as an event stream: what goes out, when, and how it ends."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from server_kit import StepModel, framed, live_tasks, logged, open_server, settled
from starlette.types import Message

from trio_agent import Agent, CancelAfter, Run, StoreUnavailable, open_runtime
from trio_agent.abc import ModelFinish, ModelRequest, TextPart
from trio_agent.servers.http._sse import EventStream


class Exchange:
    """One response, played without a socket; notes when what was sent."""

    def __init__(self, *, on_send: Callable[[Message], Any] = lambda message: None) -> None:
        self.sent: list[tuple[float, Message]] = []
        self.gone = trio.Event()
        self._on_send = on_send

    async def play(self, stream: EventStream) -> None:
        await stream({"type": "http", "method": "GET"}, self._receive, self._send)

    async def _receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await trio.lowlevel.checkpoint()
        self._on_send(message)
        self.sent.append((trio.current_time(), message))

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for _, message in self.sent[1:]]

    @property
    def complete(self) -> bool:
        return not self.sent[-1][1].get("more_body", False)


async def test_heartbeats_fill_the_silence(autojump_clock: trio.testing.MockClock) -> None:
    model = StepModel()
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(Agent(model=model), "x")
        exchange = Exchange()
        nursery.start_soon(exchange.play, EventStream(run.subscribe()))
        await trio.sleep(40)
        model.say("a")
        await trio.sleep(16)
        model.finish()
        await run.wait()
        await trio.testing.wait_all_tasks_blocked()
        quiet = [at for at, message in exchange.sent[1:] if message["body"] == b": \n\n"]
        assert quiet == [15, 30, 55]
        assert exchange.bodies[0] == b"retry: 1000\n\n"
        assert exchange.complete


async def test_no_heartbeat_between_frequent_events(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = StepModel()
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(Agent(model=model), "x")
        exchange = Exchange()
        nursery.start_soon(exchange.play, EventStream(run.subscribe(), heartbeat=5))
        for _ in range(10):
            await trio.sleep(4)
            model.say("a")
        model.finish()
        await run.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert b": \n\n" not in exchange.bodies


async def test_everything_pending_goes_out_in_one_send(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = StepModel()
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(Agent(model=model), "x")
        for word in "abcdefgh":
            model.say(word)
        model.finish()
        await run.wait()
        exchange = Exchange()
        nursery.start_soon(exchange.play, EventStream(run.subscribe(after=3)))
        await trio.testing.wait_all_tasks_blocked()
        _, events, end = exchange.bodies
        assert events.count(b"data: ") == run.cursor.offset - 3
        assert end == b""


async def test_location() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=StepModel()), "x")
        exchange = Exchange()
        run.request_cancel()
        await exchange.play(EventStream(run.subscribe(), location="/runs/x"))
        start = exchange.sent[0][1]
        assert start["status"] == 200
        assert (b"location", b"/runs/x") in start["headers"]


async def test_log_that_breaks_off_aborts_the_response(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(Agent(model=StepModel()), "x", on_disconnect="cancel")
        exchange = Exchange()
        nursery.start_soon(exchange.play, EventStream(run.subscribe()))
        await trio.testing.wait_all_tasks_blocked()
        run._feed.break_off(StoreUnavailable("it is away"))
        await trio.testing.wait_all_tasks_blocked()
        assert not exchange.complete
        assert run.statistics().viewers == 0
        # They were sent away, they did not leave.
        assert run.status == "active"
        run.request_cancel()


async def test_log_that_is_removed_aborts_the_response(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Talker(StepModel):
        async def generate(self, request: ModelRequest, emit: Any) -> ModelFinish:
            for _ in range(5):
                await emit(*[TextPart("x")] * 1000)
            return ModelFinish("stop")

    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(Agent(model=Talker()), "x")
        await run.wait()
        stuck = trio.Event()
        exchange = Exchange()

        async def send(message: Message) -> None:
            exchange.sent.append((0, message))
            if b"run-start" in message.get("body", b""):
                await stuck.wait()

        exchange._send = send  # type: ignore[method-assign]
        nursery.start_soon(exchange.play, EventStream(run.subscribe()))
        await trio.testing.wait_all_tasks_blocked()
        await runtime.delete(run.id)
        stuck.set()
        await trio.testing.wait_all_tasks_blocked()
        assert exchange.bodies[-1] != b""
        assert not exchange.complete
        assert run.statistics().viewers == 0


@pytest.mark.parametrize("policy", ["cancel", "continue", CancelAfter(0)])
async def test_client_that_leaves(policy: Any, autojump_clock: trio.testing.MockClock) -> None:
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(Agent(model=StepModel()), "x", on_disconnect=policy)
        exchange = Exchange()
        nursery.start_soon(exchange.play, EventStream(run.subscribe()))
        await trio.testing.wait_all_tasks_blocked()
        exchange.gone.set()
        await trio.testing.wait_all_tasks_blocked()
        assert not nursery.child_tasks
        assert run.statistics().viewers == 0
        assert run.status == ("active" if policy == "continue" else "cancelled")
        run.request_cancel()


class TestOverSockets:
    async def test_heartbeats(self) -> None:
        async with (
            open_server(StepModel(), heartbeat=0.01) as server,
            await server.connect() as client,
        ):
            run = await server.start()
            answer = await client.watch(f"/runs/{run.id}/events")
            await client.receive_body(answer, until=b": \n\n: \n\n")
            run.request_cancel()
            await client.receive_body(answer)
            assert answer.complete
            assert answer.events[-1][1]["type"] == "run-finish"
            silent = answer.body.replace(b": \n\n", b"")
            assert silent == b"retry: 1000\n\n" + framed(await logged(run, server))

    async def test_response_that_breaks_off_has_no_last_chunk(self) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            run = await server.start()
            answer = await client.watch(f"/runs/{run.id}/events")
            await client.receive_body(answer, until=b"step-start")
            run._feed.break_off(StoreUnavailable("it is away"))
            await client.receive_body(answer)
            assert not answer.complete

    async def test_connection_is_used_again(self) -> None:
        async with open_server(StepModel()) as server, await server.connect() as client:
            for _ in range(3):
                run = await server.start()
                answer = await client.watch(f"/runs/{run.id}/events")
                run.request_cancel()
                await client.receive_body(answer)
                assert answer.complete

    @pytest.mark.parametrize("policy", ["cancel", "continue", CancelAfter(0)])
    async def test_client_that_leaves(self, policy: Any) -> None:
        async with open_server(StepModel()) as server:
            first = await server.start()
            await trio.testing.wait_all_tasks_blocked()
            await first.cancel()
            tasks = await live_tasks()  # with that of the model, which the first run opened
            run: Run = await server.start(on_disconnect=policy)
            with run.subscribe():
                async with await server.connect() as client:
                    answer = await client.watch(f"/runs/{run.id}/events")
                    await client.receive_body(answer, until=b"step-start")
                    assert server.runtime.statistics().viewers == 2
                while server.runtime.statistics().viewers == 2:
                    await trio.testing.wait_all_tasks_blocked()
            if policy != "continue":
                assert (await run.wait()).finish_reason == "cancelled"
            else:
                assert run.status == "active"
                await run.cancel()
            await server.runtime.delete(run.id)
            await settled(server, tasks=tasks)


async def test_clients_are_sent_elsewhere(autojump_clock: trio.testing.MockClock) -> None:
    model, leaving = StepModel(), trio.Event()
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(Agent(model=model), "x")
        exchange = Exchange()
        stream = EventStream(run.subscribe(), leaving=leaving.wait)
        nursery.start_soon(exchange.play, stream)
        model.say("a")
        await trio.testing.wait_all_tasks_blocked()
        leaving.set()
        model.say("b")
        await trio.testing.wait_all_tasks_blocked()
        assert exchange.complete
        *events, retry, end = exchange.bodies
        assert b'"delta":"a"' in b"".join(events)
        assert retry.startswith(b"retry: ")
        assert 100 <= int(retry.split()[1]) <= 2000
        assert end == b""
        assert run.status == "active"
        assert run.statistics().viewers == 0
        run.request_cancel()
