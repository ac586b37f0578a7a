"""What a run keeps, cancelled everywhere: files, what providers want back, several models."""

from hashlib import sha256
from itertools import pairwise

import pytest
import trio
import trio.testing
from log_kit import check_log
from shared_kit import look
from store_kit import whole_log

from trio_agent._agent import Agent
from trio_agent._errors import ModelError
from trio_agent._events import AnyEvent, ModelFinished, ModelSwitch, ToolCall, Usage
from trio_agent._log.store import Store
from trio_agent._messages import AssistantMessage, File, Text, UserMessage
from trio_agent._run.kept import decode_kept
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.models import AnthropicModel, FallbackModel
from trio_agent.models._parts import ModelFinish
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import (
    InterruptingStore,
    ScriptedModel,
    StoreProxy,
    Sweep,
    anthropic as scripted,
    call,
    cancel_sweep,
)
from trio_agent.testing.anthropic import open_scripted_anthropic

PNG = b"PNG"
DIGEST = sha256(PNG).hexdigest()

everywhere = pytest.mark.parametrize("steps", [True, False], ids=["steps", "operations"])


def opened(memory: MemoryStore, sweep: Sweep, *, steps: bool) -> Store:
    return StoreProxy(memory) if steps else InterruptingStore(memory, sweep.point)


async def check(memory: MemoryStore, provider: dict[str, object]) -> list[list[AnyEvent]]:
    """All logs are whole, and each answer has its calls and what is kept beside it."""
    logs = []
    for info in await memory.find(None, None, 10):
        run_id = info.record.run_id
        entries = await whole_log(memory, run_id)
        events = [event for entry in entries if (event := entry.event) is not None]
        if not events:
            assert info.active  # created, but nobody was told: an orphan, once its lease ends
            continue
        logs.append(events)
        check_log(events)
        for entry, following in pairwise(entries):
            if isinstance(entry.event, ModelFinished):
                [private] = await memory.read_private(run_id, [entry.offset])
                assert (decode_kept(private) if private else {}) == provider
                asked = entry.event.reason == "tool-calls"
                assert isinstance(following.event, ToolCall) == asked
    return logs


@everywhere
def test_a_start_with_files(steps: bool) -> None:
    """One that is given, and then that one again for another run."""

    async def scenario(sweep: Sweep) -> None:
        memory = MemoryStore()
        model = ScriptedModel(["A cat."], ["Again."])
        agent = Agent(model=model)
        given = File("image/png", data=PNG)
        async with open_runtime(store=opened(memory, sweep, steps=steps)) as runtime:
            with sweep:
                file = given
                for key in ("k", "l"):
                    said = UserMessage((Text("what is it?"), file))
                    run = await runtime.start(
                        agent, messages=[said], owner="me", idempotency_key=key
                    )
                    await run.wait()
                    file = File("image/png", blob=f"{run.id}/{DIGEST}")
            for info in await memory.find("me", None, 10):
                await (await runtime.find(info.record.run_id)).cancel()
            await trio.testing.wait_all_tasks_blocked()
            assert runtime.statistics().active == 0
        await check(memory, {})
        for info in await memory.find("me", None, 10):
            assert await memory.read_blob(info.record.run_id, DIGEST) == PNG
        for request in model.requests:
            assert request.messages == (UserMessage((Text("what is it?"), given)),)

    points = cancel_sweep(scenario, steps=steps)
    assert points > (50 if steps else 10)


@everywhere
def test_what_a_provider_wants_back(steps: bool) -> None:
    kept: dict[str, object] = {"p": ["s" * 100]}

    async def scenario(sweep: Sweep) -> None:
        memory = MemoryStore()
        finish = [ModelFinish(reason, provider=kept) for reason in ("tool-calls", "stop")]
        model = ScriptedModel(
            ["I ", call("1", "look", city="Oslo"), call("2", "look"), finish[0]], ["see", finish[1]]
        )
        with sweep:
            async with open_runtime(store=opened(memory, sweep, steps=steps)) as runtime:
                run = await runtime.start(Agent(model=model, tools=[look]), "hi")
                await run.wait()
        logs = await check(memory, kept)
        if not sweep.interrupted:
            assert sum(isinstance(event, ModelFinished) for event in logs[0]) == 2

    assert cancel_sweep(scenario, steps=steps) > (30 if steps else 10)


@everywhere
def test_a_model_that_takes_over(steps: bool) -> None:
    async def scenario(sweep: Sweep) -> None:
        memory = MemoryStore()
        busy = ModelError("busy", "come back", retryable=True)
        first = ScriptedModel([busy], [0.1, busy])
        second = ScriptedModel(["I ", call("1", "look", city="Oslo")], [0.1, "snow"])
        with sweep:
            async with open_runtime(store=opened(memory, sweep, steps=steps)) as runtime:
                agent = Agent(model=FallbackModel(first, second), tools=[look])
                await (await runtime.start(agent, "hi")).wait()
        logs = await check(memory, {})
        if not sweep.interrupted:
            assert [e.step_number for e in logs[0] if isinstance(e, ModelSwitch)] == [1, 2]

    assert cancel_sweep(scenario, steps=steps) > (30 if steps else 10)


def test_an_answer_that_pauses() -> None:
    """Over sockets: the rest is asked for on the same connection, or nobody asks any more."""

    async def scenario(sweep: Sweep) -> None:
        memory = MemoryStore()

        def answer(*steps: scripted.Step) -> object:
            def make(_: object) -> scripted.Answer:
                sweep.point()
                return steps

            return make

        searched = [
            scripted.tool_use("srvtoolu_1", "web_search", "{}", type="server_tool_use"),
            scripted.block(
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
            ),
        ]
        script = [
            answer(
                scripted.start(5), scripted.text("a "), *searched, scripted.finish("pause_turn")
            ),
            answer(scripted.start(7), scripted.text("b"), scripted.finish("end_turn", 8)),
        ]
        async with open_scripted_anthropic(script) as server:  # type: ignore[arg-type]
            model = AnthropicModel("m", base_url=server.base_url, api_key="k")
            with trio.fail_after(20), sweep:
                store = InterruptingStore(memory, sweep.point)
                async with open_runtime(store=store) as runtime:
                    run = await runtime.start(Agent(model=model), "hi")
                    result = await run.wait()
            if not sweep.interrupted:
                assert result.usage == Usage(12, 9, 21)
                [_, said] = result.messages
                assert isinstance(said, AssistantMessage)
                assert said.content == "a b"
                [kept] = said.provider.values()
                assert [block["type"] for block in kept["content"]][-1] == "text"
        for info in await memory.find(None, None, 10):
            entries = await whole_log(memory, info.record.run_id)
            assert [entry.terminal for entry in entries].count(True) == bool(entries)

    assert cancel_sweep(scenario, steps=False, clock=lambda: None) > 10
