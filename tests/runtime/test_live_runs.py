"""The runs of one process: their places, their leases, their news, how long they are kept."""

import threading

import pytest
import trio
import trio.testing
from runtime_kit import endless, finished, quick, stepwise
from shared_kit import LEASE, ForgetfulStore, orphan, quiet, shared

from trio_agent._agent import Agent
from trio_agent._errors import CursorExpired, FenceLost, LimitExceeded, ModelError, StoreUnavailable
from trio_agent._events import RunError
from trio_agent._limits import CancelAfter, Retention, RuntimeLimits
from trio_agent._log.log import Appended
from trio_agent._log.store import Lease
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import RuntimeStatistics
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel, StoreProxy, call
from trio_agent.tools import tool


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


async def test_runs_and_their_viewers_are_counted() -> None:
    async with open_runtime() as runtime:
        done, active = await finished(runtime), await runtime.start(endless(), "hi")
        assert runtime.statistics() == RuntimeStatistics(1, 1, 0)
        with done.subscribe(), active.subscribe(), active.subscribe():
            assert runtime.statistics() == RuntimeStatistics(1, 1, 3)
        assert runtime.statistics() == RuntimeStatistics(1, 1, 0)
        await active.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert runtime.statistics() == RuntimeStatistics(0, 2, 0)


async def test_one_crash_leaves_the_others_alone() -> None:
    async with open_runtime() as runtime:
        other = await runtime.start(endless(), "hi")
        run = await runtime.start(Agent(model=ScriptedModel([ModelError("x", "y")])), "hi")
        assert (await run.cancel()).outcome in ("error", "cancelled")
        assert other.status == "active"
        await other.cancel()


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


async def test_retention_by_age(autojump_clock: trio.testing.MockClock) -> None:
    limits = RuntimeLimits(retention=Retention(seconds=10))
    async with open_runtime(limits=limits) as runtime:
        run = await runtime.start(Agent(model=ScriptedModel([50.0, "a"])), "hi")
        await run.wait()
        await trio.sleep(9)
        assert await runtime.find(run.id) is run
        with run.subscribe() as events:
            assert len([event async for event in events]) == 6
        await trio.sleep(2)
        assert runtime._live.find(run.id) is None
        with pytest.raises(CursorExpired):
            await runtime.store.read(run.id, 0, 1)
        assert runtime.statistics() == RuntimeStatistics(0, 0, 0)


async def test_retention_by_count_and_bytes() -> None:
    async with open_runtime(limits=RuntimeLimits(retention=Retention(max_runs=2))) as runtime:
        active = await runtime.start(endless(), "hi")
        runs = [await finished(runtime) for _ in range(3)]
        assert runtime._live.find(runs[0].id) is None
        for run in (*runs[1:], active):
            assert await runtime.find(run.id) is run
        await active.cancel()
    retention = Retention(max_bytes=5000)
    async with open_runtime(limits=RuntimeLimits(retention=retention)) as runtime:
        runs = [await finished(runtime, "x" * 1000) for _ in range(3)]
        assert runtime._live.find(runs[0].id) is None
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


async def test_leases_are_renewed_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = MemoryStore(lease=1)
    async with open_runtime(store=StoreProxy(store)) as a, open_runtime(store=StoreProxy(store)):
        run = await a.start(endless(), "hi")
        await trio.sleep(10)
        assert run.status == "active"
        run.request_cancel()


async def test_a_run_that_somebody_else_took(autojump_clock: trio.testing.MockClock) -> None:
    """Its performer stops; whoever has it closes its log, here or elsewhere."""
    memory = MemoryStore(lease=2)
    async with open_runtime(store=memory) as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a", trio.Event()])), "hi")
        await trio.sleep(1)
        await memory.release(Lease(run.id, 1))
        assert await memory.claim(run.id) is not None
        with pytest.raises(FenceLost):
            await run.wait()
        with pytest.raises(FenceLost):
            await run.cancel()
        await trio.sleep(10)
        found = await runtime.find(run.id)
        with found.subscribe() as events:
            last = [event async for event in events][-1]
        assert isinstance(last, RunError)
        assert last.error.code == "worker-lost"
        assert found.status == "error"


async def test_a_claim_of_somebody_else_is_news() -> None:
    """Nobody waits for the next renewal."""
    memory = MemoryStore(lease=1000)
    async with open_runtime(store=memory) as runtime:
        run = await runtime.start(endless(), "hi")
        await trio.testing.wait_all_tasks_blocked()
        await memory.release(Lease(run.id, 1))
        assert await memory.claim(run.id) is not None
        with trio.fail_after(60), pytest.raises(FenceLost):
            await run.wait()


async def test_a_cancel_that_comes_before_the_run_is_ours(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Between the creation and its answer somebody found the run and had enough of it."""

    class Impatient(StoreProxy):
        async def create(self, record):  # type: ignore[no-untyped-def]
            created = await self._store.create(record)
            await self._store.request_cancel(created.run_id, "too early")
            return created

    async with open_runtime(store=Impatient(MemoryStore())) as runtime:
        run = await runtime.start(endless(), "hi")
        assert (await run.wait()).reason == "too early"


async def test_own_viewers_are_not_counted_twice(autojump_clock: trio.testing.MockClock) -> None:
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(endless(), "hi", on_disconnect="cancel")
        with run.subscribe():
            await quiet()
            with (await b.find(run.id)).subscribe():
                await quiet()
            await quiet()
            assert run.status == "active"
        assert (await run.wait()).reason == "nobody watches"


async def test_a_viewer_comes_and_goes_here_while_another_watches_elsewhere(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Whatever is on its way to the store meanwhile, the other is not forgotten."""
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(endless(), "hi", on_disconnect="cancel")
        with (await b.find(run.id)).subscribe():
            await quiet()
            s.doors[0].delay = 0.3
            for pause in (0.05, 0.1, 0.3, 0.35, 0.5, 0.65, 0.9) * 5:
                with run.subscribe():
                    await trio.sleep(pause)
                    # News for our process, at any moment.
                    await s.store.set_viewers(run.id, "other", 1)
                    await s.store.set_viewers(run.id, "other", 0)
                await trio.sleep(pause / 3)
            s.doors[0].delay = 0
            assert run.status == "active"
        assert (await run.wait()).reason == "nobody watches"


async def test_who_leaves_here_while_the_store_is_asked_is_taken_from_nobody_else() -> None:
    class Slow(StoreProxy):
        """Asked for a run, it waits for a while, and then says what is true by then."""

        gate: trio.Event | None = None

        async def perform(self, operation, act):  # type: ignore[no-untyped-def]
            if operation == "info" and self.gate is not None:
                await self.gate.wait()
            return await act()

    memory = MemoryStore()
    slow = Slow(memory)
    async with open_runtime(store=slow) as runtime:
        run = await runtime.start(endless(), "hi", on_disconnect="cancel")
        await memory.set_viewers(run.id, "elsewhere", 1)
        with run.subscribe():
            await trio.testing.wait_all_tasks_blocked()
            assert (await memory.info(run.id)).viewers == 2
            slow.gate = gate = trio.Event()
            await memory.set_viewers(run.id, "elsewhere", 1)
            await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
        assert (await memory.info(run.id)).viewers == 1
        slow.gate = None
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert run.status == "active"
        await memory.set_viewers(run.id, "elsewhere", 0)
        assert (await run.wait()).reason == "nobody watches"


async def test_viewers_whose_process_dies_do_not_count_for_ever(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with shared() as s:
        a, _ = s.runtimes
        run = await a.start(endless(), "hi", on_disconnect=CancelAfter(5))
        await trio.sleep(4)
        await s.store.set_viewers(run.id, "dead", 1)
        begin = trio.current_time()
        assert (await run.wait()).reason == "nobody watches"
        assert LEASE <= trio.current_time() - begin - 5 <= LEASE + 3


async def test_a_lost_end_that_can_not_be_told(
    caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    memory = MemoryStore()

    class Away(ForgetfulStore):
        async def renew_epoch(self, lease, epoch):  # type: ignore[no-untyped-def]
            raise StoreUnavailable("away")

    forgetful = Away(memory)
    agent, (second,) = stepwise("a", "b")
    async with open_runtime(store=forgetful) as a:
        run = await a.start(agent, "hi")
        await quiet()
        forgetful.forget(run.id, 1)
        second.set()
        with pytest.raises(FenceLost):
            await run.wait()
        await quiet()
    assert "was cut short and could not be closed" in caplog.text


async def test_a_lost_end_of_which_another_is_the_holder_now(
    autojump_clock: trio.testing.MockClock,
) -> None:
    memory = MemoryStore()

    class Taken(ForgetfulStore):
        async def renew_epoch(self, lease, epoch):  # type: ignore[no-untyped-def]
            return Appended.FENCED

    forgetful = Taken(memory)
    agent, (second,) = stepwise("a", "b")
    async with open_runtime(store=forgetful) as a:
        run = await a.start(agent, "hi")
        await quiet()
        forgetful.forget(run.id, 1)
        second.set()
        with pytest.raises(FenceLost):
            await run.wait()
        await quiet()
    assert (await memory.info(run.id)).active


@pytest.mark.parametrize(
    "operation", ["renew", "orphans", "expire", "info", "set_viewers", "append", "claim"]
)
async def test_a_bug_beside_the_runs_harms_none(
    operation: str, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a store raises: runs go on, it is logged, and done again when it can be done."""

    class Odd(FaultyStore):
        odd: bool = False

        async def perform(self, name, act):  # type: ignore[no-untyped-def]
            if self.odd and name == operation:
                await trio.lowlevel.checkpoint()
                raise TypeError("int() argument must be a string, not 'NoneType'")
            return await super().perform(name, act)

    store = Odd(MemoryStore(lease=10))
    await orphan(store._store, "orphan")  # type: ignore[arg-type]
    limits = RuntimeLimits(store_patience=200, retention=Retention(seconds=50))
    async with open_runtime(store=store, limits=limits) as runtime:
        agent, (second, third) = stepwise("a", "b", "c")
        run = await runtime.start(agent, "hi")
        await quiet()
        store.odd = True
        await orphan(store._store, "another")  # type: ignore[arg-type]
        second.set()
        with run.subscribe():
            await store._store.request_cancel(run.id, "x") if operation == "info" else None
            done = await finished(runtime) if operation != "append" else None
            await trio.sleep(100)
            assert run.status == "active"
        store.odd = False
        third.set()
        result = await run.wait()
        assert (result.text, result.finish_reason) in [("abc", "stop"), ("ab", "cancelled")]
        await trio.sleep(1000)
        for run_id in ("orphan", "another", run.id, *([done.id] if done else [])):
            with pytest.raises(CursorExpired):
                await store.info(run_id)
    assert "a bug" in caplog.text
    # Once a minute for each kind of trouble.
    assert len(caplog.records) <= 8


async def test_what_is_due_is_removed_without_any_run(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = MemoryStore()
    async with open_runtime(store=store) as runtime:
        runs = [await finished(runtime) for _ in range(2)]
        await trio.sleep(200)
    limits = RuntimeLimits(retention=Retention(seconds=250))
    async with open_runtime(store=store, limits=limits):
        await trio.sleep(10)
        assert store.statistics().finished == 2
        await trio.sleep(100)
        assert store.statistics().finished == 0
    assert len(runs) == 2
    async with open_runtime(store=store) as runtime:
        await finished(runtime)
    await trio.sleep(1000)
    async with open_runtime(store=store):
        await trio.testing.wait_all_tasks_blocked()
        assert store.statistics().finished == 0


async def test_a_receipt_tells_of_abandoned_calls_whoever_asks_for_it() -> None:
    begun, ended = trio.Event(), threading.Event()

    @tool(abandon=True)
    def hang() -> None:
        """Hang."""
        trio.from_thread.run_sync(begun.set)
        ended.wait()

    async with open_runtime() as runtime:
        agent = Agent(model=ScriptedModel([call("1", "hang")]), tools=[hang])
        run = await runtime.start(agent, "hi")
        await begun.wait()
        receipt = await run.cancel()
        assert receipt.abandoned == ("1",)
        # As who finds it when nobody here holds it any more.
        stored = runtime._live.stored(await runtime.store.info(run.id))
        assert await stored.cancel() == receipt
        ended.set()
