"""Who watches, and what becomes of a run when nobody does."""

from typing import Literal

import pytest
import trio
import trio.testing

from trio_agent._agent import Agent
from trio_agent._errors import CursorExpired, CursorInvalid, StoreUnavailable
from trio_agent._events import AnyEvent, RunFinish, TextDelta
from trio_agent._limits import CancelAfter, OnDisconnect
from trio_agent._log.cursor import Cursor
from trio_agent._log.feed import Feed
from trio_agent._log.store import RunRecord
from trio_agent._run.live_run import LiveRun
from trio_agent._run.run import RunStatistics
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import ScriptedModel


async def start(
    runtime: Runtime, on_disconnect: OnDisconnect, *, seconds: float = 100.0
) -> LiveRun:
    agent = Agent(model=ScriptedModel(["a", seconds, "b"]))
    run = await runtime.start(agent, "hi", on_disconnect=on_disconnect)
    await trio.testing.wait_all_tasks_blocked()
    live = runtime._live.get(run.id)
    assert live is not None
    return live


async def test_continue(autojump_clock: trio.testing.MockClock) -> None:
    async with open_runtime() as runtime:
        run = await start(runtime, "continue")
        async with run.subscribe() as events:
            await events.receive()
        assert (await run.wait()).finish_reason == "stop"


async def test_cancel_arms_at_the_first_viewer(autojump_clock: trio.testing.MockClock) -> None:
    async with open_runtime() as runtime:
        run = await start(runtime, "cancel")
        await trio.sleep(10)
        assert not run.done
        async with run.subscribe(), run.subscribe():
            pass
        result = await run.wait()
        assert (result.finish_reason, result.reason) == ("cancelled", "nobody watches")


async def test_cancel_waits_for_the_last_viewer(autojump_clock: trio.testing.MockClock) -> None:
    async with open_runtime() as runtime:
        run = await start(runtime, "cancel")
        with run.subscribe():
            with run.subscribe():
                assert run.statistics() == RunStatistics(tail=3, viewers=2)
            await trio.sleep(10)
            assert run.cancel_reason is None
        assert run.cancel_reason == "nobody watches"


async def test_waiting_is_not_watching(autojump_clock: trio.testing.MockClock) -> None:
    async with open_runtime() as runtime:
        run = await start(runtime, CancelAfter(5))
        begin = trio.current_time()
        assert (await run.wait()).reason == "nobody watches"
        assert trio.current_time() - begin == 5


async def test_cancel_after_counts_from_the_last_leaving(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_runtime() as runtime:
        run = await start(runtime, CancelAfter(5))
        await trio.sleep(4)
        with run.subscribe():
            await trio.sleep(20)
        await trio.sleep(4)
        with run.subscribe(), run.subscribe():
            await trio.sleep(1)
        begin = trio.current_time()
        result = await run.wait()
        assert (result.finish_reason, result.reason) == ("cancelled", "nobody watches")
        assert trio.current_time() - begin == 5


async def test_a_viewer_who_comes_back_in_time(autojump_clock: trio.testing.MockClock) -> None:
    async with open_runtime() as runtime:
        run = await start(runtime, CancelAfter(5), seconds=20.0)
        seen: list[AnyEvent] = []
        cursor = str(Cursor(run.id, run.cursor.epoch, 0))
        while not (seen and seen[-1].terminal):
            with run.subscribe(after=cursor) as events, trio.move_on_after(1):
                while True:
                    try:
                        seen.append(await events.receive())
                    except trio.EndOfChannel:
                        break
                    finally:
                        cursor = str(events.cursor)
            await trio.sleep(4)
        assert isinstance(seen[-1], RunFinish)
        assert seen[-1].run.finish_reason == "stop"
        assert [event.delta for event in seen if isinstance(event, TextDelta)] == ["a", "b"]


@pytest.mark.parametrize("policy", ["cancel", CancelAfter(5)])
async def test_a_failed_writer_is_not_a_viewer_who_left(
    policy: Literal["cancel"] | CancelAfter, autojump_clock: trio.testing.MockClock
) -> None:
    feed = Feed("r", "e")
    run = LiveRun(RunRecord("r", "e", "a", 0), feed, MemoryStore(), on_disconnect=policy)
    with run.subscribe() as events:
        feed.break_off(StoreUnavailable("away"))
        with pytest.raises(trio.BrokenResourceError):
            await events.receive()
    assert run.cancel_reason is None
    assert run.viewer_scope.deadline == float("inf")


async def test_leaving_a_finished_run_changes_nothing() -> None:
    async with open_runtime() as runtime:
        agent = Agent(model=ScriptedModel(["a"]))
        started = await runtime.start(agent, "hi", on_disconnect="cancel")
        run = runtime._live.get(started.id)
        assert run is not None
        with run.subscribe() as events:
            async for _ in events:
                pass
            result = await run.wait()
        assert run.cancel_reason is None
        run.request_cancel("late")
        assert run.cancel_reason is None
        assert await run.wait() == result


async def test_cursors() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a"])), "hi")
        await run.wait()
        assert run.cursor == Cursor(run.id, run.cursor.epoch, 5)
        with run.subscribe(after=run.cursor) as events, pytest.raises(trio.EndOfChannel):
            await events.receive()
        for bad, error in (
            ("?", CursorInvalid),
            (-1, CursorInvalid),
            (6, CursorExpired),
            (f"{run.id}.other.0", CursorExpired),
        ):
            with pytest.raises(error):
                run.subscribe(after=bad)
        assert run.statistics().viewers == 0


async def test_a_late_joiner_beyond_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_agent._log.feed._WINDOW", 8)
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel([str(n) for n in range(50)])), "hi")
        await run.wait()
        assert not run._feed.recent(0)
        with run.subscribe() as events:
            seen = [event async for event in events]
        text = "".join(event.delta for event in seen if isinstance(event, TextDelta))
        assert text == "".join(map(str, range(50)))
        assert seen[-1].terminal


async def test_a_slow_subscriber_never_delays_the_run() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["x"] * 5000)), "hi")
        with run.subscribe() as slow:
            await slow.receive()
            assert (await run.wait()).finish_reason == "stop"
            assert slow.statistics().behind == run.cursor.offset - 1
            rest = [event async for event in slow]
        assert len(rest) == run.cursor.offset - 1
