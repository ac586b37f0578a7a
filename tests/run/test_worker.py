"""What an agent does between its start and its end: answers, corrections, tools, sub-agents."""

import logging
import signal
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from log_kit import at_all_levels, check_log
from runtime_kit import logged

from trio_agent._agent import Agent
from trio_agent._errors import (
    FenceLost,
    ModelError,
    RunFailed,
    RunIncomplete,
    StoreUnavailable,
    ToolError,
)
from trio_agent._events import (
    AnyEvent,
    Nested,
    OutputRetry,
    RunError,
    RunFinish,
    RunStart,
    ToolProgress,
    ToolResult,
    Usage,
)
from trio_agent._limits import Limits, RuntimeLimits
from trio_agent._log.store import Lease
from trio_agent._messages import AnyMessage, AssistantMessage, ToolMessage, UserMessage
from trio_agent._run.run import Run, current_run
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.models._model import Emit, Model
from trio_agent.models._parts import ModelFinish, ModelRequest, TextPart
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel, Sweep, call, cancel_sweep, output
from trio_agent.tools._context import RunContext, RunFacts, ToolContext
from trio_agent.tools._contract import Tool
from trio_agent.tools._source import OpenTools, ToolSource
from trio_agent.tools._tool import tool


class City(msgspec.Struct):
    name: str
    people: int = 0


OSLO = {"name": "Oslo", "people": 700_000}


async def end_of(
    agent: Agent[Any, Any], *, limits: RuntimeLimits | None = None, **start: Any
) -> tuple[Run[Any], list[AnyEvent]]:
    """Run to the end, and return all that was logged."""
    async with open_runtime(limits=limits) as runtime:
        run = await runtime.start(agent, "hi", **start)
        await run._wait_gone()
        events = await logged(runtime.store, run.id)
    check_log(events)
    return run, events


def errors(events: Sequence[AnyEvent]) -> list[str]:
    return [event.error.code for event in events if isinstance(event, RunError)]


def corrections(events: Sequence[AnyEvent]) -> list[str]:
    return [event.message for event in events if isinstance(event, OutputRetry)]


def results(events: Sequence[AnyEvent]) -> list[tuple[str, str, Any]]:
    """Of all levels."""
    return [
        (event.tool.id, event.tool.status, event.tool.output)
        for event in at_all_levels(events)
        if isinstance(event, ToolResult)
    ]


# Answers with a shape


@pytest.mark.parametrize("value", [{"output": 5}, {"output": {"output": 5}}, 5, [5], "5"])
async def test_a_value_that_looks_like_a_wrapper(value: Any) -> None:
    agent = Agent(model=ScriptedModel(output({"output": value})), output=Any)
    async with agent.stream_output("hi") as answer:
        *_, last = [each async for each in answer]
    assert (await answer.result()).output == last == value


async def test_validators_look_at_the_answer_one_after_the_other() -> None:
    seen: list[Any] = []

    def bigger(context: RunContext[Any], city: City) -> City:
        seen.append((context.deps, city.people))
        return City(city.name, city.people + 1)

    async def later(context: RunContext[Any], city: City) -> City:
        await trio.lowlevel.checkpoint()
        return bigger(context, city)

    agent = Agent(
        model=ScriptedModel(output(OSLO)), output=City, output_validators=[bigger, later, bigger]
    )
    result = await agent.run("hi", deps="d")
    assert seen == [("d", 700_000), ("d", 700_001), ("d", 700_002)]
    assert result.output == City("Oslo", 700_003)
    assert result.finish_reason == "stop"


async def _fail_in_a_nursery(*failures: BaseException) -> None:
    async def fail(failure: BaseException) -> None:
        raise failure

    async with trio.open_nursery() as nursery:
        for failure in failures:
            nursery.start_soon(fail, failure)


@pytest.mark.parametrize(
    ("failures", "told"),
    [
        ([ToolError("no such city")], "no such city"),
        ([ToolError("x" * 20_000)], "x" * 10_000),
        ([ToolError("half \ud800")], "half ?"),
    ],
)
@pytest.mark.parametrize("kind", ["sync", "async", "nursery"])
async def test_a_validator_that_refuses(
    failures: Sequence[BaseException], told: str, kind: str
) -> None:
    refused = False

    def first() -> bool:
        nonlocal refused
        before, refused = refused, True
        return not before

    def refuse(_: RunContext[Any], city: City) -> City:
        if first():
            raise failures[0]
        return city

    async def refuse_async(_: RunContext[Any], city: City) -> City:
        if first():
            if kind == "nursery":
                await _fail_in_a_nursery(*failures)
            raise failures[0]
        return city

    model = ScriptedModel(output(OSLO), output({"name": "Rome"}))
    validate = refuse if kind == "sync" else refuse_async
    agent = Agent(model=model, output=City, output_validators=[validate])
    run, events = await end_of(agent)
    assert run.status == "stop"
    assert corrections(events) == [told]
    assert model.requests[1].messages[-1] == UserMessage(told)
    assert (await run.wait()).output == City("Rome")


async def test_all_that_a_validators_nursery_says_is_told() -> None:
    async def validate(_: RunContext[Any], city: City) -> City:
        if city.name == "Oslo":
            await _fail_in_a_nursery(ToolError("too far"), ToolError("too cold"))
        return city

    model = ScriptedModel(output(OSLO), output({"name": "Rome"}))
    _, events = await end_of(Agent(model=model, output=City, output_validators=[validate]))
    [told] = corrections(events)
    assert sorted(told.split("; ")) == ["too cold", "too far"]


@pytest.mark.parametrize(
    "failures",
    [
        [KeyError("s3cret")],
        [ToolError("no"), KeyError("s3cret")],
        [SystemExit("s3cret")],
    ],
)
@pytest.mark.parametrize("nested", [False, True])
async def test_a_validator_that_is_wrong_itself(
    failures: Sequence[BaseException], nested: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def validate(_: RunContext[Any], __: City) -> City:
        if nested:
            await _fail_in_a_nursery(*failures)
        raise failures[-1]

    model = ScriptedModel(output(OSLO))
    _, events = await end_of(Agent(model=model, output=City, output_validators=[validate]))
    assert errors(events) == ["internal"]
    assert corrections(events) == []
    assert "s3cret" in caplog.text
    assert "s3cret" not in repr(events)


async def test_a_validator_whose_value_has_no_json_form(caplog: pytest.LogCaptureFixture) -> None:
    agent = Agent(
        model=ScriptedModel(output(OSLO)), output=City, output_validators=[lambda _, __: object()]
    )
    _, events = await end_of(agent)
    assert errors(events) == ["internal"]
    assert "no JSON form" in caplog.text


async def test_a_validator_that_refuses_while_it_is_cancelled() -> None:
    """The run is cancelled: nothing is corrected any more."""

    async def validate(_: RunContext[Any], city: City) -> City:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise ToolError("too late")
        return city

    agent = Agent(
        model=ScriptedModel(output(OSLO)),
        output=City,
        output_validators=[validate],
        limits=Limits(max_steps=1),
    )
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        await trio.testing.wait_all_tasks_blocked()
        assert (await run.cancel()).outcome == "cancelled"
        assert corrections(await logged(runtime.store, run.id)) == []
        with pytest.raises(RunIncomplete):
            _ = (await run.wait()).output


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(step_deadline=2), "a step did not finish within 2 s"),
        (Limits(run_deadline=2), "the run did not finish within 2 s"),
    ],
)
async def test_a_validator_takes_time_of_its_step(
    limits: Limits, reason: str, autojump_clock: trio.testing.MockClock
) -> None:
    async def validate(_: RunContext[Any], city: City) -> City:
        await trio.sleep(9)
        return city

    model = ScriptedModel([1.0, *output(OSLO)])
    agent = Agent(model=model, output=City, output_validators=[validate], limits=limits)
    run, events = await end_of(agent)
    assert run.status == "timeout"
    assert isinstance(events[-1], RunFinish)
    assert events[-1].run.reason == reason
    assert (await run.wait()).messages[-1] == AssistantMessage(msgspec.json.encode(OSLO).decode())


async def test_the_answer_is_known_before_a_validator_looks_at_it() -> None:
    """What was said is committed before anything is done about it."""
    tails: list[int] = []

    async def validate(_: RunContext[Any], city: City) -> City:
        run = current_run()
        assert run is not None
        page = await store.read(run.id, 0, 100)
        tails.append(page.tail)
        return city

    store = FaultyStore(MemoryStore())
    agent = Agent(model=ScriptedModel(output(OSLO)), output=City, output_validators=[validate])
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(agent, "hi")
        await run.wait()
        events = await logged(runtime.store, run.id)
    assert [str(e.__struct_config__.tag) for e in events[: tails[0]]][-1] == "model-finish"


async def test_corrections_have_an_end() -> None:
    model = ScriptedModel(*[output({"name": 7})] * 3)
    agent = Agent(model=model, output=City, limits=Limits(output_retries=2))
    _, events = await end_of(agent)
    assert errors(events) == ["output-invalid"]
    told = corrections(events)
    assert len(told) == 2
    assert events[-1].error.message in told


async def test_an_answer_beyond_the_log_bound() -> None:
    def longer(_: RunContext[Any], __: City) -> City:
        return City("x" * 2000)

    agent = Agent(model=ScriptedModel(output(OSLO)), output=City, output_validators=[longer])
    _, events = await end_of(agent, limits=RuntimeLimits(max_log_bytes=1024))
    assert errors(events) == ["log-limit"]


async def test_tools_beside_an_answer_that_is_refused_run() -> None:
    ran: list[str] = []

    @tool
    async def look() -> None:
        """Look."""
        ran.append("look")

    def refuse(_: RunContext[Any], city: City) -> City:
        if not ran:
            raise ToolError("look first")
        return city

    model = ScriptedModel(
        [*output(OSLO), call("1", "look"), ModelFinish("tool-calls")], output(OSLO)
    )
    agent = Agent(model=model, tools=[look], output=City, output_validators=[refuse])
    run, events = await end_of(agent)
    assert run.status == "stop"
    assert ran == ["look"]
    assert corrections(events) == ["look first"]


# What the model sees


async def test_what_is_prepared_is_what_the_model_sees_and_nobody_else() -> None:
    @tool
    async def look() -> str:
        """Look."""
        return "snow"

    def last(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
        return [UserMessage("In short:"), *messages[-2:]]

    model = ScriptedModel([call("1", "look")], ["Snow."])
    result = await Agent(model=model, tools=[look], prepare=last).run(
        messages=[UserMessage("long"), AssistantMessage("ago"), UserMessage("hi")]
    )
    assert model.requests[0].messages == (
        UserMessage("In short:"),
        AssistantMessage("ago"),
        UserMessage("hi"),
    )
    assert [message.content for message in model.requests[1].messages] == [
        "In short:",
        "",
        "snow",
    ]
    contents = [message.content for message in result.messages]
    assert contents == ["long", "ago", "hi", "", "snow", "Snow."]


async def test_preparations_that_no_provider_takes(caplog: pytest.LogCaptureFixture) -> None:
    agent = Agent(model=ScriptedModel(["a"]), prepare=lambda _: [])
    _, events = await end_of(agent)
    assert errors(events) == ["internal"]
    assert "prepare returned no messages" in caplog.text


# Tools


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("hidden", "the tool failed"),
        ("type", "the tool failed (KeyError)"),
        ("message", "KeyError: 's3cret'"),
    ],
)
async def test_what_is_told_of_a_bug_in_a_tool(
    setting: Any, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    @tool
    async def wrong() -> None:
        """Wrong."""
        raise KeyError("s3cret")

    model = ScriptedModel([call("1", "wrong")], ["a"])
    _, events = await end_of(Agent(model=model, tools=[wrong], tool_errors=setting))
    assert results(events) == [("1", "error", told)]
    assert model.requests[1].messages[-1] == ToolMessage("1", told, "error")
    assert "KeyError: 's3cret'" in caplog.text
    assert "Traceback" in caplog.text


async def test_what_tools_say_themselves_out_of_nurseries(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @tool
    async def both() -> None:
        """Fail twice."""
        await _fail_in_a_nursery(ToolError("one"), ToolError("two"))

    @tool
    async def mixed() -> None:
        """Fail twice, once by a bug."""
        await _fail_in_a_nursery(ToolError("one"), KeyError("s3cret"))

    model = ScriptedModel([call("1", "both"), call("2", "mixed")], ["a"])
    _, events = await end_of(Agent(model=model, tools=[both, mixed], tool_errors="hidden"))
    told = {key: (status, sorted(text.split("; "))) for key, status, text in results(events)}
    assert told == {"1": ("error", ["one", "two"]), "2": ("error", ["one"])}
    assert caplog.text.count("Traceback (most recent call last)") >= 1
    assert "call '1'" not in caplog.text


async def test_a_tool_that_fails_again_and_again() -> None:
    @tool
    async def wrong() -> None:
        """Wrong."""
        raise ToolError("no")

    model = ScriptedModel(*[[call(str(n), "wrong")] for n in range(9)])
    _, events = await end_of(
        Agent(model=model, tools=[wrong], limits=Limits(tool_retries=2, max_steps=20))
    )
    assert errors(events) == ["tool-retries"]
    assert len(model.requests) == 3


async def test_what_a_tool_knows() -> None:
    seen: list[ToolContext] = []

    @tool
    async def look(context: ToolContext) -> None:
        """Look."""
        seen.append(context)

    model = ScriptedModel([call("1", "look"), call("2", "look")], ["a"])
    agent = Agent(model=model, name="a", tools=[look])
    run, _ = await end_of(agent, owner="ann", claims={"c": 1}, metadata={"m": 2}, deps="d")
    assert sorted(context.call_id for context in seen) == ["1", "2"]
    for context in seen:
        assert (context.run_id, context.agent, context.parent) == (run.id, "a", None)
        assert context.principal is not None
        assert (context.principal.id, context.principal.claims) == ("ann", {"c": 1})
        assert (context.metadata, context.deps) == ({"m": 2}, "d")


@pytest.mark.parametrize("kind", ["async", "sync", "foreign thread"])
async def test_progress(kind: str) -> None:
    release = threading.Event()
    seen = trio.Event()

    def tell(context: ToolContext) -> None:
        context.progress({"done": 1})
        context.progress({"done": 2})

    @tool
    async def in_a_task(context: ToolContext) -> str:
        """Tell."""
        if kind == "foreign thread":
            thread = threading.Thread(target=tell, args=(context,))
            thread.start()
            await trio.to_thread.run_sync(thread.join)
        else:
            tell(context)
        await seen.wait()
        context.progress({"done": 3})
        return "done"

    @tool
    def in_a_thread(context: ToolContext) -> str:
        """Tell."""
        tell(context)
        release.wait()
        return "done"

    chosen = in_a_thread if kind == "sync" else in_a_task
    model = ScriptedModel([call("1", chosen.name)], ["a"])
    told: list[Any] = []
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model, tools=[in_a_task, in_a_thread]), "hi")
        async with run.subscribe() as events:
            async for event in events:
                if isinstance(event, ToolProgress):
                    told.append((event.tool.id, event.tool.name, event.data))
                    seen.set()
                    release.set()
        check_log(await logged(runtime.store, run.id))
    # The latest counts, and the last of all is told before the result.
    assert {each[:2] for each in told} == {("1", chosen.name)}
    assert told[-1][2] == {"done": 2 if kind == "sync" else 3}


async def test_much_progress_at_once_ends_no_run() -> None:
    @tool
    async def busy(context: ToolContext, number: int) -> int:
        """Work."""
        for n in range(200):
            context.progress({"n": n, "of": "x" * 100})
            if n % 10 == 0:
                await trio.lowlevel.checkpoint()
        return number

    calls = [call(str(n), "busy", number=n) for n in range(8)]
    model = ScriptedModel(calls, ["a"])
    run, events = await end_of(
        Agent(model=model, tools=[busy]), limits=RuntimeLimits(max_log_bytes=8192)
    )
    assert run.status == "stop"
    assert any(isinstance(event, ToolProgress) for event in events)


async def test_progress_leaves_room_for_what_follows() -> None:
    """However many calls tell of theirs, one after the other."""

    @tool
    async def busy(context: ToolContext) -> None:
        """Work."""
        for n in range(60):
            context.progress({"n": n, "of": "x" * 100})
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()

    @tool
    async def big() -> str:
        """Big."""
        return "x" * 2000

    calls = [[call(str(n), "busy")] for n in range(8)]
    model = ScriptedModel(*calls, [call("9", "big")], ["a"])
    agent = Agent(model=model, tools=[busy, big])
    run, events = await end_of(agent, limits=RuntimeLimits(max_log_bytes=16_384))
    assert run.status == "stop"
    assert any(isinstance(event, ToolProgress) for event in events)


async def test_progress_that_is_no_json_is_the_tools_trouble() -> None:
    @tool
    async def wrong(context: ToolContext) -> None:
        """Wrong."""
        context.progress(object())

    model = ScriptedModel([call("1", "wrong")], ["a"])
    _, events = await end_of(Agent(model=model, tools=[wrong], tool_errors="message"))
    [(_, status, told)] = results(events)
    assert status == "error"
    assert told.startswith("ValueError: progress has a object")


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("nested", [False, True])
async def test_a_tool_may_end_its_run(sync: bool, nested: bool) -> None:
    @tool
    async def in_a_task(context: ToolContext) -> None:
        """Stop."""
        context.request_cancel("enough")
        await trio.sleep_forever()

    @tool
    def in_a_thread(context: ToolContext) -> None:
        """Stop."""
        context.request_cancel("enough")

    chosen = in_a_thread if sync else in_a_task
    agent = Agent(model=ScriptedModel([call("1", chosen.name)]), tools=[chosen])
    if nested:
        model = ScriptedModel([call("0", "agent", prompt="x")])
        agent = Agent(model=model, tools=[agent.as_tool()])
    run, events = await end_of(agent)
    assert run.status == "cancelled"
    assert isinstance(events[-1], RunFinish)
    assert events[-1].run.reason == "enough"
    assert {status for _, status, _ in results(events)} <= {"cancelled", "ok"}


# Sub-agents


def outer(
    inner: Agent[Any, Any], *more: Any, deadline: float = float("inf"), **settings: Any
) -> Any:
    """An agent that asks another one, and then says that it has."""
    model = ScriptedModel([call("1", "inner", prompt="do it")], ["asked"])
    tool = inner.as_tool(name="inner", deadline=deadline)
    return Agent(model=model, name="outer", tools=[tool], **settings)


def asks(agent: Agent[Any, Any]) -> list[Any]:
    assert isinstance(agent.model, ScriptedModel)
    return agent.model.requests


@tool
async def sleep() -> None:
    """Sleep."""
    await trio.sleep_forever()


async def test_a_sub_agent_answers_its_call() -> None:
    model = ScriptedModel(["Snow.", ModelFinish("stop", Usage(1, 2, 3))])
    inner = Agent(model=model, name="inner", instructions="secret")
    agent = outer(inner)
    run, events = await end_of(agent)
    assert results(events) == [("1", "ok", "Snow.")]
    assert model.requests[0].messages == (UserMessage("do it"),)
    starts = [e for e in at_all_levels(events) if isinstance(e, RunStart)]
    assert [(e.run_id, e.agent) for e in starts] == [(run.id, "outer"), (run.id, "inner")]
    result = await run.wait()
    assert (result.text, result.usage) == ("asked", Usage(1, 2, 3))
    last = events[-1]
    assert isinstance(last, RunFinish)
    assert last.run.own_usage == Usage()


async def test_a_sub_agents_value_is_the_calls_result() -> None:
    inner = Agent(model=ScriptedModel(output(OSLO)), output=City)
    _, events = await end_of(outer(inner))
    assert results(events) == [("1", "ok", OSLO)]


@pytest.mark.parametrize(
    ("script", "limits", "told"),
    [
        ([ModelError("odd", "it broke")], Limits(), "the agent 'i' failed: odd: it broke"),
        ([ModelFinish("length")], Limits(), "the agent 'i' did not finish: length"),
        (["a", "b", "c"], Limits(max_tokens=2), "the agent 'i' did not finish: budget"),
        ([9.0], Limits(run_deadline=1), "the agent 'i' did not finish: timeout"),
        ([9.0], Limits(step_deadline=1), "the agent 'i' did not finish: timeout"),
        (
            [KeyError("s3cret")],
            Limits(),
            "the agent 'i' failed: internal: internal error (KeyError)",
        ),
    ],
)
async def test_a_sub_agent_without_an_answer(
    script: Any, limits: Limits, told: str, autojump_clock: trio.testing.MockClock
) -> None:
    inner = Agent(model=ScriptedModel(script), name="i", limits=limits)
    agent = outer(inner)
    run, events = await end_of(agent)
    assert results(events) == [("1", "error", told)]
    assert run.status == "stop"
    assert asks(agent)[1].messages[-1] == ToolMessage("1", told, "error")
    assert "s3cret" not in repr(events)


async def test_a_calls_deadline_ends_the_sub_agent(autojump_clock: trio.testing.MockClock) -> None:
    inner = Agent(model=ScriptedModel([call("7", "sleep")]), tools=[sleep])
    run, events = await end_of(outer(inner, deadline=3))
    assert run.status == "stop"
    assert results(events) == [
        ("1/7", "cancelled", "cancelled before it finished"),
        ("1", "error", "the tool did not finish within 3 s"),
    ]
    ends = [e.event for e in events if isinstance(e, Nested) and e.event and e.event.terminal]
    assert [end.run.reason for end in ends if isinstance(end, RunFinish)] == [
        "its call was cancelled"
    ]


async def test_the_deadline_of_tools_is_not_that_of_sub_agents(
    autojump_clock: trio.testing.MockClock,
) -> None:
    inner = Agent(model=ScriptedModel([1000.0, "late"]))
    run, events = await end_of(outer(inner))
    assert results(events) == [("1", "ok", "late")]
    assert run.status == "stop"


async def test_what_sub_agents_spend_counts_above_them() -> None:
    inner = Agent(model=ScriptedModel(list("abcdef")), name="i")
    run, events = await end_of(outer(inner, limits=Limits(max_tokens=4)))
    assert run.status == "budget"
    # The call itself has cost one.
    assert results(events) == [("1", "error", "the agent 'i' did not finish: budget")]


async def test_a_sync_tool_that_a_sub_agent_leaves_behind() -> None:
    started, go_on, gone = trio.Event(), threading.Event(), threading.Event()

    @tool(abandon=True)
    def slow() -> None:
        """Slow."""
        trio.from_thread.run_sync(started.set)
        go_on.wait()
        gone.set()

    inner = Agent(model=ScriptedModel([call("7", "slow")]), tools=[slow])
    try:
        async with open_runtime() as runtime:
            run = await runtime.start(outer(inner), "hi")
            await started.wait()
            receipt = await run.cancel()
            assert receipt.abandoned == ("1/7",)
            events = await logged(runtime.store, run.id)
            check_log(events)
            assert [result[:2] for result in results(events)] == [
                ("1/7", "unknown"),
                ("1", "cancelled"),
            ]
    finally:
        go_on.set()
    await trio.to_thread.run_sync(gone.wait)


async def test_a_store_that_is_away_while_a_sub_agent_works(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ran: list[str] = []

    @tool
    async def never() -> None:
        """Never."""
        ran.append("never")

    store = FaultyStore(MemoryStore())
    limits = RuntimeLimits(store_patience=2.0)
    inner = Agent(model=ScriptedModel([1.0, call("7", "never")]), tools=[never])
    async with open_runtime(store=store, limits=limits) as runtime:
        run = await runtime.start(outer(inner), "hi")
        await trio.sleep(0.5)
        store.away.add("append")
        with pytest.raises(StoreUnavailable):
            await run.wait()
        store.away.clear()
        await trio.sleep(10)
        with pytest.raises(RunFailed, match="store-unavailable"):
            await run.wait()
        events = await logged(runtime.store, run.id)
    check_log(events)
    assert ran == []
    assert errors(events) == ["store-unavailable"]


async def test_a_fence_lost_while_a_sub_agent_works(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []

    @tool
    async def never() -> None:
        """Never."""
        ran.append("never")

    memory = MemoryStore(lease=100)
    inner = Agent(model=ScriptedModel(["a", 1.0, call("7", "never")]), tools=[never])
    async with open_runtime(store=FaultyStore(memory)) as runtime:
        run = await runtime.start(outer(inner), "hi")
        await trio.sleep(0.8)
        await memory.release(Lease(run.id, 1))
        assert await memory.claim(run.id) is not None
        with pytest.raises(FenceLost):
            await run.wait()
    assert ran == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_log_that_a_sub_agent_fills() -> None:
    inner = Agent(model=ScriptedModel(["x" * 100] * 50), name="i")
    _, events = await end_of(outer(inner), limits=RuntimeLimits(max_log_bytes=2048))
    assert errors(events) == ["log-limit"]
    assert results(events) == [("1", "error", "the output does not fit into the run's log")]
    assert errors([e for e in at_all_levels(events) if e not in events]) == ["log-limit"]


def test_ctrl_c_in_a_sub_agents_tool_ends_the_program() -> None:
    store = MemoryStore()
    ids: list[str] = []

    @tool
    async def interrupt() -> None:
        """Interrupt."""
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    inner = Agent(model=ScriptedModel([call("7", "interrupt")]), tools=[interrupt])

    async def main() -> None:
        async with open_runtime(store=store) as runtime:
            ids.append((await runtime.start(outer(inner), "hi")).id)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    events = trio.run(logged, store, ids[0])
    check_log(events)
    assert isinstance(events[-1], RunFinish)
    assert events[-1].run.finish_reason == "cancelled"


async def test_what_sub_agents_do_at_once_is_told_apart() -> None:
    both = trio.Event()
    waiting = 0

    @tool
    async def meet() -> str:
        """Wait for the other one."""
        nonlocal waiting
        waiting += 1
        if waiting == 2:
            both.set()
        await both.wait()
        return "met"

    class Meeting(Model):
        """Calls the tool, and is done; for whoever asks."""

        async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
            if isinstance(request.messages[-1], ToolMessage):
                await emit(TextPart("done"))
                return ModelFinish("stop")
            await emit(call("7", "meet"))
            return ModelFinish("tool-calls")

    inner = Agent(model=Meeting(), name="inner", tools=[meet])
    model = ScriptedModel(
        [call("1", "inner", prompt="x"), call("2", "inner", prompt="y")], ["asked"]
    )
    _, events = await end_of(Agent(model=model, name="outer", tools=[inner.as_tool()]))
    told = sorted(results(events))
    assert told == [
        ("1", "ok", "done"),
        ("1/7", "ok", "met"),
        ("2", "ok", "done"),
        ("2/7", "ok", "met"),
    ]


async def test_an_agent_in_an_agent_in_an_agent() -> None:
    @tool
    async def look(context: ToolContext) -> str:
        """Look."""
        assert current_run() is not None
        return f"{context.agent} {context.parent} {context.call_id} {context.deps}"

    innermost = Agent(model=ScriptedModel([call("9", "look")], ["c"]), name="c", tools=[look])
    middle = Agent(
        model=ScriptedModel([call("8", "c", prompt="x")], ["b"]),
        name="b",
        tools=[innermost.as_tool()],
    )
    run, events = await end_of(outer(middle), deps="d")
    assert run.status == "stop"
    assert results(events) == [
        ("1/8/9", "ok", "c 1/8 1/8/9 d"),
        ("1/8", "ok", "c"),
        ("1", "ok", "b"),
    ]


def test_cancelled_wherever_it_may_be() -> None:
    """All that was open is closed, in order, and every level of the log is whole."""
    points = cancel_sweep(_everything)
    assert points > 60


async def _everything(sweep: Sweep) -> None:
    open_now: list[str] = []

    @asynccontextmanager
    async def opened(name: str) -> AsyncIterator[str]:
        await trio.lowlevel.checkpoint()
        open_now.append(name)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                yield name
                nursery.cancel_scope.cancel()
        finally:
            assert open_now.pop() == name

    class Source(ToolSource, OpenTools):
        scope = "run"

        def fingerprint(self) -> str:
            return "source"

        @asynccontextmanager
        async def open(self) -> AsyncIterator[OpenTools]:
            async with opened("source"):
                yield self

        async def list_tools(self) -> Sequence[Tool[Any]]:
            await trio.lowlevel.checkpoint()
            return [look]

    @tool
    async def look(context: ToolContext) -> str:
        """Look."""
        context.progress({"done": 1})
        await trio.lowlevel.checkpoint()
        return "snow"

    async def validate(_: RunContext[Any], city: City) -> City:
        await trio.lowlevel.checkpoint()
        if not city.people:
            raise ToolError("how many?")
        return city

    def agent(name: str, model: Model, **more: Any) -> Agent[Any, Any]:
        def open_deps(facts: RunFacts) -> Any:
            return opened(facts.agent)

        return Agent(
            model=model, name=name, sources=[Source()], open_deps=open_deps, output=City, **more
        )

    inner = agent("inner", ScriptedModel([call("7", "look")], output(OSLO)))
    script = [call("1", "inner", prompt="x")], output({"name": "Rome"}), output(OSLO)
    root = agent(
        "root", ScriptedModel(*script), tools=[inner.as_tool()], output_validators=[validate]
    )
    store = MemoryStore()
    run: Run[Any] | None = None
    with sweep:
        async with open_runtime(store=store) as runtime:
            run = await runtime.start(root, "hi")
            await run.wait()
    assert open_now == []
    if run is not None:
        assert run.status in ("stop", "cancelled")
        check_log(await logged(store, run.id))
