"""Started here, followed and cancelled there, cancelled at every step: one log, one end."""

import trio
import trio.testing
from log_kit import check_log
from runtime_kit import collect, logged
from shared_kit import look

from trio_agent._agent import Agent
from trio_agent._events import AnyEvent
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import ScriptedModel, StoreProxy, Sweep, call, cancel_sweep


def test_start_here_and_follow_there_cancelled_everywhere() -> None:
    async def scenario(sweep: Sweep) -> None:
        memory = MemoryStore()
        model = ScriptedModel(["I ", call("1", "look", city="Oslo")], ["snow", "."])
        seen: list[AnyEvent] = []
        with sweep:
            async with (
                open_runtime(store=memory) as a,
                open_runtime(store=StoreProxy(memory)) as b,
                trio.open_nursery() as nursery,
            ):
                run = await a.start(Agent(model=model, tools=[look]), "hi")
                found = await b.find(run.id)
                nursery.start_soon(collect, found.subscribe(), seen)
                await found.wait()
        runs = await memory.find(None, None, 10)
        for info in runs:
            log = await logged(memory, info.record.run_id)
            check_log(log)
            assert seen == log[: len(seen)]
        if not sweep.interrupted:
            assert seen[-1].terminal

    assert cancel_sweep(scenario) > 50


def test_cancelled_through_another_at_every_step() -> None:
    async def scenario(sweep: Sweep) -> None:
        memory = MemoryStore()
        model = ScriptedModel(["I ", call("1", "look", city="Oslo")], ["snow", "."])
        seen: list[AnyEvent] = []
        async with open_runtime(store=memory) as a, open_runtime(store=StoreProxy(memory)) as b:
            async with trio.open_nursery() as nursery:
                run = await a.start(Agent(model=model, tools=[look]), "hi")
                found = await b.find(run.id)
                nursery.start_soon(collect, found.subscribe(), seen)
                with sweep:
                    await found.wait()
                receipt = await found.cancel()
                assert receipt.last_offset == (await memory.info(run.id)).tail
            assert seen == await logged(memory, run.id)
            assert found.status == run.status == receipt.outcome

    assert cancel_sweep(scenario) > 15
