"""The calls of a step: side by side, while others wait for somebody."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import pytest
import trio
import trio.testing
from log_kit import check_levels, within
from runtime_kit import logged
from wait_kit import (
    PICK,
    LastingStore,
    asking,
    asleep,
    look,
    of,
    outcomes,
    picking,
    refund,
    tags,
    told,
    unix_time as let_unix_time_follow,
)

from trio_agent._agent import Agent
from trio_agent._errors import AnswerRefused, RunOver
from trio_agent._events import (
    AnyEvent,
    RunContinued,
    RunFinish,
    ToolAnswered,
    ToolAsked,
    ToolCall,
    ToolRequest,
    ToolResult,
)
from trio_agent._limits import Limits
from trio_agent._messages import ToolMessage
from trio_agent._run.run import Run
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel, call
from trio_agent.tools._context import ToolContext
from trio_agent.tools._contract import Tool
from trio_agent.tools._source import OpenTools, ToolSource
from trio_agent.tools._tool import tool

DENIED = "the user did not allow this call"
LATE = "nobody answered in time: the call was not made"


@pytest.fixture
def unix_time(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> trio.testing.MockClock:
    let_unix_time_follow(monkeypatch, autojump_clock)
    return autojump_clock


async def all_of(runtime: Runtime, run: Run) -> list[AnyEvent]:
    events = await logged(runtime.store, run.id)
    check_levels(events)
    return events


class Slow:
    """A tool that waits until it is let go on."""

    def __init__(self) -> None:
        self.began = trio.Event()
        self.go_on = trio.Event()

        @tool
        async def slow() -> str:
            """Take long."""
            self.began.set()
            await self.go_on.wait()
            return "slow"

        self.tool: Tool[Any] = slow


def three(slow: Slow) -> tuple[Agent, ScriptedModel]:
    """Three calls, of which the one in the middle waits."""
    model = ScriptedModel(
        [call("1", "slow"), call("2", "refund", amount=5), call("3", "look", city="Rome")],
        ["done"],
    )
    return Agent(model=model, tools=[slow.tool, refund, look], name="shop"), model


# While tools run


async def test_one_waits_and_the_others_run() -> None:
    slow = Slow()
    agent, _ = three(slow)
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        await told(run, ToolResult)
        events = await logged(runtime.store, run.id)
        assert tags(events)[2:] == [
            "model-finish",
            "tool-call",
            "tool-call",
            "tool-request",
            "tool-call",
            "tool-result",
        ]
        assert [(e.tool.id, e.wants) for e in of(ToolCall, events)] == [
            ("1", None),
            ("2", "approval"),
            ("3", None),
        ]
        [asked] = of(ToolAsked, events)
        assert (asked.tool, asked.kind) == (ToolRequest("2", "refund", {"amount": 5}), "approval")
        assert outcomes(events) == [("3", "ok", "snow in Rome", None)]
        assert slow.began.is_set()
        assert run.status == "active"
        await run.cancel()
        closed = outcomes(await all_of(runtime, run))
    assert [(each[0], each[1]) for each in closed] == [
        ("3", "ok"),
        ("1", "cancelled"),
        ("2", "cancelled"),
    ]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"approved": True}, ("2", "ok", "gave 5", None)),
        ({"approved": False}, ("2", "error", DENIED, "denied")),
        (
            {"approved": False, "reason": "too much"},
            ("2", "error", f"{DENIED}: too much", "denied"),
        ),
    ],
)
async def test_answers_are_taken_while_tools_run(answer: Any, outcome: Any) -> None:
    """And acted on: the run need not be asleep for that, nor anybody else be done."""
    slow = Slow()
    agent, model = three(slow)
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        await told(run, ToolAsked)
        await run.answer("2", by="ann", **answer)
        await trio.testing.wait_all_tasks_blocked()
        events = await logged(runtime.store, run.id)
        assert outcomes(events) == [("3", "ok", "snow in Rome", None), outcome]
        [answered] = of(ToolAnswered, events)
        assert (answered.tool.id, answered.tool.name, answered.by) == ("2", "refund", "ann")
        assert (answered.approved, answered.reason) == (answer["approved"], answer.get("reason"))
        slow.go_on.set()
        result = await run.wait()
        assert "waiting" not in tags(await all_of(runtime, run))
    assert result.text == "done"
    # The model reads them in the order of its calls.
    told_model = [m.tool_call_id for m in model.requests[1].messages if isinstance(m, ToolMessage)]
    assert told_model == ["1", "2", "3"]


async def test_the_last_tool_may_return_before_the_answer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    slow = Slow()
    agent, _ = three(slow)
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        await told(run, ToolAsked)
        assert run.status == "active"
        slow.go_on.set()
        await asleep(run)
        await run.answer("2", approved=True)
        assert (await run.wait()).text == "done"
        events = await all_of(runtime, run)
    assert [each[0] for each in outcomes(events)] == ["3", "1", "2"]
    assert [each.reason for each in of(RunContinued, events)] == ["answered"]


async def test_an_approved_call_is_itself_a_tool_that_runs() -> None:
    """While it runs, other answers are taken."""
    began, go_on = trio.Event(), trio.Event()

    @tool(approval=True)
    async def transfer(amount: int) -> str:
        """Transfer."""
        began.set()
        await go_on.wait()
        return f"sent {amount}"

    model = ScriptedModel(
        [call("1", "look"), call("2", "transfer", amount=1), call("3", "refund", amount=2)],
        ["done"],
    )
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model, tools=[look, transfer, refund]), "hi")
        await asleep(run)
        await run.answer("2", approved=True)
        await began.wait()
        await run.answer("3", approved=True)
        await trio.testing.wait_all_tasks_blocked()
        assert outcomes(await logged(runtime.store, run.id))[-1] == ("3", "ok", "gave 2", None)
        go_on.set()
        assert (await run.wait()).text == "done"
        await all_of(runtime, run)


# When nothing is left but to wait


@pytest.mark.parametrize(
    ("make", "answer", "outcome"),
    [
        (asking, {"approved": True}, ("1", "ok", "gave 5", None)),
        (asking, {"approved": False}, ("1", "error", DENIED, "denied")),
        (picking, {"output": {"a": [1, None]}}, ("1", "ok", {"a": [1, None]}, None)),
        (picking, {"output": None}, ("1", "ok", None, None)),
        (picking, {"approved": False, "reason": "no"}, ("1", "error", f"{DENIED}: no", "denied")),
    ],
)
async def test_answers_when_it_sleeps(
    make: Callable[[], Agent], answer: Any, outcome: Any, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(make(), "hi")
        await asleep(run)
        assert runtime.statistics().active == 0
        with trio.testing.assert_checkpoints():
            await run.answer("1", **answer)
        assert (await run.wait()).text == "done"
        assert run.status == "stop"
        events = await all_of(runtime, run)
    assert outcomes(events) == [outcome]
    made = ["tool-answer", "tool-result"]
    assert tags(events) == [
        *("run-start", "step-start", "model-finish", "tool-call", "tool-request"),
        *("waiting", "continued", *made, "step-finish"),
        *("step-start", "model-finish", "step-finish", "run-finish"),
    ]


async def test_each_answer_is_acted_on_as_it_comes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It sleeps again until the last one has come."""
    calls = [call(id_, "refund", amount=n) for n, id_ in enumerate("abc")]
    agent = Agent(model=ScriptedModel(calls, ["done"]), tools=[refund])
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        seen = 0
        for id_ in "cab":
            await asleep(run, after=seen)
            seen = run.cursor.offset
            await run.answer(id_, approved=True)
        await run.wait()
        events = await all_of(runtime, run)
    assert [each[0] for each in outcomes(events)] == ["c", "a", "b"]
    assert tags(events).count("waiting") == tags(events).count("continued") == 3


# In time


@pytest.mark.parametrize("make", [asking, picking])
async def test_nobody_answers_in_time(
    make: Callable[..., Agent], unix_time: trio.testing.MockClock
) -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(make(limits=Limits(answer_deadline=600)), "hi")
        await asleep(run)
        asked = await told(run, ToolAsked)
        assert asked.deadline == pytest.approx(asked.at + 600_000, abs=5)
        assert (await run.wait()).text == "done"
        assert 600 <= trio.current_time() < 605
        events = await all_of(runtime, run)
        with pytest.raises(RunOver):
            await run.answer("1", approved=False)
    assert outcomes(events) == [("1", "error", LATE, "expired")]
    [answered] = of(ToolAnswered, events)
    assert (answered.approved, answered.by) == (False, None)


async def test_time_passes_while_tools_run(unix_time: trio.testing.MockClock) -> None:
    slow = Slow()
    agent, _ = three(slow)
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi", limits={"answer_deadline": 5})
        await trio.sleep(4.9)
        assert not of(ToolAnswered, await logged(runtime.store, run.id))
        await trio.sleep(0.2)
        with pytest.raises(AnswerRefused, match="answered already"):
            await run.answer("2", approved=True)
        slow.go_on.set()
        await run.wait()
        events = await all_of(runtime, run)
    assert outcomes(events)[1:] == [
        ("2", "error", LATE, "expired"),
        ("1", "ok", "slow", None),
    ]


async def test_a_deadline_that_passes_while_the_model_is_asked_elsewhere(
    unix_time: trio.testing.MockClock,
) -> None:
    """Nobody works on it when the deadline passes: who goes on with it sees that."""
    store = LastingStore()
    agent = asking()
    async with open_runtime(store=store, agents=[agent]) as runtime:
        run = await runtime.start(agent, "hi", limits={"answer_deadline": 5})
        await asleep(run)
    await trio.sleep(60)
    async with open_runtime(store=store, agents=[agent]) as runtime:
        found = await runtime.find(run.id)
        assert (await found.wait()).text == "done"
        events = await all_of(runtime, found)
    assert outcomes(events) == [("1", "error", LATE, "expired")]


async def test_without_a_deadline_it_waits_for_good(unix_time: trio.testing.MockClock) -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(asking(), "hi", limits={"answer_deadline": float("inf")})
        await asleep(run)
        assert (await told(run, ToolAsked)).deadline is None
        await trio.sleep(1000)
        assert run.status == "waiting"
        await run.answer("1", approved=True)
        assert (await run.wait()).text == "done"


async def test_an_answer_in_the_last_moment_wins(unix_time: trio.testing.MockClock) -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(asking(), "hi", limits={"answer_deadline": 60})
        await asleep(run)
        await trio.sleep(59.9)
        await run.answer("1", approved=True)
        await run.wait()
        assert outcomes(await all_of(runtime, run)) == [("1", "ok", "gave 5", None)]


async def test_an_expiry_while_the_store_is_away(unix_time: trio.testing.MockClock) -> None:
    store = FaultyStore(MemoryStore())
    slow = Slow()
    agent, _ = three(slow)
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(agent, "hi", limits={"answer_deadline": 5})
        await told(run, ToolAsked)
        store.away.add("deliver")
        await trio.sleep(8)
        assert not of(ToolAnswered, await logged(store, run.id))
        store.away.clear()
        await trio.sleep(2)
        assert outcomes(await logged(store, run.id))[-1] == ("2", "error", LATE, "expired")
        slow.go_on.set()
        await run.wait()


# What a call waits for


async def test_a_question_that_fails_is_asked_of_a_person(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def whether(context: ToolContext, amount: int) -> bool:
        raise KeyError("bug")

    @tool(approval=whether)
    async def pay(amount: int) -> int:
        """Pay."""
        return amount

    model = ScriptedModel([call("1", "pay", amount=5)], ["done"])
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model, tools=[pay]), "hi")
        await asleep(run)
        await run.answer("1", approved=True)
        await run.wait()
    [error] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert error.getMessage() == f"run {run.id}: whether to approve pay is not known"
    assert error.exc_info is not None


@pytest.mark.parametrize(("amount", "asked"), [(5, False), (500, True)])
async def test_who_asks_may_depend_on_the_call(
    amount: int, asked: bool, autojump_clock: trio.testing.MockClock
) -> None:
    seen: list[Any] = []

    def whether(context: ToolContext, amount: int) -> bool:
        seen.append((context.call_id, context.deps, context.principal, context.metadata))
        return amount > 100

    @tool(approval=whether)
    async def pay(context: ToolContext, amount: int) -> int:
        """Pay."""
        return amount

    model = ScriptedModel([call("1", "pay", amount=amount)], ["done"])
    agent = Agent(model=model, tools=[pay])
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi", deps="db", metadata={"n": 1})
        if asked:
            await asleep(run)
            await run.answer("1", approved=True)
        await run.wait()
        events = await all_of(runtime, run)
    assert bool(of(ToolAsked, events)) is asked
    assert outcomes(events) == [("1", "ok", amount, None)]
    assert seen == [("1", "db", None, {"n": 1})]  # Once, also where it went on.


async def test_a_tool_that_is_not_there_waits_for_nobody() -> None:
    model = ScriptedModel([call("1", "nobodys")], ["done"])
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model, tools=[refund]), "hi")
        await run.wait()
        [(_, status, _, _)] = outcomes(await all_of(runtime, run))
    assert status == "error"


class Bringing(ToolSource, OpenTools):
    """Brings tools that nobody knew when the agent was made."""

    def __init__(self, *tools: Tool[Any]) -> None:
        self._tools = tools

    def fingerprint(self) -> Any:
        return "bringing"

    def open(self) -> AbstractAsyncContextManager[OpenTools]:
        return nullcontext(self)

    async def list_tools(self) -> Sequence[Tool[Any]]:
        return self._tools


@pytest.mark.parametrize("name", ["refund", "pick"])
async def test_nobody_speaks_to_a_sub_agent(name: str) -> None:
    """What a source brings there that would wait is an error, and is not made."""
    child_model = ScriptedModel([call("1", name, amount=5)], ["I could not."])
    child = Agent(model=child_model, name="child", sources=[Bringing(refund, PICK)])
    model = ScriptedModel([call("1", "child", prompt="?")], ["done"])
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model, tools=[child.as_tool()]), "hi")
        await run.wait()
        events = await all_of(runtime, run)
    inner = within(events, "1")
    assert not of(ToolAsked, inner)
    why = "it waits for somebody, and nobody speaks to a sub-agent"
    assert outcomes(inner) == [("1/1", "error", why, None)]
    assert outcomes(events) == [("1", "ok", "I could not.", None)]


async def test_a_source_may_bring_what_waits(autojump_clock: trio.testing.MockClock) -> None:
    agent = asking(tools=[], sources=[Bringing(refund)])
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        await asleep(run)
        await run.answer("1", approved=True)
        await run.wait()
        assert outcomes(await all_of(runtime, run)) == [("1", "ok", "gave 5", None)]


# How it ends


async def test_cancelled_while_it_sleeps(autojump_clock: trio.testing.MockClock) -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(asking(), "hi")
        await asleep(run)
        receipt = await run.cancel("enough")
        events = await all_of(runtime, run)
    assert receipt.outcome == "cancelled"
    last = events[-1]
    assert isinstance(last, RunFinish)
    assert last.run.reason == "enough"
    assert [each[1] for each in outcomes(events)] == ["cancelled"]


async def test_the_last_step_ends_with_its_answers(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(asking(), "hi", limits={"max_steps": 1})
        await asleep(run)
        await run.answer("1", approved=True)
        assert (await run.wait()).finish_reason == "max-steps"
        await all_of(runtime, run)
