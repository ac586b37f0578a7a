"""What an agent works with, and when it takes what it is told."""

from typing import Any, cast

import pytest
import trio
import trio.testing
from log_kit import check_levels
from machine_kit import acting, asked, calling, machine
from runtime_kit import logged
from store_kit import record
from wait_kit import asking, asleep, look, of, tags, told

from trio_agent._agent import Agent
from trio_agent._content import File, Text
from trio_agent._errors import RunOver
from trio_agent._events import (
    AnyEvent,
    StepStart,
    TextDelta,
    ToolAnswered,
    ToolResult,
    UserSaid,
)
from trio_agent._messages import AssistantMessage, ToolMessage, UserMessage
from trio_agent._run.desk import Desk
from trio_agent._run.inbox import Inbox
from trio_agent._run.items import Answer, Said, encode_item
from trio_agent._run.machine import Machine
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import ScriptedModel, call
from trio_agent.tools._tool import tool


class Told(list[AnyEvent]):
    """A log that keeps events, and how they came."""

    def append(self, events: Any) -> None:
        self.extend(events)


async def desk_of(made: Machine, *items: Said | Answer) -> tuple[Desk, Told]:
    store = MemoryStore()
    await store.create(record("r"))
    for number, item in enumerate(items):
        await store.deliver("r", str(number), encode_item(item))
    inbox, log = Inbox(store, "r"), Told()
    inbox.tell(len(items))
    unused = cast("Any", None)
    desk = Desk(unused, unused, unused, cast("Any", log), made, unused, unused, inbox, 0)
    return desk, log


async def test_each_item_is_an_event_in_its_order() -> None:
    made = calling({"1": "approval", "2": "input"})
    desk, log = await desk_of(made, Said("a"), Answer("2", True, 5), Said("b"), Answer("1", False))
    with trio.testing.assert_checkpoints():
        await desk.take()
    assert tags(log) == [
        *("user-message", "tool-answer", "tool-result", "user-message"),
        *("tool-answer", "tool-result", "step-finish"),
    ]
    assert made.story.taken == 4


async def test_all_pages_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_agent._run.inbox._PAGE", 2)
    desk, log = await desk_of(acting("1"), *[Said(text) for text in "abcde"])
    await desk.take()
    assert [event.content for event in of(UserSaid, log)] == list("abcde")


async def test_nothing_is_no_checkpoint() -> None:
    desk, log = await desk_of(acting("1"))
    with trio.testing.assert_no_checkpoints():
        await desk.take()
    desk.inbox = None
    with trio.testing.assert_no_checkpoints():
        await desk.take()
    assert log == []


async def test_behind_the_end_nothing_is_taken() -> None:
    """An answer may bring the end: what lies behind it is told to nobody."""
    made = calling({"1": "input"}, max_steps=1)
    desk, log = await desk_of(made, Answer("1", True, 5), Said("late"))
    await desk.take()
    assert made.done
    assert tags(log) == ["tool-answer", "tool-result", "step-finish", "run-finish"]
    await desk.take()
    assert made.story.taken == 1


async def test_what_was_decided_is_told_at_once() -> None:
    made = machine()
    desk, log = await desk_of(made)
    desk.publish(made.started(1))
    desk.publish([])
    assert tags(log) == ["run-start"]


async def test_answers_to_nothing_are_told_all_the_same() -> None:
    """Each item is an event: else it would be taken for unread."""
    desk, log = await desk_of(acting("1"), Answer("nobodys", True), Answer("1", True))
    await desk.take()
    assert [event.tool.id for event in of(ToolAnswered, log)] == ["nobodys", "1"]
    assert not of(ToolResult, log)


def test_while_the_model_speaks_nothing_can_be_taken() -> None:
    with pytest.raises(AssertionError, match="not where this can happen"):
        asked().took(Said("a"), 9)


# What users say


async def test_it_is_said_between_steps(autojump_clock: trio.testing.MockClock) -> None:
    """Never in an answer: it waits for its end, and the model goes on then."""
    go_on = trio.Event()
    model = ScriptedModel(["a", go_on, "b"], ["c"])
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(Agent(model=model), "hi")
        await told(run, TextDelta)
        nursery.start_soon(lambda: run.say("and this", by="ann", key="k"))
        await trio.sleep(5)
        assert not of(UserSaid, await logged(runtime.store, run.id))
        go_on.set()
        result = await run.wait()
        events = await logged(runtime.store, run.id)
    check_levels(events)
    assert tags(events) == [
        *("run-start", "step-start", "model-finish", "step-finish"),
        *("user-message", "step-start", "model-finish", "step-finish", "run-finish"),
    ]
    [said] = of(UserSaid, events)
    assert (said.content, said.by) == ("and this", "ann")
    assert result.messages == (
        UserMessage("hi"),
        AssistantMessage("ab"),
        UserMessage("and this"),
        AssistantMessage("c"),
    )
    assert model.requests[1].messages == result.messages[:3]


async def test_it_is_said_before_it_has_begun(autojump_clock: trio.testing.MockClock) -> None:
    class Early(MemoryStore):
        async def create(self, record: Any) -> Any:
            created = await super().create(record)
            await self.deliver(record.run_id, "said:k", encode_item(Said("at once")))
            return created

    model = ScriptedModel([1.0, "a"], ["b"])  # News of it may come a little later.
    async with open_runtime(store=Early()) as runtime:
        run = await runtime.start(Agent(model=model), "hi")
        await run.wait()
        events = await logged(runtime.store, run.id)
    assert len(of(UserSaid, events)) == 1


async def test_it_is_said_while_tools_run(autojump_clock: trio.testing.MockClock) -> None:
    """It is taken at once; the model reads it behind the results."""
    go_on = trio.Event()

    @tool
    async def slow() -> str:
        """Take long."""
        await go_on.wait()
        return "slow"

    model = ScriptedModel([call("1", "slow"), call("2", "look")], ["done"])
    parts = (Text("see"), File("image/png", url="https://h/"))
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model, tools=[slow, look]), "hi")
        await told(run, ToolResult)
        await run.say("one")
        await run.say(parts)
        assert len(of(ToolResult, await logged(runtime.store, run.id))) == 1
        go_on.set()
        result = await run.wait()
        check_levels(await logged(runtime.store, run.id))
    assert model.requests[1].messages == result.messages[:-1]
    assert result.messages[2:] == (
        ToolMessage("1", "slow"),
        ToolMessage("2", "snow in Oslo"),
        UserMessage("one"),
        UserMessage(parts),
        AssistantMessage("done"),
    )


async def test_it_is_said_while_the_run_sleeps(autojump_clock: trio.testing.MockClock) -> None:
    """It wakes up, takes that, and sleeps again."""
    agent = asking()
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        await asleep(run)
        slept = run.cursor.offset
        await run.say("are you there?")
        await asleep(run, after=slept)
        await run.answer("1", approved=True)
        result = await run.wait()
        events = await logged(runtime.store, run.id)
    check_levels(events)
    assert tags(events)[5:] == [
        *("waiting", "continued", "user-message", "waiting", "continued"),
        *("tool-answer", "tool-result", "step-finish"),
        *("step-start", "model-finish", "step-finish", "run-finish"),
    ]
    assert result.messages[2:] == (
        ToolMessage("1", "gave 5"),
        UserMessage("are you there?"),
        AssistantMessage("done"),
    )


async def test_behind_the_end_it_is_refused(autojump_clock: trio.testing.MockClock) -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a"])), "hi")
        await run.wait()
        with pytest.raises(RunOver):
            await run.say("late")


async def test_in_the_last_step_it_is_refused(autojump_clock: trio.testing.MockClock) -> None:
    """There is no step more in which the model could hear of it."""
    go_on = trio.Event()
    refused: list[str] = []
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        agent = Agent(model=ScriptedModel(["a", go_on]))
        run = await runtime.start(agent, "hi", limits={"max_steps": 1})
        await told(run, TextDelta)

        async def say() -> None:
            with pytest.raises(RunOver):
                await run.say("late")
            refused.append("late")

        nursery.start_soon(say)
        await trio.testing.wait_all_tasks_blocked()
        go_on.set()
        assert (await run.wait()).finish_reason == "stop"
        events = await logged(runtime.store, run.id)
    assert refused == ["late"]
    assert len(of(StepStart, events)) == 1
    assert not of(UserSaid, events)


async def test_a_run_that_is_cancelled_takes_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    refused: list[str] = []
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(Agent(model=ScriptedModel(["a", trio.Event()])), "hi")
        await told(run, TextDelta)

        async def say() -> None:
            with pytest.raises(RunOver):
                await run.say("late")
            refused.append("late")

        nursery.start_soon(say)
        await trio.testing.wait_all_tasks_blocked()
        await run.cancel()
    assert refused == ["late"]


async def test_a_tool_may_say_something_to_its_own_run(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_runtime() as runtime:

        @tool
        async def note() -> str:
            """Note."""
            await run.say("by a tool")
            return "noted"

        model = ScriptedModel([call("1", "note")], ["done"])
        run = await runtime.start(Agent(model=model, tools=[note]), "hi")
        await run.wait()
    assert model.requests[1].messages[-1] == UserMessage("by a tool")
