"""A run that lives here: its end, who cancels it, what becomes of it when nobody watches."""

import math
from typing import Literal

import pytest
import trio
import trio.testing
from run_kit import live_run, stored_run
from store_kit import record
from wait_kit import asleep, refund, told

from trio_agent._agent import Agent
from trio_agent._errors import FenceLost, RunFailed, StoreUnavailable
from trio_agent._events import (
    AnyEvent,
    ErrorDetail,
    FinishReason,
    RunError,
    RunFinish,
    RunSummary,
    TextDelta,
    Usage,
)
from trio_agent._limits import CancelAfter, OnDisconnect
from trio_agent._log.cursor import Cursor
from trio_agent._log.feed import Feed
from trio_agent._log.log import Entry
from trio_agent._run.items import Answer, encode_item
from trio_agent._run.live_run import LiveRun
from trio_agent._run.result import Result
from trio_agent._run.run import Receipt, RunStatistics
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import ScriptedModel, call


async def start(
    runtime: Runtime, on_disconnect: OnDisconnect, *, seconds: float = 100.0
) -> LiveRun:
    agent = Agent(model=ScriptedModel(["a", seconds, "b"]))
    run = await runtime.start(agent, "hi", on_disconnect=on_disconnect)
    await trio.testing.wait_all_tasks_blocked()
    live = runtime._live.find(run.id)
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
    run = live_run(feed, policy)
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
        run = runtime._live.find(started.id)
        assert run is not None
        with run.subscribe() as events:
            async for _ in events:
                pass
            result = await run.wait()
        assert run.cancel_reason is None
        run.request_cancel("late")
        assert run.cancel_reason is None
        assert await run.wait() == result


async def test_the_first_reason_wins() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel([trio.Event()])), "hi")
        run.request_cancel("first")
        run.request_cancel("second")
        await run.cancel("third")
        assert (await run.wait()).reason == "first"
        assert runtime._live.find(run.id).cancel_reason == "first"


# Without a runtime


def live(policy: OnDisconnect = "continue") -> tuple[LiveRun, Feed]:
    feed = Feed("r", "e")
    return live_run(feed, policy), feed


def finish(reason: FinishReason = "stop") -> RunFinish:
    return RunFinish(at=0, run=RunSummary("r", "", 1, reason, Usage()))


FAILED = RunError(at=0, error=ErrorDetail("x", "it broke"))


@pytest.mark.parametrize(
    ("terminal", "outcome"),
    [
        (finish(), "stop"),
        (finish("cancelled"), "cancelled"),
        (finish("max-steps"), "max-steps"),
        (FAILED, "error"),
    ],
)
async def test_how_it_ended(terminal: RunFinish | RunError, outcome: str) -> None:
    run, feed = live()
    run.abandoned.append("1")
    feed.extend([Entry.of(1, terminal)])
    assert (run.status, run.done) == ("active", False)
    receipts: list[Receipt] = []
    async with trio.open_nursery() as nursery:

        async def cancel() -> None:
            receipts.append(await run.cancel())

        nursery.start_soon(cancel)
        await trio.testing.wait_all_tasks_blocked()
        assert receipts == []
        run.end(terminal, None, None)
    assert (run.status, run.done) == (outcome, True)
    assert receipts == [Receipt(outcome, 1, ("1",))]  # type: ignore[arg-type]
    if isinstance(terminal, RunError):
        with trio.testing.assert_checkpoints(), pytest.raises(RunFailed) as caught:
            await run.wait()
        assert (caught.value.code, caught.value.message) == ("x", "it broke")


async def test_its_result() -> None:
    run, _ = live()
    result = Result("r", "a", 1, "stop", Usage(), ())
    run.end(finish(), result, None)
    with trio.testing.assert_checkpoints():
        assert await run.wait() is result


@pytest.mark.parametrize("failure", [StoreUnavailable("away"), FenceLost("gone")])
async def test_an_end_that_was_not_committed(failure: StoreUnavailable | FenceLost) -> None:
    """Whoever waits gets an exception of their own."""
    run, _ = live()
    run.end(finish(), None, failure)
    assert run.status == "active"
    raised: list[BaseException] = []
    for wait in (run.wait, run.wait, run.cancel):
        with pytest.raises(type(failure), match=str(failure)) as caught:
            await wait()
        assert caught.value.__cause__ is failure
        assert caught.value not in [failure, *raised]
        raised.append(caught.value)


async def test_an_end_that_is_committed_late_is_its_status_from_then_on() -> None:
    run, feed = live()
    result = Result("r", "a", 1, "stop", Usage(), ())
    run.end(finish(), result, StoreUnavailable("away"))
    feed.extend([Entry.of(1, finish())])
    assert run.status == "stop"
    assert await run.wait() is result
    assert (await run.cancel()).outcome == "stop"


async def test_its_feed_holds_it_no_longer_than_it_lasts() -> None:
    run, feed = live()
    assert feed.on_use
    run.end(finish(), None, None)
    assert not feed.on_use


async def test_a_cancel_request_cancels_its_scope_once() -> None:
    run, _ = live()
    with run.cancel_scope:
        run.request_cancel("first")
        run.request_cancel("second")
        await trio.lowlevel.checkpoint()
    assert run.cancel_scope.cancelled_caught
    assert run.cancel_reason == "first"


async def test_a_cancel_request_behind_the_end_is_none() -> None:
    run, feed = live()
    feed.extend([Entry.of(1, finish())])
    run.request_cancel("late")
    assert run.cancel_reason is None
    assert not run.cancel_scope.cancel_called


async def test_a_run_that_was_lost_is_stopped_for_no_reason_of_its_own() -> None:
    run, _ = live()
    assert not run.lost
    run.stop_as_lost()
    assert run.lost
    assert run.cancel_scope.cancel_called
    assert run.cancel_reason is None


async def test_viewers_elsewhere_count(autojump_clock: trio.testing.MockClock) -> None:
    run, _ = live(CancelAfter(5))
    assert run.viewer_scope.deadline == trio.current_time() + 5
    run.set_viewers_elsewhere(2)
    assert run.viewer_scope.deadline == math.inf
    with run.subscribe():
        await trio.sleep(60)
        run.set_viewers_elsewhere(0)
        assert run.viewer_scope.deadline == math.inf
    left = trio.current_time()
    assert run.viewer_scope.deadline == left + 5
    await trio.sleep(1)
    # It is no news that there is still nobody.
    run.set_viewers_elsewhere(0)
    assert run.viewer_scope.deadline == left + 5


async def test_cancel_arms_at_a_viewer_elsewhere() -> None:
    run, feed = live("cancel")
    run.set_viewers_elsewhere(0)
    with feed.hold():
        pass
    assert run.cancel_reason is None
    run.set_viewers_elsewhere(1)
    with run.subscribe():
        run.set_viewers_elsewhere(0)
        run.set_viewers_elsewhere(1)
    assert run.cancel_reason is None
    run.set_viewers_elsewhere(0)
    assert run.cancel_reason == "nobody watches"


async def test_when_all_is_gone_nobody_is_missed() -> None:
    run, _ = live(CancelAfter(5))
    run.set_viewers_elsewhere(1)
    run.end(finish(), None, None)
    run.set_viewers_elsewhere(0)
    with run.subscribe():
        pass
    assert run.viewer_scope.deadline == math.inf


# Where it goes on


@pytest.mark.parametrize("policy", ["cancel", CancelAfter(5)])
async def test_who_watched_while_it_slept_watches_still(
    policy: OnDisconnect, autojump_clock: trio.testing.MockClock
) -> None:
    """And is missed when they leave."""
    model = ScriptedModel([call("1", "refund", amount=5)], ["a", 60.0, "b"])
    async with open_runtime() as runtime:
        agent = Agent(model=model, tools=[refund])
        run = await runtime.start(agent, "hi", on_disconnect=policy)
        with run.subscribe():
            await asleep(run)
            await trio.sleep(1000)
            # As from another server, so that nobody here has heard of it.
            answer = Answer("1", approved=True)
            await runtime.store.deliver(run.id, answer.key, encode_item(answer))
            await trio.sleep(20)
            assert run.status == "active"
        left = trio.current_time()
        assert (await run.wait()).reason == "nobody watches"
        assert trio.current_time() - left == (0 if policy == "cancel" else 5)


@pytest.mark.parametrize("policy", ["cancel", CancelAfter(5)])
async def test_nobody_is_missed_while_it_sleeps(
    policy: OnDisconnect, autojump_clock: trio.testing.MockClock
) -> None:
    model = ScriptedModel([call("1", "refund", amount=5)], ["done"])
    async with open_runtime() as runtime:
        agent = Agent(model=model, tools=[refund])
        run = await runtime.start(agent, "hi", on_disconnect=policy)
        with run.subscribe():
            await asleep(run)
        await trio.sleep(1000)
        await run.answer("1", approved=True)
        assert (await run.wait()).text == "done"


async def test_whoever_holds_it_sees_it_go_on(autojump_clock: trio.testing.MockClock) -> None:
    model = ScriptedModel([call("1", "refund", amount=5)], ["a", trio.Event()])
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model, tools=[refund]), "hi")
        await asleep(run)
        assert (run.status, runtime._live.find(run.id)) == ("waiting", None)
        await run.answer("1", approved=True)
        await told(run, TextDelta)
        assert (run.status, run.finished) == ("active", False)
        # A cancel reaches whoever works on it now.
        receipt = await run.cancel("enough")
        assert receipt.outcome == run.status == "cancelled"
        assert (await run.wait()).reason == "enough"


async def test_a_cancel_that_came_too_late_for_its_scope() -> None:
    """It was put to sleep at that moment: whoever has it then is asked."""
    run, feed = live()
    store = MemoryStore()
    await store.create(record("r"))
    asked: list[tuple[str, str]] = []
    run.request_cancel("enough")
    stored = stored_run(await store.info("r"), feed, store, lambda *each: asked.append(each))
    run.hand_on(stored)
    assert asked == [("r", "enough")]
    run.request_cancel("again")
    assert asked == [("r", "enough"), ("r", "again")]
    assert run.done


async def test_a_run_that_goes_on_elsewhere_is_not_waited_for() -> None:
    run, _ = live()
    run.hand_over()
    assert run.cancel_scope.cancel_called
    run.leave()
    for wait in (run.wait, run.cancel):
        with pytest.raises(FenceLost, match="goes on elsewhere"):
            await wait()
