import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from trio_agent._agent import Agent
from trio_agent._errors import (
    CursorExpired,
    LimitExceeded,
    ModelError,
    StoreUnavailable,
    UnknownRun,
)
from trio_agent._events import ToolRequest
from trio_agent._limits import CancelAfter, Retention, RuntimeLimits
from trio_agent._log.store import Created, RunRecord
from trio_agent._messages import AnyMessage, AssistantMessage, ToolMessage, UserMessage
from trio_agent._run.run import Run
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime, RuntimeStatistics
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel, call
from trio_agent.tools._tool import tool


def quick(text: str = "a") -> Agent:
    return Agent(model=ScriptedModel([text]), name="quick", instructions="secret")


def endless() -> Agent:
    return Agent(model=ScriptedModel(["a", trio.Event()]))


async def finished(runtime: Runtime, text: str = "a") -> Run:
    run = await runtime.start(quick(text), "hi")
    await run.wait()
    await trio.testing.wait_all_tasks_blocked()
    return run


async def test_leaving_waits_for_the_runs() -> None:
    go_on = trio.Event()
    async with trio.open_nursery() as nursery, open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a", go_on, "b"])), "hi")

        async def later() -> None:
            await trio.testing.wait_all_tasks_blocked()
            go_on.set()

        nursery.start_soon(later)
    assert (await run.wait()).text == "ab"


async def test_runs_live_on_when_their_starter_is_gone() -> None:
    async with open_runtime() as runtime:
        runs: list[Run] = []

        async def handle() -> None:
            runs.append(await runtime.start(endless(), "hi"))
            await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(handle)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        [run] = runs
        assert run.status == "active"
        await run.cancel()


async def test_the_bodys_exception_is_plain_and_cancels_the_runs() -> None:
    store = MemoryStore()
    failure = KeyError("x")
    with pytest.raises(KeyError) as caught:  # noqa: PT012
        async with open_runtime(store=store) as runtime:
            run = await runtime.start(endless(), "hi")
            await trio.testing.wait_all_tasks_blocked()
            raise failure
    assert caught.value is failure
    result = await run.wait()
    assert (result.finish_reason, result.reason) == ("cancelled", "the runtime was cancelled")
    assert (await store.info(run.id)).last is not None


@pytest.mark.parametrize("hidden", [False, True])
async def test_cancelled_with_everything_around_it(hidden: bool) -> None:
    store: Any = FaultyStore(MemoryStore()) if hidden else MemoryStore()
    with trio.CancelScope() as scope:
        async with open_runtime(store=store) as runtime:
            run = await runtime.start(endless(), "hi")
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert (await run.wait()).finish_reason == "cancelled"
    last = (await store.info(run.id)).last
    assert last is not None
    assert last.terminal


async def test_the_closing_bound(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = FaultyStore(MemoryStore())
    with trio.CancelScope() as scope:
        async with open_runtime(store=store, limits=RuntimeLimits(closing_bound=3)) as runtime:
            run = await runtime.start(endless(), "hi")
            await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(1)
            store.away.add("append")
            begin = trio.current_time()
            scope.cancel()
    assert trio.current_time() - begin <= 6
    with pytest.raises(StoreUnavailable, match="in time"):
        await run.wait()
    assert "they are lost" in caplog.text


async def test_nothing_to_say() -> None:
    async with open_runtime() as runtime:
        with pytest.raises(ValueError, match="give a prompt or messages"):
            await runtime.start(quick())
        open_call = AssistantMessage("", (ToolRequest("1", "t", {}),))
        with pytest.raises(ValueError, match="has no result"):
            await runtime.start(quick(), "hi", messages=[UserMessage("a"), open_call])
        assert runtime.statistics() == RuntimeStatistics(0, 0, 0)


async def test_a_transcript_goes_on() -> None:
    model = ScriptedModel(["b"])
    earlier: list[AnyMessage] = [
        UserMessage("a"),
        AssistantMessage("", (ToolRequest("1", "t", {}),)),
        ToolMessage("1", "x"),
    ]
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model), "go on", messages=earlier)
        result = await run.wait()
    assert model.requests[0].messages == (*earlier, UserMessage("go on"))
    assert result.messages == (*earlier, UserMessage("go on"), AssistantMessage("b"))


async def test_the_record() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(
            quick(), "hi", owner="me", metadata={"n": 1}, on_disconnect=CancelAfter(30)
        )
        record = (await runtime.store.info(run.id)).record
        assert (record.agent, record.owner, record.metadata) == ("quick", "me", {"n": 1})
        assert len(run.id) == 32
        private = json.loads(record.private)
        assert private["messages"] == [{"role": "user", "content": "hi"}]
        assert private["onDisconnect"] == 30
        assert len(private["fingerprint"]) == 64


async def test_max_streams() -> None:
    async with open_runtime(limits=RuntimeLimits(max_streams=2)) as runtime:
        runs = [await runtime.start(endless(), "hi") for _ in range(2)]
        with pytest.raises(LimitExceeded, match="2 runs are active"):
            await runtime.start(quick(), "hi")
        assert runtime.statistics() == RuntimeStatistics(2, 0, 0)
        await runs[0].cancel()
        assert runtime.statistics() == RuntimeStatistics(1, 1, 0)
        await finished(runtime)
        await runs[1].cancel()


async def test_two_can_not_have_the_last_place() -> None:
    async with open_runtime(limits=RuntimeLimits(max_streams=1)) as runtime:
        refused: list[LimitExceeded] = []

        async def start() -> None:
            try:
                await (await runtime.start(endless(), "hi")).cancel()
            except LimitExceeded as exc:
                refused.append(exc)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(start)
            nursery.start_soon(start)
        assert len(refused) == 1


async def test_a_creation_that_fails_takes_no_place() -> None:
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store, limits=RuntimeLimits(max_streams=1)) as runtime:
        store.away.add("create")
        with pytest.raises(StoreUnavailable):
            await runtime.start(quick(), "hi")
        store.away.clear()
        with trio.CancelScope() as scope:
            scope.cancel()
            await runtime.start(quick(), "hi")
        assert runtime.statistics() == RuntimeStatistics(0, 0, 0)
        await finished(runtime)


async def test_statistics_while_a_run_is_being_created(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store) as runtime, trio.open_nursery() as nursery:
        store.delay = 1
        nursery.start_soon(runtime.start, quick(), "hi")
        await trio.sleep(0.5)
        assert runtime.statistics() == RuntimeStatistics(1, 0, 0)


async def test_idempotency() -> None:
    async with open_runtime() as runtime:
        first = await runtime.start(quick(), "hi", owner="me", idempotency_key="k")
        assert await runtime.start(quick(), "hi", owner="me", idempotency_key="k") is first
        other = await runtime.start(quick(), "hi", owner="you", idempotency_key="k")
        assert other is not first
        await first.wait()
        assert await runtime.start(quick(), "hi", owner="me", idempotency_key="k") is first
        await other.wait()
        assert runtime.statistics().active == 0


async def test_one_key_twice_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """Who comes second finds the run even while the store's answer is still on its way."""

    class SlowAnswer(FaultyStore):
        async def create(self, record: RunRecord) -> Created:
            created = await super().create(record)
            if created.lease is not None:
                await trio.sleep(1)
            return created

    async with open_runtime(store=SlowAnswer(MemoryStore())) as runtime:
        runs: list[Run] = []

        async def start() -> None:
            runs.append(await runtime.start(quick(), "hi", idempotency_key="k"))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(start)
        assert len(set(runs)) == 1
        await runs[0].wait()
        assert runtime.statistics().active == 0


async def test_a_key_of_a_run_that_is_not_here() -> None:
    store = MemoryStore()
    await store.create(
        RunRecord(run_id="r", epoch="e", agent="a", created_at=0, idempotency_key="k")
    )
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(quick(), "hi", idempotency_key="k")
        assert (run.id, run.status) == ("r", "active")
        assert runtime._live.get("r") is None
        assert runtime.statistics() == RuntimeStatistics(0, 0, 0)


async def test_finding_runs() -> None:
    async with open_runtime() as runtime:
        run = await finished(runtime)
        assert await runtime.find(run.id) is run
        with pytest.raises(UnknownRun, match="there is no run 'nope'"):
            await runtime.find("nope")


async def test_retention_by_age(autojump_clock: trio.testing.MockClock) -> None:
    limits = RuntimeLimits(retention=Retention(seconds=10))
    async with open_runtime(limits=limits) as runtime:
        run = await runtime.start(Agent(model=ScriptedModel([50.0, "a"])), "hi")
        await run.wait()
        await trio.sleep(9)
        assert await runtime.find(run.id) is run
        with run.subscribe() as events:
            assert len([event async for event in events]) == 5
        await trio.sleep(2)
        assert runtime._live.get(run.id) is None
        with pytest.raises(CursorExpired):
            await runtime.store.read(run.id, 0, 1)
        assert runtime.statistics() == RuntimeStatistics(0, 0, 0)


async def test_retention_by_count_and_bytes() -> None:
    async with open_runtime(limits=RuntimeLimits(retention=Retention(max_runs=2))) as runtime:
        active = await runtime.start(endless(), "hi")
        runs = [await finished(runtime) for _ in range(3)]
        assert runtime._live.get(runs[0].id) is None
        for run in (*runs[1:], active):
            assert await runtime.find(run.id) is run
        await active.cancel()
    retention = Retention(max_bytes=5000)
    async with open_runtime(limits=RuntimeLimits(retention=retention)) as runtime:
        runs = [await finished(runtime, "x" * 1000) for _ in range(3)]
        assert runtime._live.get(runs[0].id) is None
        assert await runtime.find(runs[2].id) is runs[2]


async def test_a_retention_that_keeps_nothing() -> None:
    limits = RuntimeLimits(retention=Retention(max_runs=0))
    async with open_runtime(limits=limits) as runtime:
        await finished(runtime)
        assert runtime.statistics() == RuntimeStatistics(0, 0, 0)


async def test_retention_is_the_stores_whoever_ran_it() -> None:
    store = MemoryStore()
    async with open_runtime(store=store) as runtime:
        earlier = await finished(runtime)
    limits = RuntimeLimits(retention=Retention(max_runs=1))
    async with open_runtime(store=store, limits=limits) as runtime:
        run = await finished(runtime)
        assert await runtime.find(run.id) is run
        with pytest.raises(CursorExpired):
            await store.info(earlier.id)


async def test_deleting() -> None:
    async with open_runtime() as runtime:
        active, run = await runtime.start(endless(), "hi"), await finished(runtime)
        with pytest.raises(LimitExceeded, match="active"):
            await runtime.delete(active.id)
        await runtime.delete(run.id)
        assert runtime._live.get(run.id) is None
        with pytest.raises(UnknownRun):
            await runtime.delete("nope")
        await active.cancel()
        assert runtime.statistics() == RuntimeStatistics(0, 1, 0)


async def test_an_expiry_that_fails_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store) as runtime:
        store.away.add("expire")
        run = await finished(runtime)
        assert await runtime.find(run.id) is run
    assert "could not be removed" in caplog.text


async def test_leases_are_renewed(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = FaultyStore(MemoryStore(lease=10))
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(endless(), "hi")
        await trio.sleep(60)
        assert (await store.info(run.id)).leased
        store.away.add("renew")
        await trio.sleep(5)
        store.away.clear()
        assert "leases could not be renewed" in caplog.text
        await trio.sleep(60)
        assert (await store.info(run.id)).leased
        await run.cancel()


async def test_drain(autojump_clock: trio.testing.MockClock) -> None:
    async with open_runtime() as runtime:
        done = await finished(runtime)
        short = await runtime.start(Agent(model=ScriptedModel([3.0, "a"])), "hi")
        long = await runtime.start(endless(), "hi")
        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runtime.drain, 10)
            nursery.start_soon(runtime.wait_drained)
            await trio.testing.wait_all_tasks_blocked()
            assert not runtime.accepting
            with pytest.raises(LimitExceeded, match="draining"):
                await runtime.start(quick(), "hi")
        assert trio.current_time() - begin == 10
        assert (await short.wait()).finish_reason == "stop"
        result = await long.wait()
        assert (result.finish_reason, result.reason) == ("cancelled", "the runtime was drained")
        assert await runtime.find(done.id) is done
        await runtime.drain(10)
        assert trio.current_time() - begin == 10


async def test_a_run_that_was_being_created_is_drained_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store) as runtime, trio.open_nursery() as nursery:
        store.delay = 5
        nursery.start_soon(runtime.start, endless(), "hi")
        await trio.sleep(1)
        with trio.fail_after(60):
            await runtime.drain(0)


async def test_a_drain_that_is_cancelled_still_refuses() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(endless(), "hi")
        with trio.CancelScope() as scope:
            scope.cancel()
            await runtime.drain(10)
        assert not runtime.accepting
        await run.cancel()


async def test_a_tool_can_start_a_run() -> None:
    @tool
    async def ask() -> str:
        """Ask somebody else."""
        child = await runtime.start(quick("from the child"), "hi")
        return (await child.wait()).text

    model = ScriptedModel([call("1", "ask")], ["ok"])
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model, tools=[ask]), "hi")
        await run.wait()
        assert model.requests[1].messages[-1] == ToolMessage("1", "from the child")


async def test_one_crash_leaves_the_others_alone() -> None:
    async with open_runtime() as runtime:
        other = await runtime.start(endless(), "hi")
        run = await runtime.start(Agent(model=ScriptedModel([ModelError("x", "y")])), "hi")
        assert (await run.cancel()).outcome in ("error", "cancelled")
        assert other.status == "active"
        await other.cancel()


async def test_checking_a_model() -> None:
    class Checked(ScriptedModel):
        async def check(self) -> None:
            raise ModelError("unreachable", "no route")

    async with open_runtime() as runtime:
        await runtime.check_model(quick())
        with pytest.raises(ModelError, match="unreachable"):
            await runtime.check_model(Agent(model=Checked()))


async def test_a_store_that_can_not_be_opened() -> None:
    class Closed(MemoryStore):
        @asynccontextmanager
        async def open(self) -> AsyncIterator[object]:
            raise StoreUnavailable("no disk")
            yield

    with pytest.raises(StoreUnavailable, match="no disk"):
        async with open_runtime(store=Closed()):
            pytest.fail("it can't be opened")


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_streams": 0},
        {"max_log_bytes": 10},
        {"closing_bound": 0},
        {"store_patience": -1},
        {"tool_threads": 0},
    ],
)
def test_limits_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RuntimeLimits(**wrong)
