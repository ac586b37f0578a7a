"""Runs in threads, cancelled wherever they may be: threads are free and whole afterwards."""

from collections.abc import Callable

import pytest
import trio
import trio.testing
from careful_kit import CUT, to_its_end
from log_kit import check_log
from runtime_kit import logged
from thread_kit import all_turns, asked, said, saying, turn
from wait_kit import LastingStore, asking, asleep, refund

from trio_agent._agent import Agent
from trio_agent._errors import RunOver, UnknownThread
from trio_agent._log.store import Store
from trio_agent._messages import AnyMessage, AssistantMessage, UserMessage, unpaired_calls
from trio_agent._run.live_run import LiveRun
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import InterruptingStore, StoreProxy, Sweep, call, cancel_sweep

WAYS = ["memory", "writer", "operations"]


def opened(memory: MemoryStore, sweep: Sweep, way: str) -> Store:
    match way:
        case "memory":
            return memory
        case "writer":
            return StoreProxy(memory)
        case _:
            return InterruptingStore(memory, sweep.point)


async def end_all(runtime: Runtime) -> None:
    """Cancel what is active. What nobody holds is ended when its lease has lapsed."""
    for listed in (await runtime.runs()).runs:
        await (await runtime.find(listed.id)).cancel()
    await trio.testing.wait_all_tasks_blocked()
    assert runtime.statistics().active == 0


async def history(store: Store) -> tuple[AnyMessage, ...]:
    """All that was said in the thread; each call has its result."""
    try:
        turns = await all_turns(store)
    except UnknownThread:
        return ()
    whole = tuple(message for each in turns.values() for message in each)
    assert unpaired_calls(whole) is None
    return whole


async def check(store: Store) -> None:
    """All runs have ended, in good order; nobody is in the thread."""
    for info in await store.find(None, None, 99):
        assert not info.active
        check_log(await logged(store, info.record.run_id))
    for thread in await store.threads(None, None, 9):
        assert thread.active is None


def hanging() -> Agent:
    return saying(["a", trio.Event()])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("first", [hanging, asking], ids=["works", "waits"])
def test_who_cancels_the_run_that_is_active(first: Callable[[], Agent], way: str) -> None:
    """No place is taken for nothing, no run is without a holder, and the thread is usable."""

    async def scenario(sweep: Sweep) -> None:
        memory = MemoryStore()
        async with open_runtime(store=opened(memory, sweep, way)) as runtime:
            run = await runtime.start(first(), "1st", thread="t")
            if first is asking:
                await asleep(run)
            await trio.testing.wait_all_tasks_blocked()
            with sweep:
                second = await runtime.start(
                    saying(["b"]), "2nd", thread="t", on_busy="cancel", idempotency_key="k"
                )
                await second.wait()
            await trio.testing.wait_all_tasks_blocked()
            active = [i for i in await memory.find(None, None, 9) if i.active and not i.parked]
            if way != "operations":
                # Who creates one with the store's answer on its way has to leave it to others.
                for info in active:
                    assert isinstance(await runtime.find(info.record.run_id), LiveRun)
                assert runtime.statistics().active == len(active)
            await end_all(runtime)
            before = await history(memory)
            assert await asked(runtime) == before
            if not sweep.interrupted:
                assert before[-2:] == turn("2nd", "b")
        await check(memory)

    points = cancel_sweep(scenario, steps=way != "operations")
    assert points > (4 if way == "operations" else 10)


@pytest.mark.parametrize("way", WAYS)
def test_two_runs_one_behind_the_other(way: str) -> None:
    """Of each there is its turn, or nothing; and what the second one read is what is there."""

    async def scenario(sweep: Sweep) -> None:
        memory = MemoryStore()
        agent = saying(
            ["Let ", CUT],
            ["Look: ", call("1", "refund", amount=5)],
            ["It ", CUT],
            ["All ", "done."],
            tools=[refund],
        )
        with sweep:
            async with open_runtime(store=opened(memory, sweep, way)) as runtime:
                await said(runtime, "1st", "one")
                run = await runtime.start(agent, "2nd", thread="t")
                await to_its_end(run)
        async with open_runtime(store=memory) as runtime:
            await end_all(runtime)
            whole = await history(memory)
            assert whole[:2] in ((), turn("1st", "one"), (UserMessage("1st"),))
            for request in agent.model.requests:  # type: ignore[union-attr]
                assert request.messages[:3] == (*turn("1st", "one"), UserMessage("2nd"))
            assert await asked(runtime) == whole
            if not sweep.interrupted:
                assert whole[-1] == AssistantMessage("All done.")
        await check(memory)

    assert cancel_sweep(scenario, steps=way != "operations") > 20


def test_a_run_that_sleeps_in_a_store_that_lasts() -> None:
    """It keeps its thread until it has ended, in whichever program."""

    async def scenario(sweep: Sweep) -> None:
        store = LastingStore()
        agent = asking()
        with sweep:
            async with open_runtime(store=store, agents=[agent]) as runtime:
                await said(runtime, "1st", "one")
                run = await runtime.start(agent, "2nd", thread="t")
                await asleep(run)
                await run.answer("1", approved=True)
                await run.wait()
        async with open_runtime(store=store, agents=[agent]) as runtime:
            for info in await store.find(None, None, 9):
                found = await runtime.find(info.record.run_id)
                if info.active:
                    thread = await runtime.thread("t")
                    assert thread.active == found.id
                    try:
                        await found.answer("1", approved=True)
                    except RunOver:
                        continue
                    await found.wait()
            whole = await history(store)
            assert await asked(runtime) == whole
        await check(store)

    assert cancel_sweep(scenario) > 50
