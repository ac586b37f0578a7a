"""Several runtimes over one store, as several processes would be."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import attrs
import pytest
import trio
import trio.testing

from trio_agent._agent import Agent
from trio_agent._errors import (
    CursorExpired,
    FenceLost,
    RunFailed,
    StoreUnavailable,
    UnknownRun,
)
from trio_agent._events import AnyEvent, RunError, RunFinish, TextDelta, ToolCall, ToolResult
from trio_agent._limits import CancelAfter, RuntimeLimits
from trio_agent._log.cursor import Cursor
from trio_agent._log.log import Appended
from trio_agent._log.store import Store
from trio_agent._log.subscription import Subscription
from trio_agent._run.live_run import LiveRun
from trio_agent._run.run import Receipt, Run
from trio_agent._run.stored_run import StoredRun
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel, StoreProxy, Sweep, call, cancel_sweep
from trio_agent.tools._tool import tool

LEASE = 10.0


@pytest.fixture(autouse=True)
def _clock() -> None:
    """No time is lost here: all stores are in memory."""


async def quiet() -> None:
    """Let everything happen that is about to, writers' waiting for company included."""
    await trio.sleep(0.05)


@attrs.define
class Shared:
    """Runtimes, each with a door of its own to the store that they share."""

    store: MemoryStore
    doors: list[FaultyStore]
    runtimes: list[Runtime]


@asynccontextmanager
async def shared(
    count: int = 2, *, store: MemoryStore | None = None, delay: float = 0.0
) -> AsyncIterator[Shared]:
    store = store or MemoryStore(lease=LEASE)
    doors = [FaultyStore(store) for _ in range(count)]
    for door in doors:
        door.delay = delay
    async with AsyncExitStack() as stack:
        runtimes = [await stack.enter_async_context(open_runtime(store=door)) for door in doors]
        yield Shared(store, doors, runtimes)


@tool
async def look(city: str = "") -> str:
    """Look."""
    return city


@tool
async def hang() -> None:
    """Never return."""
    await trio.sleep_forever()


def stepwise(*texts: str) -> tuple[Agent, list[trio.Event]]:
    """An agent that waits for an event before each piece but the first."""
    events = [trio.Event() for _ in texts[1:]]
    lines: list[str | trio.Event] = [texts[0]]
    for event, text in zip(events, texts[1:], strict=True):
        lines += [event, text]
    return Agent(model=ScriptedModel(lines)), events


def endless() -> Agent:
    return Agent(model=ScriptedModel(["a", trio.Event()]))


async def rest(run: Run, after: Cursor | str | int = 0) -> list[AnyEvent]:
    with run.subscribe(after=after) as events:
        return [event async for event in events]


async def collect(events: Subscription, seen: list[AnyEvent]) -> None:
    with events:
        async for event in events:
            seen.append(event)  # noqa: PERF401  (what was seen must be there at once)


async def logged(store: Store, run_id: str) -> list[AnyEvent]:
    page = await store.read(run_id, 0, 10_000)
    return [event for entry in page.entries if (event := entry.event) is not None]


def text_of(events: Sequence[AnyEvent]) -> str:
    return "".join(event.delta for event in events if isinstance(event, TextDelta))


# Following


async def test_followed_from_the_start_from_a_cursor_and_late(
    autojump_clock: trio.testing.MockClock,
) -> None:
    agent, (second, third) = stepwise("a", "b", "c")
    async with shared() as s, trio.open_nursery() as nursery:
        a, b = s.runtimes
        run = await a.start(agent, "hi")
        early, middle = list[AnyEvent](), list[AnyEvent]()
        found = await b.find(run.id)
        assert isinstance(found, StoredRun)
        assert (found.id, found.agent, found.status) == (run.id, "agent", "active")
        nursery.start_soon(collect, found.subscribe(), early)
        await quiet()
        assert text_of(early) == "a"
        nursery.start_soon(collect, (await b.find(run.id)).subscribe(after=run.cursor), middle)
        second.set()
        await quiet()
        assert (text_of(early), text_of(middle)) == ("ab", "b")
        third.set()
        await run.wait()
        await quiet()
        log = await logged(s.store, run.id)
        assert (early, middle) == (log, log[3:])
        assert found.status == "stop"
        late = await b.find(run.id)
        assert late.status == "stop"
        assert await rest(late) == log
        assert await rest(late, late.cursor) == []
        assert late.cursor == run.cursor


async def test_two_who_looked_it_up_before_either_followed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    agent, (second,) = stepwise("a", "b")
    async with shared() as s, trio.open_nursery() as nursery:
        a, b = s.runtimes
        run = await a.start(agent, "hi")
        found = [await b.find(run.id) for _ in range(2)]
        seen = [list[AnyEvent](), list[AnyEvent]()]
        for one, into in zip(found, seen, strict=True):
            nursery.start_soon(collect, one.subscribe(), into)
        await quiet()
        second.set()
        with trio.fail_after(60):
            await run.wait()
            while not all(into and into[-1].terminal for into in seen):
                await quiet()
        assert seen[0] == seen[1] == await logged(s.store, run.id)


async def test_a_cursor_that_is_newer_than_what_the_follower_has(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A client that comes over from the run's own process is ahead of our last look."""
    agent, (second,) = stepwise("a", "b")

    class Late(StoreProxy):
        """Its reads hang, so that the follower falls behind."""

        hanging = False

        async def perform(self, operation, act):  # type: ignore[no-untyped-def]
            if operation == "read" and self.hanging:
                await trio.sleep_forever()
            return await act()

    store = MemoryStore()
    late = Late(store)
    async with open_runtime(store=store) as a, open_runtime(store=late) as b:
        run = await a.start(agent, "hi")
        await quiet()
        with (await b.find(run.id)).subscribe() as viewer:
            await viewer.receive_batch()
            late.hanging = True
            second.set()
            await run.wait()
            await quiet()
            again = await b.find(run.id)
            assert again._feed is viewer._feed
            late.hanging = False
            with again.subscribe(after=run.cursor) as events, pytest.raises(trio.EndOfChannel):
                await events.receive()
            assert text_of([event async for event in viewer]) == "b"


async def test_a_read_that_was_overtaken_by_a_look(autojump_clock: trio.testing.MockClock) -> None:
    """Nothing is repeated when a run is looked up while its news are being read."""
    agent, (second, third) = stepwise("a", "b", "c")

    class Slow(StoreProxy):
        gate: trio.Event | None = None

        async def perform(self, operation, act):  # type: ignore[no-untyped-def]
            outcome = await act()
            if operation == "read" and self.gate is not None:
                await self.gate.wait()
            return outcome

    store = MemoryStore()
    slow = Slow(store)
    async with open_runtime(store=store) as a, open_runtime(store=slow) as b:
        run = await a.start(agent, "hi")
        async with trio.open_nursery() as nursery:
            seen: list[AnyEvent] = []
            nursery.start_soon(collect, (await b.find(run.id)).subscribe(), seen)
            await quiet()
            slow.gate = gate = trio.Event()
            second.set()
            await quiet()
            assert text_of(seen) == "a"
            third.set()
            await run.wait()
            await b.find(run.id)
            slow.gate = None
            gate.set()
        assert seen == await logged(store, run.id)


async def test_a_run_of_many_pages(autojump_clock: trio.testing.MockClock) -> None:
    go_on = trio.Event()
    agent = Agent(model=ScriptedModel(["a", go_on, *["x"] * 3000]))
    async with shared() as s, trio.open_nursery() as nursery:
        a, b = s.runtimes
        run = await a.start(agent, "hi")
        seen: list[AnyEvent] = []
        nursery.start_soon(collect, (await b.find(run.id)).subscribe(), seen)
        await quiet()
        go_on.set()
        await run.wait()
        assert len(text_of(await rest(await b.find(run.id)))) == 3001
        while not (seen and seen[-1].terminal):
            await quiet()
        assert seen == await logged(s.store, run.id)


async def test_nobody_follows_what_nobody_watches(autojump_clock: trio.testing.MockClock) -> None:
    agent, (second, third) = stepwise("a", "b", "c")
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(agent, "hi")
        found = await b.find(run.id)
        with found.subscribe() as events:
            await events.receive()
        await quiet()
        reads = s.doors[1].calls["read"]
        second.set()
        await quiet()
        assert s.doors[1].calls["read"] == reads
        third.set()
        await run.wait()
        # Who comes back to the same object goes on where the log is now.
        assert text_of(await rest(found)) == "abc"
        assert found.status == "stop"


async def test_no_such_run(autojump_clock: trio.testing.MockClock) -> None:
    async with shared() as s:
        with pytest.raises(UnknownRun):
            await s.runtimes[1].find("nope")


async def test_its_own_process_finds_it_alive(autojump_clock: trio.testing.MockClock) -> None:
    agent, (second,) = stepwise("a", "b")
    async with shared() as s:
        run = await s.runtimes[0].start(agent, "hi")
        with trio.testing.assert_checkpoints():
            assert await s.runtimes[0].find(run.id) is run
        second.set()


# Waiting and cancelling


async def test_waiting_elsewhere_gives_the_same_result(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = ScriptedModel(["I ", call("1", "look", city="Oslo")], ["snow"])
    async with shared() as s, trio.open_nursery() as nursery:
        a, b = s.runtimes
        run = await a.start(Agent(model=model, tools=[look]), "hi")
        found = await b.find(run.id)
        results = []

        async def wait() -> None:
            results.append(await found.wait())

        nursery.start_soon(wait)
        nursery.start_soon(wait)
        own = await run.wait()
        assert len(own.messages) == 4
        results += [await (await b.find(run.id)).wait(), await found.wait()]
        await quiet()
        assert results == [own] * 4
        assert (await found.cancel()).outcome == "stop"
        assert s.doors[1].calls["request_cancel"] == 0


async def test_waiting_elsewhere_for_a_failure(autojump_clock: trio.testing.MockClock) -> None:
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(Agent(model=ScriptedModel([trio.Event(), KeyError("bug")])), "hi")
        failed = await a.start(Agent(model=ScriptedModel([ValueError("bug")])), "hi")
        with pytest.raises(RunFailed, match="internal"):
            await (await b.find(failed.id)).wait()
        assert (await b.find(failed.id)).status == "error"
        await run.cancel()


async def test_cancelled_from_elsewhere(autojump_clock: trio.testing.MockClock) -> None:
    async with shared() as s, trio.open_nursery() as nursery:
        a, b = s.runtimes
        run = await a.start(Agent(model=ScriptedModel([call("1", "hang")]), tools=[hang]), "hi")
        await quiet()
        found = await b.find(run.id)
        seen: list[AnyEvent] = []
        nursery.start_soon(collect, found.subscribe(), seen)
        found.request_cancel("first")
        receipt = await found.cancel("second")
        await quiet()
        [last] = [event for event in seen if event.terminal]
        assert isinstance(last, RunFinish)
        assert (last.run.finish_reason, last.run.reason) == ("cancelled", "first")
        assert receipt == Receipt("cancelled", len(seen))
        assert receipt == await run.cancel() == await found.cancel()
        assert [event.tool.status for event in seen if isinstance(event, ToolResult)] == [
            "cancelled"
        ]
        result = await found.wait()
        assert (result.finish_reason, result.reason) == ("cancelled", "first")


async def test_three_cancel_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with shared(3) as s, trio.open_nursery() as nursery:
        run = await s.runtimes[0].start(endless(), "hi")
        await quiet()
        receipts: list[Receipt] = []

        async def cancel(runtime: Runtime) -> None:
            receipts.append(await (await runtime.find(run.id)).cancel())

        for runtime in s.runtimes:
            nursery.start_soon(cancel, runtime)
        await run.wait()
        await quiet()
        assert receipts == [Receipt("cancelled", 4)] * 3


async def test_a_cancel_of_what_was_removed_is_told_to_nobody(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(endless(), "hi")
        found = await b.find(run.id)
        await run.cancel()
        await a.delete(run.id)
        found.request_cancel()
        await quiet()
        assert s.doors[1].calls["request_cancel"] == 1
        with pytest.raises(CursorExpired):
            await found.wait()


# Who watches


async def test_a_viewer_elsewhere_keeps_it_alive(autojump_clock: trio.testing.MockClock) -> None:
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(endless(), "hi", on_disconnect=CancelAfter(5))
        with (await b.find(run.id)).subscribe():
            await trio.sleep(60)
            assert (await s.store.info(run.id)).viewers == 1
            assert run.status == "active"
        begin = trio.current_time()
        assert (await run.wait()).reason == "nobody watches"
        assert trio.current_time() - begin == 5


async def test_cancel_arms_at_the_first_viewer_elsewhere(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with shared(3) as s:
        a, b, c = s.runtimes
        run = await a.start(endless(), "hi", on_disconnect="cancel")
        with (await b.find(run.id)).subscribe(), (await b.find(run.id)).subscribe():
            await quiet()
            assert (await s.store.info(run.id)).viewers == 2
            with (await c.find(run.id)).subscribe(), run.subscribe():
                await quiet()
                assert (await s.store.info(run.id)).viewers == 4
        await quiet()
        assert (await run.wait()).reason == "nobody watches"


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


async def test_viewers_are_told_when_the_store_is_back(
    caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(endless(), "hi", on_disconnect=CancelAfter(100))
        s.doors[1].away.add("set_viewers")
        with (await b.find(run.id)).subscribe():
            await trio.sleep(20)
            assert (await s.store.info(run.id)).viewers == 0
            s.doors[1].away.clear()
            await trio.sleep(3)
            assert (await s.store.info(run.id)).viewers == 1
            s.doors[1].away.add("set_viewers")
            await trio.sleep(20)
            assert (await s.store.info(run.id)).viewers == 0
        s.doors[1].away.clear()
        await trio.sleep(3)
        assert (await s.store.info(run.id)).viewers == 0
        assert "could not be told who watches" in caplog.text
        await run.cancel()


async def test_viewers_of_a_finished_run_are_no_news(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(Agent(model=ScriptedModel(["a"])), "hi")
        await run.wait()
        await quiet()
        told = s.doors[1].calls["set_viewers"]
        await rest(await b.find(run.id))
        await quiet()
        assert s.doors[1].calls["set_viewers"] == told == 0


# Lost workers


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
            assert [event.terminal for event in events] == [False] * (len(events) - 1) + [True]
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
        assert a._live.get(acting.id) is None
        assert a.statistics().active == 0
        await trio.sleep(60)
        assert await logged(s.store, acting.id) == seen
    assert "had lost its worker: committed" in caplog.text


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


async def test_reapers_race(autojump_clock: trio.testing.MockClock) -> None:
    store = MemoryStore(lease=LEASE)
    with trio.CancelScope() as death:
        async with open_runtime(
            store=(door := FaultyStore(store)), limits=RuntimeLimits(closing_bound=0.1)
        ) as doomed:
            run = await doomed.start(Agent(model=ScriptedModel(["a", trio.Event()])), "hi")
            await quiet()
            door.away |= {"append", "renew", "release", "expire"}
            death.cancel()
    assert (await store.info(run.id)).active
    # With a delay, so that each looks before one has claimed.
    async with shared(3, store=store, delay=0.1) as s:
        found = await s.runtimes[0].find(run.id)
        with pytest.raises(RunFailed, match="worker-lost"):
            await found.wait()
        await trio.sleep(30)
        events = await logged(store, run.id)
        assert [event.terminal for event in events] == [False, False, False, True]
        assert sum(door.calls["claim"] for door in s.doors) == 3
        assert sum(door.calls["append"] for door in s.doors) == 1


async def test_a_run_that_was_released(autojump_clock: trio.testing.MockClock) -> None:
    """Another worker need not wait for the end of its lease."""
    store = MemoryStore(lease=1000)
    async with shared(store=store) as s:
        a, b = s.runtimes
        run = await a.start(endless(), "hi")
        live = a._live._live[run.id]
        await quiet()
        begin = trio.current_time()
        a._live.follower.discard_own(run.id)
        del a._live._live[run.id]  # so that it does not look like ours: its process is gone
        await store.release(live.log.lease)
        with pytest.raises(RunFailed, match="worker-lost"):
            await (await b.find(run.id)).wait()
        assert trio.current_time() - begin <= 300
        run.request_cancel()


async def test_a_runtime_reaps_no_run_of_its_own(autojump_clock: trio.testing.MockClock) -> None:
    async with shared(1) as s:
        [a] = s.runtimes
        run = await a.start(endless(), "hi")
        s.doors[0].away.add("renew")
        await trio.sleep(60)
        assert not (await s.store.info(run.id)).leased
        assert run.status == "active"
        s.doors[0].away.clear()
        await trio.sleep(4)
        assert (await s.store.info(run.id)).leased
        assert (await run.cancel()).outcome == "cancelled"


# Keys, removal, lost ends, and a store that is away


async def test_one_key_in_two_processes(autojump_clock: trio.testing.MockClock) -> None:
    async with shared() as s:
        a, b = s.runtimes
        model = ScriptedModel(["a"])
        first = await a.start(Agent(model=model), "hi", owner="me", idempotency_key="k")
        second = await b.start(Agent(model=model), "hi", owner="me", idempotency_key="k")
        assert second.id == first.id
        assert isinstance(second, StoredRun)
        assert await second.wait() == await first.wait()
        assert len(model.requests) == 1
        assert b.statistics().active == 0


async def test_one_key_in_two_processes_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with shared() as s, trio.open_nursery() as nursery:
        model = ScriptedModel(["a"])
        runs: list[Run] = []

        async def start(runtime: Runtime) -> None:
            runs.append(await runtime.start(Agent(model=model), "hi", idempotency_key="k"))

        for runtime in s.runtimes:
            nursery.start_soon(start, runtime)
        while len(runs) < 2:
            await quiet()
        assert {type(run) for run in runs} == {LiveRun, StoredRun}
        assert await runs[0].wait() == await runs[1].wait()
        assert len(model.requests) == 1


async def test_removed_while_it_is_followed(autojump_clock: trio.testing.MockClock) -> None:
    """Its end was never seen by the follower, so nobody may take its end for success."""
    agent, (second,) = stepwise("a", "b")
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(agent, "hi")
        await quiet()
        found = await b.find(run.id)
        with found.subscribe() as events:
            await events.receive_batch()
            await quiet()
            s.doors[1].away.add("read")
            second.set()
            await run.wait()
            await quiet()
            await a.delete(run.id)
            s.doors[1].away.clear()
            with pytest.raises((trio.BrokenResourceError, CursorExpired)), trio.fail_after(60):
                await events.receive()
        with pytest.raises(CursorExpired):
            await found.wait()
        with pytest.raises(CursorExpired):
            await b.find(run.id)
        assert found.status == "active"


async def test_removed_when_its_end_was_seen(autojump_clock: trio.testing.MockClock) -> None:
    async with shared() as s:
        a, b = s.runtimes
        agent, (second,) = stepwise("a", "b")
        run = await a.start(agent, "hi")
        await quiet()
        found = await b.find(run.id)
        with found.subscribe() as events:
            await events.receive_batch()
            second.set()
            await run.wait()
            await quiet()
            await b.delete(run.id)
            assert text_of([event async for event in events]) == "b"


class ForgetfulStore(StoreProxy):
    """Its memory can lose the end of a log, as a store that fails over to a lagging copy."""

    def __init__(self, memory: MemoryStore) -> None:
        super().__init__(memory)
        self.memory = memory

    def forget(self, run_id: str, count: int) -> None:
        log = self.memory._runs[run_id].log
        del log.entries[-count:]
        log.size = sum(len(entry.data) for entry in log.entries)


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


async def test_an_end_that_was_lost_and_is_longer_than_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The closing events of the new epoch are no continuation of what a viewer saw."""
    memory = MemoryStore()
    forgetful = ForgetfulStore(memory)
    calls = tuple(call(str(n), "hang") for n in range(5))
    async with open_runtime(store=forgetful) as a, open_runtime(store=StoreProxy(memory)) as b:
        gate = trio.Event()

        @tool
        async def wait() -> None:
            """Wait."""
            await gate.wait()

        agent = Agent(model=ScriptedModel([*calls, call("5", "wait")]), tools=[hang, wait])
        run = await a.start(agent, "hi")
        await quiet()
        with (await b.find(run.id)).subscribe() as viewer:
            seen = await viewer.receive_batch()
            forgetful.forget(run.id, 1)
            gate.set()
            await quiet()
            assert (await memory.info(run.id)).tail > len(seen)
            with pytest.raises(trio.BrokenResourceError):
                await viewer.receive()


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
    assert "cut short could not be closed" in caplog.text


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


async def test_a_follower_goes_on_when_the_store_is_back(
    caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    agent = Agent(model=ScriptedModel(["a", 5.0, "b", 20.0, "c"]))
    async with shared() as s, trio.open_nursery() as nursery:
        a, b = s.runtimes
        run = await a.start(agent, "hi")
        seen: list[AnyEvent] = []
        nursery.start_soon(collect, (await b.find(run.id)).subscribe(), seen)
        await trio.sleep(1)
        s.doors[1].away |= {"read", "info"}
        await trio.sleep(9)
        assert text_of(seen) == "a"
        s.doors[1].away.clear()
        await trio.sleep(2)
        assert text_of(seen) == "ab"
        assert (await run.wait()).text == "abc"
        await quiet()
        assert seen == await logged(s.store, run.id)
    assert "news of run" in caplog.text


async def test_a_cancel_request_is_told_when_the_store_is_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(endless(), "hi")
        s.doors[1].away.add("request_cancel")
        s.doors[0].away.add("info")
        (await b.find(run.id)).request_cancel("far away")
        await trio.sleep(5)
        s.doors[1].away.clear()
        await trio.sleep(5)
        assert run.status == "active"
        s.doors[0].away.clear()
        assert (await run.wait()).reason == "far away"


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


# Sweeps


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
            assert [event.terminal for event in log] == [False] * (len(log) - 1) + [True]
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


# Draining


class SharedStore(StoreProxy):
    """Memory, as if several servers could have it."""

    @property
    def shared(self) -> bool:
        return True


async def drain(runtime: Runtime, *, leaving: Subscription) -> None:
    """Begin to drain a runtime, and send its viewer away, as servers do."""
    await runtime.wait_draining()
    leaving.close()


async def test_who_is_sent_away_by_a_drain_has_not_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = MemoryStore(lease=LEASE)
    async with (
        open_runtime(store=SharedStore(store)) as a,
        open_runtime(store=SharedStore(store)) as b,
        trio.open_nursery() as nursery,
    ):
        here = await a.start(endless(), "hi", on_disconnect="cancel")
        there = await a.start(endless(), "hi", on_disconnect="cancel")
        nursery.start_soon(partial(drain, b, leaving=(await b.find(there.id)).subscribe()))
        await quiet()
        assert there.statistics().viewers == 0
        await b.drain(0)
        await quiet()
        assert there.status == "active"
        # It comes back to the other one in time.
        again = there.subscribe()
        await trio.sleep(3 * LEASE)
        assert there.status == "active"
        nursery.start_soon(partial(drain, a, leaving=here.subscribe()))
        nursery.start_soon(partial(drain, a, leaving=again))
        await quiet()
        with trio.move_on_after(LEASE):
            await a.drain(100)
        assert (here.status, there.status) == ("active", "active")
        await a.drain(0)
        assert (here.status, there.status) == ("cancelled", "cancelled")
        assert here.cancel_reason == "the runtime was drained"  # type: ignore[attr-defined]


async def test_who_leaves_while_the_memory_is_drained_has_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(endless(), "hi", on_disconnect="cancel")
        nursery.start_soon(partial(drain, runtime, leaving=run.subscribe()))
        await runtime.drain(100)
        assert run.cancel_reason == "nobody watches"  # type: ignore[attr-defined]


async def test_leases_are_renewed_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = MemoryStore(lease=1)
    async with open_runtime(store=StoreProxy(store)) as a, open_runtime(store=StoreProxy(store)):
        run = await a.start(endless(), "hi")
        await trio.sleep(10)
        assert run.status == "active"
        run.request_cancel()
