"""Machines that go on with a log; and that a run which goes on is the one that it was."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from log_kit import check_levels, nested
from record_kit import made as made_record
from runtime_kit import logged
from store_kit import record
from wait_kit import (
    LastingStore,
    asleep,
    look,
    of,
    outcomes,
    refund,
    tags,
    told,
    unix_time as let_unix_time_follow,
)

from trio_agent._agent import Agent
from trio_agent._errors import LogDamaged, UnknownRun
from trio_agent._events import (
    AnyEvent,
    ModelFinished,
    RunContinued,
    RunFinish,
    RunStart,
    RunWaiting,
    StepDiscard,
    StepStart,
    TextDelta,
    ToolCall,
    ToolRequest,
    Usage,
)
from trio_agent._limits import Limits
from trio_agent._log.log import Append, Entry
from trio_agent._log.store import Store
from trio_agent._messages import ToolMessage, UserMessage
from trio_agent._run.machine import Machine
from trio_agent._run.rebuild import new_machine, rebuild
from trio_agent._run.states import State
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import ScriptedModel, call, output
from trio_agent.tools._context import RunContext, RunFacts, ToolContext
from trio_agent.tools._tool import tool

HI = UserMessage("hi")


@pytest.fixture
def unix_time(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> trio.testing.MockClock:
    let_unix_time_follow(monkeypatch, autojump_clock)
    return autojump_clock


def machine(**settings: Any) -> Machine:
    return Machine("r", "a", (HI,), **{"max_steps": 9, "continuations": 3, **settings})


async def logs(*events: AnyEvent, privates: dict[int, bytes] | None = None) -> Store:
    store = MemoryStore()
    await store.create(record("r"))
    for offset, event in enumerate(events, 1):
        private = {offset: (privates or {}).get(offset, b"")}
        append = Append("r", 1, [Entry.of(offset, event)], {k: v for k, v in private.items() if v})
        await store.append([append])
    return store


def start(at: int = 0) -> RunStart:
    return RunStart(at=at, run_id="r", agent="a")


def step(at: int = 0, number: int = 1) -> StepStart:
    return StepStart(at=at, step_number=number)


def text(at: int = 0) -> TextDelta:
    return TextDelta(at=at, delta="x")


def waits(at: int) -> RunWaiting:
    return RunWaiting(at=at, calls=("1",))


def continued(at: int, reason: str = "answered") -> RunContinued:
    return RunContinued(at=at, reason=reason)


def called(call_id: str = "1") -> list[AnyEvent]:
    finished = ModelFinished(
        at=0, step_number=1, model="", reason="tool-calls", usage=Usage(1, 2, 3)
    )
    return [finished, ToolCall(at=0, tool=ToolRequest(call_id, "t", {}))]


@pytest.mark.parametrize(
    ("events", "worked"),
    [
        ([], 0),
        ([start(5000)], 0),
        ([start(1000), step(3500)], 2.5),
        # Who slept was not working, for however long.
        ([start(0), step(1000), waits(2000), continued(9_000_000)], 2),
        ([start(0), waits(2000), continued(9_000_000), step(9_001_500)], 3.5),
        # Nor was who lay dead: only its last word is known.
        ([start(0), step(1000), text(2000), continued(60_000, "worker-lost")], 2),
        ([start(0), waits(2000), continued(9000, "answered"), continued(20_000, "worker-lost")], 2),
        ([start(0), waits(1000), continued(5000), waits(6000), continued(9000), step(9500)], 2.5),
        # It was to sleep, and there was something to do: that counts from the next time on.
        ([start(0), waits(1000), text(2000), waits(3000), continued(9000)], 1),
        # A clock that was set back does not give time.
        ([start(9000), step(1000)], 0),
    ],
)
async def test_how_long_it_was_worked_on(events: Sequence[AnyEvent], worked: float) -> None:
    read = await rebuild(await logs(*events), "r", machine())
    assert read.worked == worked


@pytest.mark.parametrize(
    ("events", "reason", "state"),
    [
        ([], "worker-lost", State.START),
        ([start(), continued(1, "handed-over")], "handed-over", State.ASK),
        ([start(), continued(1, "handed-over"), continued(2, "answered")], "answered", State.ASK),
        ([start(), step(), text(), continued(1)], "answered", State.ANSWER),
        ([start(), step(), *called(), continued(1)], "answered", State.ACT),
    ],
)
async def test_where_it_is_and_why_it_goes_on(
    events: Sequence[AnyEvent], reason: str, state: State
) -> None:
    store = await logs(*events)
    made = machine()
    with trio.testing.assert_checkpoints():
        read = await rebuild(store, "r", made)
    assert (read.reason, made.state, read.tail) == (reason, state, len(events))
    assert read.size == (await store.info("r")).size - record("r").size


@pytest.mark.parametrize("told_it", ["be brief", "é \u2028", "\0"])
async def test_what_the_model_was_told(told_it: str) -> None:
    store = await logs(start(), step(), privates={2: told_it.encode()})
    read = await rebuild(store, "r", machine())
    assert read.instructions == told_it
    assert (await rebuild(await logs(start(), step()), "r", machine())).instructions is None


async def test_what_is_beside_it_counts() -> None:
    bare = await rebuild(await logs(start(), step()), "r", machine())
    more = await rebuild(await logs(start(), step(), privates={2: b"12345"}), "r", machine())
    assert more.size == bare.size + 5


async def test_sub_agents_are_counted_and_not_replayed() -> None:
    inner = [start(), step(), ToolCall(at=0, tool=ToolRequest("1/1", "t", {}))]
    made = machine()
    await rebuild(await logs(start(), step(), *called(), *nested("1", *inner)), "r", made)
    assert made.story.step == 1
    assert made.story.used_ids == {"1", "1/1"}
    assert [ready.id for ready in made.story.ready] == ["1"]


@pytest.mark.parametrize(
    ("events", "privates"),
    [
        ([start(), step()], {2: b"\xff"}),
        ([start(), step(), *called()], {3: b"7"}),
        ([start(), step(), *called()], {3: b"{"}),
    ],
)
async def test_a_log_that_makes_no_sense(
    events: Sequence[AnyEvent], privates: dict[int, bytes]
) -> None:
    with pytest.raises(LogDamaged):
        await rebuild(await logs(*events, privates=privates), "r", machine())


async def test_a_log_that_is_not_there() -> None:
    with pytest.raises(UnknownRun):
        await rebuild(MemoryStore(), "r", machine())


def test_a_machine_has_the_limits_of_its_agent() -> None:
    limits = Limits(max_steps=1, max_tokens=2, tool_retries=3, continuations=0, output_retries=0)
    agent = Agent(model=ScriptedModel(), name="b", limits=limits, output=list[int])
    made = new_machine("r", agent, (HI,), retractable=False)
    [begun] = made.started(1)
    assert begun == RunStart(at=1, run_id="r", agent="b", retractable=False)
    assert made.budget.bounded
    made.asked(2)
    events = made.resumed("worker-lost", 3)
    assert [type(event) for event in events] == [StepDiscard]
    made.story.losses = 1
    made.resumed("worker-lost", 4)
    assert made.done


# A run that goes on somewhere else


async def moved(agent: Agent[Any, Any], **settings: Any) -> tuple[list[AnyEvent], Any]:
    """It sleeps, its server is gone, and another one goes on with it."""
    store = LastingStore()
    async with open_runtime(store=store, agents=[agent]) as runtime:
        run = await runtime.start(agent, "hi", **settings)
        await asleep(run)
    async with open_runtime(store=store, agents=[agent]) as runtime:
        found = await runtime.find(run.id)
        assert found.status == "waiting"
        answer = {"output": 5} if "client_tools" in settings else {"approved": True}
        await found.answer("1", **answer)
        came = await found.wait()
        assert found.status == came.finish_reason
        events = await logged(store, run.id)
    check_levels(events)
    return events, came


async def test_it_is_the_run_that_it_was(autojump_clock: trio.testing.MockClock) -> None:
    """Its options and limits, its owner and what is known of them, come back with it."""
    seen: list[Any] = []

    @tool(approval=True)
    async def pay(context: ToolContext) -> str:
        """Pay."""
        seen.append((context.principal, context.metadata, context.call_id, context.run_id))
        return "paid"

    model = ScriptedModel([call("1", "pay")], [call("2", "look")], ["never"])
    agent = Agent(model=model, name="shop", tools=[pay, look], options={"top_p": 1})
    events, came = await moved(
        agent,
        owner="me",
        claims={"plan": "free"},
        metadata={"n": 1},
        options={"seed": 7},
        limits={"max_steps": 2},
        retractable=False,
    )
    assert came.finish_reason == "max-steps"
    assert [request.options for request in model.requests] == [{"top_p": 1, "seed": 7}] * 2
    [(principal, metadata, call_id, run_id)] = seen
    assert (principal.id, principal.claims, metadata) == ("me", {"plan": "free"}, {"n": 1})
    assert (call_id, run_id) == ("1", came.run_id)
    assert [begun.retractable for begun in of(RunStart, events)] == [False]
    assert [event.reason for event in of(RunContinued, events)] == ["answered"]


async def test_the_clients_tools_come_with_it(autojump_clock: trio.testing.MockClock) -> None:
    model = ScriptedModel([call("1", "pick")], ["done"])
    pick = {"name": "pick", "description": "Pick.", "parameters": {"type": "object"}}
    events, came = await moved(Agent(model=model, name="shop"), client_tools=[pick])
    assert came.text == "done"
    assert model.requests[0].tools == model.requests[1].tools
    assert outcomes(events) == [("1", "ok", 5, None)]


async def test_instructions_are_rendered_once(autojump_clock: trio.testing.MockClock) -> None:
    rendered: list[int] = []

    def instructions(context: RunContext[Any]) -> str:
        rendered.append(1)
        return f"You are the {len(rendered)}."

    model = ScriptedModel([call("1", "refund", amount=5)], ["done"])
    await moved(Agent(model=model, name="shop", tools=[refund], instructions=instructions))
    assert [request.instructions for request in model.requests] == ["You are the 1."] * 2
    assert len(rendered) == 1


async def test_dependencies_are_opened_anew(autojump_clock: trio.testing.MockClock) -> None:
    seen: list[Any] = []

    @asynccontextmanager
    async def open_db(facts: RunFacts) -> AsyncIterator[str]:
        seen.append(("open", facts.run_id, facts.principal and facts.principal.claims))
        try:
            yield f"db {len(seen)}"
        finally:
            seen.append("close")

    @tool(approval=True)
    async def pay(context: ToolContext[str]) -> str:
        """Pay."""
        return context.deps

    model = ScriptedModel([call("1", "pay")], ["done"])
    agent = Agent(model=model, name="shop", tools=[pay], open_deps=open_db)
    events, came = await moved(agent, owner="me", claims={"n": 1})
    opened = ("open", came.run_id, {"n": 1})
    assert seen == [opened, "close", opened, "close"]
    assert outcomes(events) == [("1", "ok", "db 3", None)]


async def test_an_answer_with_a_shape(autojump_clock: trio.testing.MockClock) -> None:
    """Who has held the run gets its value; from elsewhere it is JSON, as ever."""

    @attrs.frozen
    class Place:
        city: str

    model = ScriptedModel([call("1", "refund", amount=5)], output({"city": "Oslo"}))
    agent = Agent(model=model, name="shop", tools=[refund], output=Place)
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        await asleep(run)
        await run.answer("1", approved=True)
        assert (await run.wait()).output == Place("Oslo")
    again = ScriptedModel([call("1", "refund", amount=5)], output({"city": "Oslo"}))
    _, came = await moved(attrs.evolve(agent, model=again))
    assert came.output == {"city": "Oslo"}


async def test_only_the_time_that_it_is_worked_on_counts(
    unix_time: trio.testing.MockClock,
) -> None:
    script = [20.0, call("1", "refund", amount=5)]
    model = ScriptedModel(script, [30.0, "in time"])
    agent = Agent(model=model, name="shop", tools=[refund], limits=Limits(run_deadline=60))
    store = LastingStore()
    async with open_runtime(store=store, agents=[agent]) as runtime:
        run = await runtime.start(agent, "hi")
        await asleep(run)
        await trio.sleep(1000)
        await run.answer("1", approved=True)
        assert (await run.wait()).text == "in time"


async def test_and_all_of_it_counts(unix_time: trio.testing.MockClock) -> None:
    script = [20.0, call("1", "refund", amount=5)]
    model = ScriptedModel(script, [50.0, "too late"])
    agent = Agent(model=model, name="shop", tools=[refund], limits=Limits(run_deadline=60))
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        await asleep(run)
        await trio.sleep(1000)
        answered = trio.current_time()
        await run.answer("1", approved=True)
        result = await run.wait()
        assert result.finish_reason == "timeout"
        assert trio.current_time() - answered == pytest.approx(40, abs=0.1)
        check_levels(await logged(runtime.store, run.id))


# Behind a death


async def left_behind(store: Store, agent: Agent[Any, Any], *events: AnyEvent) -> str:
    """What a worker has written that died: its lease runs out."""
    record = made_record(agent, HI)
    await store.create(record)
    entries = [Entry.of(offset, event) for offset, event in enumerate(events, 1)]
    if entries:
        await store.append([Append(record.run_id, 1, entries)])
    return record.run_id


async def gone_on(agent: Agent[Any, Any], *events: AnyEvent) -> tuple[list[AnyEvent], Any]:
    store = LastingStore(lease=5)
    run_id = await left_behind(store, agent, *events)
    await trio.sleep(6)
    async with open_runtime(store=store, agents=[agent]) as runtime:
        found = await runtime.find(run_id)
        came = await found.wait()
    log = await logged(store, run_id)
    check_levels(log)
    assert log[: len(events)] == list(events)
    return log, came


async def test_it_had_not_begun(autojump_clock: trio.testing.MockClock) -> None:
    log, came = await gone_on(Agent(model=ScriptedModel(["a"]), name="quick"))
    assert tags(log)[0] == "run-start"
    assert (came.text, of(RunContinued, log)) == ("a", [])


async def test_an_answer_was_under_way(autojump_clock: trio.testing.MockClock) -> None:
    agent = Agent(model=ScriptedModel(["a"]), name="quick")
    log, came = await gone_on(agent, start(), step(), text(), text())
    assert tags(log) == [
        *("run-start", "step-start", "continued", "step-discard"),
        *("step-start", "model-finish", "step-finish", "run-finish"),
    ]
    [discard] = of(StepDiscard, log)
    assert (discard.from_offset, discard.reason) == (2, "worker-lost")
    assert came.text == "a"


@pytest.mark.parametrize("safe", [True, False])
async def test_a_call_may_have_run(autojump_clock: trio.testing.MockClock, *, safe: bool) -> None:
    made: list[str] = []

    @tool(name="t", retry_safe=safe)
    async def act(context: ToolContext) -> str:
        """Act."""
        made.append(context.call_id)
        return "made"

    model = ScriptedModel(["done"])
    agent = Agent(model=model, name="quick", tools=[act])
    log, came = await gone_on(agent, start(), step(), *called())
    [(call_id, status, told_it, _)] = outcomes(log)
    assert (call_id, status, made) == (("1", "ok", ["1"]) if safe else ("1", "unknown", []))
    said = model.requests[0].messages[-1]
    assert said == ToolMessage("1", told_it, status)
    assert came.text == "done"
    assert came.usage.total_tokens == 3  # Paid by the one who died.


async def test_a_worker_that_dies_again_and_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    agent = Agent(model=ScriptedModel(), name="quick", limits=Limits(continuations=2))
    store = LastingStore(lease=5)
    lost = [continued(0, "worker-lost"), step()]
    run_id = await left_behind(store, agent, start(), step(), *lost, *lost)
    await trio.sleep(6)
    async with open_runtime(store=store, agents=[agent]) as runtime:
        run = await runtime.find(run_id)
        await run._wait_gone()
        assert run.status == "error"
    log = await logged(store, run_id)
    check_levels(log)
    assert tags(log)[-2:] == ["step-discard", "error"]


async def test_it_was_put_to_sleep_by_a_drain_and_not_asked_twice(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A drain hands over what works, and leaves alone what sleeps."""
    go_on = trio.Event()
    agent = Agent(
        model=ScriptedModel([call("1", "refund", amount=5)], ["a", go_on], ["b"]),
        name="shop",
        tools=[refund],
    )
    store = LastingStore()
    async with open_runtime(store=store, agents=[agent]) as runtime:
        run = await runtime.start(agent, "hi")
        await asleep(run)
        await run.answer("1", approved=True)
        await told(run, TextDelta)
        await runtime.drain(0)
    async with open_runtime(store=store, agents=[agent]) as runtime:
        found = await runtime.find(run.id)
        assert (await found.wait()).text == "b"
    log = await logged(store, run.id)
    check_levels(log)
    assert [event.reason for event in of(RunContinued, log)] == ["answered", "handed-over"]
    assert isinstance(log[-1], RunFinish)
