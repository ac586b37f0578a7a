"""Workers that lose their runs, and logs that lose their ends, as everybody sees it."""

import pytest
import trio
import trio.testing
from log_kit import check_log
from runtime_kit import collect, logged, rest, stepwise, text_of
from shared_kit import LEASE, ForgetfulStore, look, quiet, shared

from trio_agent._agent import Agent
from trio_agent._errors import CursorExpired, FenceLost, RunFailed, StoreUnavailable
from trio_agent._events import AnyEvent, RunError, ToolCall, ToolResult
from trio_agent._log.cursor import Cursor
from trio_agent._run.live_run import LiveRun
from trio_agent._run.stored_run import StoredRun
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import ScriptedModel, StoreProxy, call
from trio_agent.tools._tool import tool


async def test_a_worker_that_loses_its_lease(
    caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    """Away for too long: the other closes the log, once, and the zombie is dropped."""
    stopped: list[float] = []

    class Stubborn(ScriptedModel):
        async def generate(self, request, emit):  # type: ignore[no-untyped-def]
            try:
                return await super().generate(request, emit)
            finally:
                stopped.append(trio.current_time())

    @tool
    async def work() -> None:
        """Work for long."""
        try:
            await trio.sleep_forever()
        finally:
            stopped.append(trio.current_time())

    async with shared(3) as s, trio.open_nursery() as nursery:
        a, b, _ = s.runtimes
        talking = await a.start(Agent(model=Stubborn(["a", trio.Event()])), "hi")
        acting = await a.start(
            Agent(model=ScriptedModel([call("1", "work"), call("2", "look")]), tools=[work, look]),
            "hi",
        )
        await quiet()
        found = await b.find(acting.id)
        assert isinstance(await a.find(acting.id), LiveRun)
        seen: list[AnyEvent] = []
        nursery.start_soon(collect, found.subscribe(), seen)
        viewer = acting.subscribe()
        await viewer.receive_batch()
        s.doors[0].away |= {"renew", "append", "info", "read", "orphans", "set_viewers"}
        await trio.sleep(LEASE + 4)
        assert stopped == []
        for run in (talking, acting):
            events = await logged(s.store, run.id)
            check_log(events)
            assert isinstance(events[-1], RunError)
            assert events[-1].error.code == "worker-lost"
        assert seen == await logged(s.store, acting.id)
        assert len({e.tool.id for e in seen if isinstance(e, ToolCall)}) == 2
        results = {e.tool.id: e.tool.status for e in seen if isinstance(e, ToolResult)}
        assert results == {"1": "unknown", "2": "ok"}
        with pytest.raises(RunFailed, match="worker-lost"):
            await found.wait()
        s.doors[0].away.clear()
        await trio.sleep(4)
        assert len(stopped) == 2
        with pytest.raises(trio.BrokenResourceError):
            await viewer.receive()
        viewer.close()
        with pytest.raises(FenceLost):
            await acting.wait()
        again = await a.find(acting.id)
        assert isinstance(again, StoredRun)
        assert (await rest(again), again.status) == (seen, "error")
        assert a._live.find(acting.id) is None
        assert a.statistics().active == 0
        await trio.sleep(60)
        assert await logged(s.store, acting.id) == seen
    assert "had nobody who works on it: committed" in caplog.text


async def test_a_worker_that_was_told_of_the_store_before_it_lost_the_run(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It gave the run up with `store-unavailable`; what the log says is the truth all the same."""
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(Agent(model=ScriptedModel(["a", 1.0, "b", 8.0, "c"])), "hi")
        await quiet()
        s.doors[0].away |= {"renew", "append"}
        with pytest.raises(StoreUnavailable):
            await run.wait()
        await trio.sleep(LEASE + 4)
        s.doors[0].away.clear()
        await trio.sleep(4)
        [here, there] = [await rest(await runtime.find(run.id)) for runtime in (a, b)]
        assert here == there == await logged(s.store, run.id)
        assert isinstance(here[-1], RunError)
        assert here[-1].error.code == "worker-lost"


@pytest.mark.parametrize("count", [1, 2])
async def test_the_end_of_a_log_is_lost(count: int, autojump_clock: trio.testing.MockClock) -> None:
    memory = MemoryStore()
    forgetful = ForgetfulStore(memory)
    agent, (second, third) = stepwise("a", "b", "c")
    async with open_runtime(store=forgetful) as a, open_runtime(store=StoreProxy(memory)) as b:
        run = await a.start(agent, "hi")
        found = await b.find(run.id)
        own, other = run.subscribe(), found.subscribe()
        second.set()
        await quiet()
        for viewer in (own, other):
            assert text_of(await viewer.receive_batch()) == "ab"
        old = run.cursor
        forgetful.forget(run.id, count)
        third.set()
        for viewer in (own, other):
            with pytest.raises(trio.BrokenResourceError):
                await viewer.receive()
            viewer.close()
        with pytest.raises(FenceLost, match="gap"):
            await run.wait()
        with pytest.raises(CursorExpired):
            await found.wait()
        await quiet()
        for runtime in (a, b):
            again = await runtime.find(run.id)
            assert again.cursor.epoch != old.epoch
            events = await rest(again)
            assert isinstance(events[-1], RunError)
            assert events[-1].error.code == "log-lost"
            assert [event.terminal for event in events].count(True) == 1
            for cursor in (old, Cursor(run.id, old.epoch, 1), str(old)):
                with pytest.raises(CursorExpired):
                    again.subscribe(after=cursor)
