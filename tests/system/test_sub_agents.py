"""Agents within agents: one log, one bill, one end; what goes wrong below is told above."""

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from log_kit import at_all_levels, check_levels, within
from runtime_kit import logged, text_of
from team_kit import COSTS, OWN_COSTS, PLACE, Place, Retold, costs, count, look, make_team

from trio_agent import (
    Agent,
    AnyEvent,
    AssistantMessage,
    Limits,
    ModelError,
    ModelFinished,
    OutputDelta,
    Result,
    RunError,
    RunFailed,
    RunFinish,
    RunStart,
    RuntimeLimits,
    ToolContext,
    ToolMessage,
    ToolOutcome,
    ToolProgress,
    ToolResult,
    ToolSourceError,
    Usage,
    UserMessage,
    open_runtime,
    tool,
)
from trio_agent.abc import Model, ModelFinish, OpenTools, OutputPart, ToolSource
from trio_agent.testing import ScriptedModel, call


async def played(
    agent: Agent, limits: RuntimeLimits | None = None
) -> tuple[Result | RunFailed, list[AnyEvent]]:
    """A whole run: what came of it, and its log."""
    async with open_runtime(limits=limits) as runtime:
        run = await runtime.start(agent, "hi")
        try:
            came: Result | RunFailed = await run.wait()
        except RunFailed as failure:
            came = failure
        events = await logged(runtime.store, run.id)
    check_levels(events)
    return came, events


def outcomes(events: Sequence[AnyEvent]) -> dict[str, tuple[str, Any]]:
    """Status and output of the calls of one level."""
    return {
        event.tool.id: (event.tool.status, event.tool.output)
        for event in events
        if isinstance(event, ToolResult)
    }


def end_of(events: Sequence[AnyEvent]) -> str:
    end = events[-1]
    assert isinstance(end, RunFinish)
    return end.run.finish_reason


async def test_a_team() -> None:
    result, events = await played(make_team())
    assert isinstance(result, Result)
    levels = {
        "leader": events,
        "guide": within(events, "1"),
        "scout": within(events, "1", "1/2"),
        "critic": within(events, "2"),
    }
    for name, level in levels.items():
        assert isinstance(level[0], RunStart)
        assert (level[0].run_id, level[0].agent) == (result.run_id, name)
        assert end_of(level) == "stop"
    assert {name: outcomes(level) for name, level in levels.items()} == {
        "leader": {"1": ("ok", "In Oslo."), "2": ("ok", "Fine."), "3": ("ok", 4)},
        "guide": {"1/1": ("ok", "Rome"), "1/2": ("ok", PLACE)},
        "scout": {"1/2/1": ("ok", 2), "1/2/2": ("ok", "é")},
        "critic": {"2/1": ("ok", 3)},
    }
    told = {e.tool.id for e in at_all_levels(events) if isinstance(e, ToolProgress)}
    # The latest counts, and what came too late is told to nobody.
    assert told <= {"3", "1/1", "1/2/1", "1/2/2", "2/1"}
    # Readers of one level see nothing of the others.
    assert text_of(events) == result.text == "I ask. Oslo."
    assert [type(message) for message in result.messages] == [
        UserMessage,
        AssistantMessage,
        *[ToolMessage] * 3,
        AssistantMessage,
    ]


async def test_each_pays_for_all_below() -> None:
    _, events = await played(make_team())
    bills = {
        event.run.text: (event.run.usage.total_tokens, event.run.own_usage)
        for event in at_all_levels(events)
        if isinstance(event, RunFinish)
    }
    assert bills == {
        "I ask. Oslo.": (COSTS, Usage(2, OWN_COSTS - 2, OWN_COSTS)),
        "In Oslo.": (110_910, Usage(2, 908, 910)),
        "": (110_000, Usage(2, 109_998, 110_000)),
        "Fine.": (100, Usage(2, 98, 100)),
    }
    paid = [e.usage for e in at_all_levels(events) if isinstance(e, ModelFinished)]
    assert sum(paid, Usage()) == Usage(8, COSTS - 8, COSTS)


async def test_a_run_that_fails_has_paid_for_all_below() -> None:
    broken = ModelError("busy", "come back")
    child = Agent(name="child", model=Retold(["a", costs(10)]))
    model = Retold([call("1", "child", prompt=""), costs(1, calls=True)], [broken])
    failure, events = await played(
        Agent(model=model, tools=[child.as_tool()], limits=Limits(model_retries=0))
    )
    assert isinstance(failure, RunFailed)
    assert isinstance(events[-1], RunError)
    assert failure.result is not None
    assert events[-1].usage == failure.result.usage == Usage(2, 9, 11)


def chatter() -> Model:
    """Says much more than it may."""
    return ScriptedModel(["a"] * 1000)


def silent() -> Model:
    """Says a few words, and then nothing more."""
    return ScriptedModel(["a", "b", trio.Event()])


def asking(*names: str, prompt: str = "go") -> Model:
    """Calls these side by side, and is content with whatever they say."""
    calls = [call(str(n), name, prompt=prompt) for n, name in enumerate(names, 1)]
    return Retold(calls, ["Done."])


@pytest.mark.parametrize("names", [["a"], ["a", "b"]])
async def test_a_budget_is_shared_with_those_who_speak(names: list[str]) -> None:
    tools = [Agent(name=name, model=chatter()).as_tool() for name in names]
    agent = Agent(model=asking(*names), tools=tools, limits=Limits(max_tokens=50))
    result, events = await played(agent)
    assert isinstance(result, Result)
    assert (result.finish_reason, result.reason) == ("budget", "the budget of 50 tokens is spent")
    said = 0
    for number, name in enumerate(names, 1):
        level = within(events, str(number))
        assert end_of(level) == "budget"
        said += len(text_of(level))
        assert outcomes(events)[str(number)] == (
            "error",
            f"the agent {name!r} did not finish: budget",
        )
    # The words of the calls count, too. Each of the others had one more word on its lips.
    assert 50 <= said + len(names) < 50 + len(names)


async def test_a_budget_is_shared_to_any_depth() -> None:
    leaf = Agent(name="leaf", model=chatter())
    middle = Agent(name="middle", model=asking("leaf"), tools=[leaf.as_tool()])
    agent = Agent(model=asking("middle"), tools=[middle.as_tool()], limits=Limits(max_tokens=50))
    result, events = await played(agent)
    assert isinstance(result, Result)
    assert result.finish_reason == "budget"
    for level in (within(events, "1"), within(events, "1", "1/1")):
        assert end_of(level) == "budget"
    assert len(text_of(within(events, "1", "1/1"))) == 48


async def test_a_budget_of_its_own_ends_a_sub_agent_only() -> None:
    child = Agent(name="child", model=chatter(), limits=Limits(max_tokens=5))
    agent = Agent(model=asking("child"), tools=[child.as_tool()], limits=Limits(max_tokens=50))
    result, events = await played(agent)
    assert isinstance(result, Result)
    assert (result.finish_reason, result.text) == ("stop", "Done.")
    assert len(text_of(within(events, "1"))) == 5


async def test_each_counts_its_own_steps() -> None:
    steps = [[call("1", "look", city="a")] for _ in range(5)]
    child = Agent(
        name="child", model=Retold(*steps, ["b"]), tools=[look], limits=Limits(max_steps=6)
    )
    agent = Agent(model=asking("child"), tools=[child.as_tool()], limits=Limits(max_steps=2))
    result, events = await played(agent)
    assert isinstance(result, Result)
    assert (result.finish_reason, result.steps) == ("stop", 2)
    assert outcomes(events) == {"1": ("ok", "b")}
    assert list(outcomes(within(events, "1"))) == ["1/1", "1/1-2", "1/1-3", "1/1-4", "1/1-5"]


class Away(ToolSource):
    """A source that can't be opened."""

    def fingerprint(self) -> str:
        return ""

    def open(self) -> Any:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[OpenTools]:
        raise ToolSourceError("nobody is there")
        yield


def broken_deps(_: object) -> Any:
    raise ValueError("secret")


@tool
async def refuse() -> None:
    """Refuse."""
    raise ValueError


@tool
async def tell_much() -> str:
    """Tell more than a log can hold."""
    return "x" * 100_000


FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "max-steps": (
        {"model": Retold([call("1", "look", city="a")]), "limits": Limits(max_steps=1)},
        "did not finish: max-steps",
    ),
    "length": ({"model": Retold(["a", ModelFinish("length")])}, "did not finish: length"),
    "run-deadline": (
        {"model": silent(), "limits": Limits(run_deadline=5)},
        "did not finish: timeout",
    ),
    "step-deadline": (
        {"model": silent(), "limits": Limits(step_deadline=5)},
        "did not finish: timeout",
    ),
    "model": (
        {"model": Retold([ModelError("busy", "come back")])},
        "failed: busy: come back",
    ),
    "slow-model": (
        {"model": Retold([ModelError("timeout", "too slow")])},
        "did not finish: timeout",
    ),
    "content-filter": (
        {"model": Retold(["a", ModelFinish("content-filter")])},
        "failed: content-filter: the provider's filter stopped the answer",
    ),
    "output-invalid": (
        {
            "model": Retold([OutputPart("[]")]),
            "output": Place,
            "limits": Limits(output_retries=0),
        },
        "failed: output-invalid: the answer does not have its shape: ",
    ),
    "tool-retries": (
        {"model": Retold([call("1", "refuse")]), "limits": Limits(tool_retries=0)},
        "failed: tool-retries: the tool 'refuse' failed 1 times in a row",
    ),
    "tools-unavailable": (
        {"model": chatter(), "sources": [Away()]},
        "failed: tools-unavailable: nobody is there",
    ),
    "log-limit": (
        {"model": Retold([call("1", "tell_much")])},
        "failed: log-limit: the output of a tool does not fit into the run's log",
    ),
    "bug": (
        {"model": chatter(), "open_deps": broken_deps},
        "failed: internal: internal error (ValueError)",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_what_goes_wrong_below_is_told_above(
    name: str, autojump_clock: trio.testing.MockClock
) -> None:
    settings, told = FAILURES[name]
    child = Agent(name="child", tools=[look, refuse, tell_much], **settings)
    agent = Agent(model=asking("child"), tools=[child.as_tool()])
    result, events = await played(agent, RuntimeLimits(max_log_bytes=20_000))
    assert isinstance(result, Result), result
    assert (result.finish_reason, result.text) == ("stop", "Done.")
    [(status, output)] = outcomes(events).values()
    assert status == "error"
    assert output.startswith(f"the agent 'child' {told}")
    assert within(events, "1")[-1].terminal


async def test_a_log_that_a_sub_agent_fills_ends_the_run() -> None:
    child = Agent(name="child", model=ScriptedModel(["a" * 100] * 1000))
    agent = Agent(model=asking("child"), tools=[child.as_tool()])
    failure, events = await played(agent, RuntimeLimits(max_log_bytes=20_000))
    assert isinstance(failure, RunFailed)
    assert failure.code == "log-limit"
    [inner] = [e for e in within(events, "1") if e.terminal]
    assert isinstance(inner, RunError)
    assert inner.error.code == "log-limit"
    assert outcomes(events) == {"1": ("error", "the output does not fit into the run's log")}


async def test_a_deadline_of_the_call(autojump_clock: trio.testing.MockClock) -> None:
    leaf = Agent(name="leaf", model=silent())
    middle = Agent(name="middle", model=asking("leaf"), tools=[leaf.as_tool()])
    agent = Agent(model=asking("middle"), tools=[middle.as_tool(deadline=5)])
    result, events = await played(agent)
    assert isinstance(result, Result)
    assert result.text == "Done."
    assert outcomes(events) == {"1": ("error", "the tool did not finish within 5 s")}
    for level in (within(events, "1"), within(events, "1", "1/1")):
        assert end_of(level) == "cancelled"
    assert outcomes(within(events, "1"))["1/1"][0] == "cancelled"


async def test_a_tool_below_may_end_the_run() -> None:
    @tool
    async def enough(context: ToolContext) -> None:
        """Enough."""
        context.request_cancel("enough")
        await trio.sleep_forever()

    child = Agent(name="child", model=Retold([call("1", "enough")]), tools=[enough])
    agent = Agent(model=asking("child"), tools=[child.as_tool()])
    result, events = await played(agent)
    assert isinstance(result, Result)
    assert (result.finish_reason, result.reason) == ("cancelled", "enough")
    assert outcomes(events)["1"][0] == outcomes(within(events, "1"))["1/1"][0] == "cancelled"


@pytest.mark.parametrize("how", ["cancelled", "deadline"])
async def test_a_thread_that_is_let_go_below(how: str, mock_clock: trio.testing.MockClock) -> None:
    hangs, release = trio.Event(), threading.Event()

    @tool(abandon=True)
    def hang() -> None:
        """Hang."""
        trio.from_thread.run_sync(hangs.set)
        release.wait()

    leaf = Agent(name="leaf", model=Retold([call("1", "hang")]), tools=[hang])
    middle = Agent(name="middle", model=asking("leaf"), tools=[leaf.as_tool()])
    agent = Agent(model=asking("middle"), tools=[middle.as_tool(deadline=5)])
    try:
        async with open_runtime() as runtime:
            run = await runtime.start(agent, "hi")
            await hangs.wait()
            await trio.testing.wait_all_tasks_blocked()
            if how == "deadline":
                mock_clock.jump(6)
                await run.wait()
            receipt = await run.cancel()
            events = await logged(runtime.store, run.id)
    finally:
        release.set()
    check_levels(events)
    assert receipt.abandoned == ("1/1/1",)
    statuses = {
        e.tool.id: e.tool.status for e in at_all_levels(events) if isinstance(e, ToolResult)
    }
    outer = "cancelled" if how == "cancelled" else "error"
    assert statuses == {"1/1/1": "unknown", "1/1": "cancelled", "1": outer}


async def test_who_fails_again_and_again_ends_whoever_calls() -> None:
    class Insisting(Model):
        async def generate(self, request: object, emit: Any) -> ModelFinish:
            await emit(call("1", "child", prompt=""))
            return ModelFinish("tool-calls")

    child = Agent(
        name="child",
        model=Insisting(),
        tools=[Agent(name="child", model=Retold()).as_tool()],
        limits=Limits(tool_retries=1, max_steps=9),
    )
    agent = Agent(
        model=Insisting(), tools=[child.as_tool()], limits=Limits(tool_retries=2, max_steps=9)
    )
    failure, events = await played(agent)
    assert isinstance(failure, RunFailed)
    assert (failure.code, str(failure).rpartition("'child' ")[2]) == (
        "tool-retries",
        "failed 3 times in a row",
    )
    # Each counts what it has called itself.
    assert len(outcomes(events)) == 3
    for call_id in outcomes(events):
        level = within(events, call_id)
        assert len(outcomes(level)) == 2
        assert isinstance(level[-1], RunError)
        assert level[-1].error.code == "tool-retries"


async def test_one_thread_while_a_tool_above_hangs(mock_clock: trio.testing.MockClock) -> None:
    hangs, release = trio.Event(), threading.Event()

    @tool(deadline=5)
    def hang() -> str:
        """Hang."""
        trio.from_thread.run_sync(hangs.set)
        release.wait()
        return "late"

    child = Agent(
        name="child",
        model=Retold([call(str(n), "count", n=n) for n in range(3)], ["Counted."]),
        tools=[count],
    )
    calls = [call("1", "hang"), call("2", "child", prompt="")]
    agent = Agent(model=Retold(calls, ["Done."]), tools=[hang, child.as_tool()])
    async with open_runtime(limits=RuntimeLimits(tool_threads=1)) as runtime:
        run = await runtime.start(agent, "hi")
        with run.subscribe() as events:
            try:
                await hangs.wait()
                await trio.testing.wait_all_tasks_blocked()
                mock_clock.jump(6)
                # Its place is free, so that those below can work, however long it hangs.
                results: list[ToolOutcome] = []
                while not results:
                    event = await events.receive()
                    results += [event.tool] if isinstance(event, ToolResult) else []
            finally:
                release.set()
        assert [(result.id, result.output) for result in results] == [("2", "Counted.")]
        assert (await run.wait()).text == "Done."


@tool
async def twice(context: ToolContext) -> list[Any]:
    """Ask a sub-agent, and then another one."""
    child = Agent(
        name="child", model=Retold([call("1", "look", city="é")], ["Seen."]), tools=[look]
    )
    answers: list[Any] = [await child.as_tool().call({"prompt": ""}, context)]
    try:
        answers.append(await child.as_tool().call({"prompt": ""}, context))
    except RuntimeError as exc:
        answers.append(str(exc))
    return answers


async def test_a_call_is_served_by_one_sub_agent() -> None:
    # Two in one call would have the same ids, and their bills could not be told apart.
    result, events = await played(Agent(model=Retold([call("1", "twice")], ["x"]), tools=[twice]))
    assert isinstance(result, Result)
    [(status, [answer, refusal])] = outcomes(events).values()
    assert (status, answer) == ("ok", "Seen.")
    assert refusal.startswith("a call is served by one sub-agent")


async def test_a_call_that_has_returned_is_served_by_nobody() -> None:
    contexts: list[ToolContext] = []

    @tool
    async def keep(context: ToolContext) -> None:
        """Keep what is good for the call only."""
        await trio.lowlevel.checkpoint()
        contexts.append(context)

    child = Agent(name="child", model=Retold(["Late."]))
    async with open_runtime() as runtime:
        agent = Agent(model=Retold([call("1", "keep")], ["x"]), tools=[keep])
        run = await runtime.start(agent, "hi")
        await run.wait()
        with pytest.raises(RuntimeError, match="before it returns"):
            await child.as_tool().call({"prompt": ""}, contexts[0])
        check_levels(await logged(runtime.store, run.id))


async def test_many_teams_side_by_side() -> None:
    async with open_runtime(limits=RuntimeLimits(tool_threads=4)) as runtime:
        runs = [await runtime.start(make_team(), "hi") for _ in range(50)]
        for run in runs:
            result = await run.wait()
            assert (result.text, result.usage.total_tokens) == ("I ask. Oslo.", COSTS)
            events = await logged(runtime.store, run.id)
            check_levels(events)
            starts = [e for e in at_all_levels(events) if isinstance(e, RunStart)]
            assert [start.run_id for start in starts] == [run.id] * 4
            shaped = [e.delta for e in at_all_levels(events) if isinstance(e, OutputDelta)]
            assert "".join(shaped) == '{"city":"Oslo","floors":[1,2]}'
