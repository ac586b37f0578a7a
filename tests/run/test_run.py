"""A run as its users hold it: its cursors, its subscribers, who may wait for it and cancel it."""

import threading

import pytest
import trio
import trio.testing
from runtime_kit import endless, finished

from trio_agent._agent import Agent
from trio_agent._errors import CursorExpired, CursorInvalid
from trio_agent._events import ErrorDetail, RunError, RunFinish, RunSummary, TextDelta, Usage
from trio_agent._log.cursor import Cursor
from trio_agent._messages import ToolMessage
from trio_agent._run.run import Run, current_run, outcome_of
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.testing import ScriptedModel, call
from trio_agent.tools._tool import tool


async def test_cursors() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a"])), "hi")
        await run.wait()
        assert run.cursor == Cursor(run.id, run.cursor.epoch, 6)
        with run.subscribe(after=run.cursor) as events, pytest.raises(trio.EndOfChannel):
            await events.receive()
        for bad, error in (
            ("?", CursorInvalid),
            (-1, CursorInvalid),
            (7, CursorExpired),
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


async def test_a_run_can_not_wait_for_itself() -> None:
    @tool
    async def stop() -> str:
        """Stop."""
        with pytest.raises(RuntimeError, match="request_cancel"):
            await run.cancel("x")
        with pytest.raises(RuntimeError, match="request_cancel"):
            await run.wait()
        run.request_cancel("by a tool")
        return "stopping"

    async with open_runtime() as runtime:
        agent = Agent(model=ScriptedModel([call("1", "stop")]), tools=[stop])
        run = await runtime.start(agent, "hi")
        result = await run.wait()
        assert (result.finish_reason, result.reason) == ("cancelled", "by a tool")
        assert result.messages[-1] == ToolMessage("1", "stopping")


async def test_cancelling_the_waiter_does_not_undo_the_request() -> None:
    go_on = trio.Event()

    @tool
    async def shielded() -> int:
        """Shielded."""
        with trio.CancelScope(shield=True):
            await go_on.wait()
        return 1

    async with open_runtime() as runtime:
        agent = Agent(model=ScriptedModel([call("1", "shielded")]), tools=[shielded])
        run = await runtime.start(agent, "hi")
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.cancel, "user")
            nursery.start_soon(run.wait)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert not runtime._live.find(run.id).done
        go_on.set()
        assert (await run.wait()).reason == "user"


@pytest.mark.parametrize("form", ["cursor", "text", "offset"])
async def test_any_form_of_a_cursor_is_resolved(form: str) -> None:
    async with open_runtime() as runtime:
        run = await finished(runtime)
        cursor = Cursor(run.id, run.cursor.epoch, 2)
        forms: dict[str, Cursor | str | int] = {"cursor": cursor, "text": str(cursor), "offset": 2}
        assert run.resolve(forms[form]) == cursor
        assert run.finished


@pytest.mark.parametrize(
    ("terminal", "outcome"),
    [
        (RunFinish(at=0, run=RunSummary("r", "", 1, "budget", Usage())), "budget"),
        (RunError(at=0, error=ErrorDetail("x", "y")), "error"),
    ],
)
def test_the_outcome_is_in_the_terminal_event(terminal: RunFinish | RunError, outcome: str) -> None:
    assert outcome_of(terminal) == outcome


async def test_the_current_run() -> None:
    """Everything that a run starts is a part of it, threads too; nothing else is."""
    seen: dict[str, Run | None] = {}

    @tool
    def in_thread() -> None:
        """Look, in a thread."""
        seen["thread"] = current_run()

    @tool
    async def in_task() -> None:
        """Look, in a task of its own."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)

    async def look() -> None:
        seen["task"] = current_run()

    model = ScriptedModel([call("1", "in_thread"), call("2", "in_task")], ["ok"])
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model, tools=[in_thread, in_task]), "hi")
        assert current_run() is None
        await run.wait()
        assert current_run() is None
        assert seen == {"thread": run, "task": run}


async def test_a_sync_tool_may_ask_its_run_to_end() -> None:
    @tool
    def stop() -> str:
        """Stop."""
        run = current_run()
        assert run is not None
        run.request_cancel("by a thread")
        return "stopping"

    async with open_runtime() as runtime:
        agent = Agent(model=ScriptedModel([call("1", "stop")], [trio.Event()]), tools=[stop])
        result = await (await runtime.start(agent, "hi")).wait()
        assert (result.finish_reason, result.reason) == ("cancelled", "by a thread")


async def test_a_thread_that_trio_has_not_started_may_not() -> None:
    raised: list[BaseException] = []

    def stop() -> None:
        with pytest.raises(RuntimeError) as caught:
            run.request_cancel("from nowhere")
        raised.append(caught.value)

    async with open_runtime() as runtime:
        run = await runtime.start(endless(), "hi")
        thread = threading.Thread(target=stop)
        thread.start()
        await trio.to_thread.run_sync(thread.join)
        assert len(raised) == 1
        assert run.status == "active"
        assert (await run.cancel("here")).outcome == "cancelled"
        assert (await run.wait()).reason == "here"
