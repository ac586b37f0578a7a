"""What the system that we re-create gets wrong, as observed by running it; one test each.

Those that need HTTP, a provider's codec or a WebSocket stand with these.
"""

from typing import Any

import pytest
import trio
import trio.testing
from server_kit import StepModel
from websocket_kit import open_websocket_server

from trio_agent import _resumable
from trio_agent._agent import Agent
from trio_agent._errors import LimitExceeded, ModelError, RunFailed, RunIncomplete, UnknownRun
from trio_agent._events import AnyEvent, RunFinish, TextDelta, ToolCall, ToolInputDelta, Usage
from trio_agent._limits import Limits, Retention, RuntimeLimits
from trio_agent._log.codec import encode_event
from trio_agent._messages import ToolMessage
from trio_agent._resumable import ResumableStreamManager
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.models._parts import ModelFinish, ToolInputPart
from trio_agent.servers import Guard, bearer_tokens
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel, call
from trio_agent.tools._tool import tool


@tool
async def look(city: str = "") -> str:
    """Look."""
    return city


async def events_of(agent: Agent) -> list[AnyEvent]:
    async with agent.stream_events("hi") as events:
        return [event async for event in events]


def kinds(events: list[AnyEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


async def test_step_finish_comes_before_the_steps_text() -> None:
    model = ScriptedModel(["a", call("1", "look")], ["b"])
    names = kinds(await events_of(Agent(model=model, tools=[look])))
    first, second = (n for n, name in enumerate(names) if name == "StepFinish")
    texts = [n for n, name in enumerate(names) if name == "TextDelta"]
    assert texts[0] < names.index("ToolResult") < first < texts[1] < second == len(names) - 2


async def test_tool_argument_fragments_appear_as_text_deltas_without_text() -> None:
    parts = ToolInputPart("1", "look", '{"city":'), ToolInputPart("1", "", '"Oslo"}')
    events = await events_of(Agent(model=ScriptedModel([*parts], ["b"]), tools=[look]))
    assert [event.delta for event in events if isinstance(event, TextDelta)] == ["b"]
    fragments = [event for event in events if isinstance(event, ToolInputDelta)]
    assert [(event.tool.name, event.delta) for event in fragments] == [
        ("look", '{"city":'),
        ("look", '"Oslo"}'),
    ]


async def test_token_usage_is_lost_so_budgets_never_fire() -> None:
    model = ScriptedModel(
        [call("1", "look"), ModelFinish("tool-calls", Usage(50, 10, 60))],
        ["x", "y", ModelFinish("stop", Usage(60, 2, 62))],
    )
    result = await Agent(model=model, tools=[look]).run("hi")
    assert result.usage == Usage(110, 12, 122)
    model = ScriptedModel(
        [call("1", "look"), ModelFinish("tool-calls", Usage(50, 10, 60))], ["x"] * 9
    )
    result = await Agent(model=model, tools=[look], limits=Limits(max_tokens=65)).run("hi")
    assert (result.finish_reason, result.text) == ("budget", "xxxxx")


async def test_an_abort_while_the_model_speaks_reports_stop() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a", trio.Event()])), "hi")
        await trio.testing.wait_all_tasks_blocked()
        assert (await run.cancel("user")).outcome == "cancelled"


async def test_the_timeout_is_only_looked_at_between_steps(
    autojump_clock: trio.testing.MockClock,
) -> None:
    agent = Agent(model=ScriptedModel(["a", 1000.0]), limits=Limits(run_deadline=5))
    begin = trio.current_time()
    assert (await agent.run("hi")).finish_reason == "timeout"
    assert trio.current_time() - begin == 5


async def test_length_and_a_cut_provider_stream_both_report_stop() -> None:
    agent = Agent(model=ScriptedModel(["a", ModelFinish("length")]))
    assert (await agent.run("hi")).finish_reason == "length"
    agent = Agent(model=ScriptedModel(["a", ModelFinish("length")]))
    async with agent.stream("hi") as chunks:
        assert await chunks.receive() == "a"
        with pytest.raises(RunIncomplete, match="length"):
            await chunks.receive()
    agent = Agent(model=ScriptedModel(["a", ModelError("cut", "no finish reason came")]))
    with pytest.raises(RunFailed, match="cut"):
        await agent.run("hi")


async def test_a_retry_after_a_partial_answer_repeats_text() -> None:
    broken = ModelError("cut", "it broke off", retryable=True)
    model = ScriptedModel(["Hello", broken], ["Hello", " world"])
    async with Agent(model=model).stream("hi") as chunks:
        assert await chunks.receive() == "Hello"
        with pytest.raises(RunFailed, match="cut"):
            await chunks.receive()
    assert len(model.requests) == 1


async def test_tool_calls_have_no_ids() -> None:
    model = ScriptedModel(
        [call("call_0", "look"), call("call_1", "look")], [call("call_0", "look")], ["done"]
    )
    events = await events_of(Agent(model=model, tools=[look]))
    ids = [event.tool.id for event in events if isinstance(event, ToolCall)]
    assert len(ids) == len(set(ids)) == 3
    assert all(ids)


async def test_malformed_tool_arguments_become_an_empty_object_in_silence() -> None:
    model = ScriptedModel([ToolInputPart("1", "look", '{"city": Os')], ["sorry"])
    events = await events_of(Agent(model=model, tools=[look]))
    [made] = [event for event in events if isinstance(event, ToolCall)]
    assert made.tool.input == '{"city": Os'
    told = model.requests[1].messages[-1]
    assert isinstance(told, ToolMessage)
    assert told.status == "error"
    assert "no valid JSON" in told.content


async def test_run_finish_sends_the_system_prompt_to_the_browser() -> None:
    model = ScriptedModel([call("1", "look")], ["b"])
    agent = Agent(model=model, tools=[look], instructions="top secret")
    assert not any(b"secret" in encode_event(event) for event in await events_of(agent))
    assert model.requests[0].instructions == "top secret"
    assert "secret" not in repr(agent)


async def test_a_client_that_leaves_cancels_nothing() -> None:
    async with open_runtime() as runtime:
        agent = Agent(model=ScriptedModel(["a", trio.Event()]))
        run = await runtime.start(agent, "hi", on_disconnect="cancel")
        with run.subscribe() as events:
            await events.receive()
        assert (await run.wait()).finish_reason == "cancelled"


async def test_the_manager_evicts_active_streams() -> None:
    limits = RuntimeLimits(max_streams=2, retention=Retention(max_runs=0, max_bytes=0, seconds=0))
    async with open_runtime(limits=limits) as runtime:
        runs = [
            await runtime.start(Agent(model=ScriptedModel(["a", trio.Event()])), "hi")
            for _ in range(2)
        ]
        with pytest.raises(LimitExceeded):
            await runtime.start(Agent(model=ScriptedModel(["a"])), "hi")
        assert await runtime.store.expire(limits.retention) == []
        for run in runs:
            assert await runtime.find(run.id) is run
            assert (await run.cancel()).outcome == "cancelled"


async def test_the_manager_expires_a_live_stream_during_a_slow_tool(
    autojump_clock: trio.testing.MockClock,
) -> None:
    @tool(deadline=10_000)
    async def slow() -> str:
        """Slow."""
        await trio.sleep(1_000)
        return "at last"

    limits = RuntimeLimits(retention=Retention(seconds=10))
    agent = Agent(model=ScriptedModel([call("1", "slow")], ["done"]), tools=[slow])
    async with open_runtime(limits=limits) as runtime:
        run = await runtime.start(agent, "hi")
        with run.subscribe() as events:
            seen = [event async for event in events]
        assert kinds(seen)[-1] == "RunFinish"


async def test_the_manager_answers_an_unknown_id_with_an_empty_success() -> None:
    async with open_runtime() as runtime:
        assert runtime._live.find("nope") is None
        with pytest.raises(UnknownRun):
            await runtime.store.read("nope", 0, 1)


async def test_the_manager_can_not_follow_live() -> None:
    go_on = trio.Event()
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a", go_on, "b"])), "hi")
        await trio.testing.wait_all_tasks_blocked()
        with run.subscribe(after=2) as events:
            assert (await events.receive_batch())[0].__class__ is TextDelta
            go_on.set()
            last = [event async for event in events][-1]
        assert isinstance(last, RunFinish)


async def test_the_manager_seeks_in_o_n() -> None:
    """What a reader at the end costs does not depend on what lies before it."""
    async with open_runtime(store=MemoryStore()) as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["x"] * 20_000)), "hi")
        await run.wait()
        touched: list[tuple[int, int]] = []

        class Counting(FaultyStore):
            async def read(self, run_id: str, after: int, limit: int) -> Any:
                page = await super().read(run_id, after, limit)
                touched.append((after, len(page.entries)))
                return page

        page = await Counting(runtime.store).read(run.id, 20_000, 1024)
        assert [entry.offset for entry in page.entries] == [*range(20_001, 20_006)]
        assert touched == [(20_000, 5)]
        with run.subscribe(after=20_003) as events:
            assert kinds(await events.receive_batch()) == ["StepFinish", "RunFinish"]


async def test_the_manager_reuses_a_position_after_completion() -> None:
    store = MemoryStore()
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a"])), "hi")
        _, log, _ = runtime._live._live[run.id].active
        await run.wait()
        before = [entry.data for entry in (await store.read(run.id, 0, 100)).entries]
        log.append([TextDelta(at=0, delta="late")])
        assert [entry.data for entry in (await store.read(run.id, 0, 100)).entries] == before


async def test_a_reconnect_starts_a_new_paid_run() -> None:
    """The core's half of it: one key, one run."""
    model = ScriptedModel(["a"])
    async with open_runtime() as runtime:
        for _ in range(3):
            run = await runtime.start(Agent(model=model), "hi", idempotency_key="page")
            await run.wait()
    assert len(model.requests) == 1


# The manager of the seed, for people who bring their own producer


async def test_the_stream_manager_evicts_active_streams() -> None:
    manager = ResumableStreamManager(max_streams=2)
    streams = [manager.create_stream() for _ in range(2)]
    with pytest.raises(LimitExceeded):
        manager.create_stream()
    assert [manager.checkpoint(stream).complete for stream in streams] == [False, False]


async def test_the_stream_manager_expires_a_live_stream_during_a_slow_tool(
    autojump_clock: trio.testing.MockClock,
) -> None:
    manager = ResumableStreamManager(max_age=300)
    stream = manager.create_stream()
    manager.save_chunk(stream, "tool-call", "slow")
    await trio.sleep(3600)
    manager.create_stream()
    assert manager.save_chunk(stream, "tool-result", "done").position == 2


async def test_the_stream_manager_answers_an_unknown_id_with_an_empty_success() -> None:
    with pytest.raises(UnknownRun):
        ResumableStreamManager().chunks_since("nope", 0)


async def test_the_stream_manager_can_not_follow_live() -> None:
    manager = ResumableStreamManager()
    stream = manager.create_stream()
    manager.save_chunk(stream, "text", "a")
    async with manager.subscribe(stream) as chunks:
        assert (await chunks.receive()).content == "a"
        manager.save_chunk(stream, "text", "b")
        assert (await chunks.receive()).content == "b"
        manager.complete(stream)
        with pytest.raises(trio.EndOfChannel):
            await chunks.receive()


async def test_the_stream_manager_seeks_in_o_n(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    decode = _resumable._decode

    def counting(data: bytes) -> object:
        decoded.append(data)
        return decode(data)

    monkeypatch.setattr(_resumable, "_decode", counting)
    manager = ResumableStreamManager()
    stream = manager.create_stream()
    for n in range(100_000):
        manager.save_chunk(stream, "text", n)
    decoded.clear()
    assert [chunk.content for chunk in manager.chunks_since(stream, 99_997)] == [
        *range(99_997, 10**5)
    ]
    assert len(decoded) == 3
    manager.complete(stream)
    async with manager.subscribe(stream, after=99_998) as chunks:
        assert [chunk.content async for chunk in chunks] == [99_998, 99_999]
    assert len(decoded) == 5


async def test_the_stream_manager_reuses_a_position_after_completion() -> None:
    manager = ResumableStreamManager()
    stream = manager.create_stream()
    manager.save_chunk(stream, "text", "a")
    manager.complete(stream)
    with pytest.raises(trio.ClosedResourceError):
        manager.save_chunk(stream, "text", "b")
    assert manager.checkpoint(stream).position == 1


async def test_websocket_bypasses_auth() -> None:
    guard = Guard(authorize=bearer_tokens({"alice": "a-token-of-alice"}))
    async with open_websocket_server(StepModel(), guard=guard) as kit:
        status, _, _ = await kit.refused(kit.handshake())
        assert status == 401


async def test_websocket_bypasses_rate_limits() -> None:
    limits = RuntimeLimits(max_streams=1)
    async with open_websocket_server(StepModel(), limits=limits) as kit, await kit.open() as socket:
        await kit.start()
        answer = await socket.ask({"prompt": "hi"})
        assert answer["error"]["code"] == "limit-exceeded"
