"""What a run does, seen from outside: its events, its receipt, its result."""

import contextvars
import json
import logging
import re
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from instrument_kit import Listener
from wait_kit import LastingStore, asleep, refund, told

from trio_agent._agent import Agent
from trio_agent._errors import FenceLost, ModelError, RunFailed, StoreUnavailable
from trio_agent._events import (
    AnyEvent,
    RunError,
    RunFinish,
    RunStart,
    TextDelta,
    ToolCall,
    ToolResult,
    Usage,
)
from trio_agent._instrument.facts import RunEnd
from trio_agent._limits import Limits, RuntimeLimits
from trio_agent._log.log import Append, Appended
from trio_agent._log.store import Lease
from trio_agent._messages import AssistantMessage, ToolMessage, unpaired_calls
from trio_agent._run.run import Receipt, Run, current_run
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime
from trio_agent.models._model import Emit, Model
from trio_agent.models._parts import ModelFinish, ModelRequest, TextPart, ToolInputPart
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel, StoreProxy, call
from trio_agent.tools._tool import tool


async def read(runtime: Runtime, run: Run) -> list[AnyEvent]:
    page = await runtime.store.read(run.id, 0, 10_000)
    events = [entry.event for entry in page.entries]
    assert [entry.terminal for entry in page.entries] == [False] * (page.tail - 1) + [True]
    return [event for event in events if event is not None]


def types(events: list[AnyEvent]) -> list[str]:
    return [str(event.__struct_config__.tag) for event in events]


async def test_two_steps() -> None:
    seen: list[list[AnyEvent]] = []

    @tool
    async def get_weather(city: str) -> dict[str, Any]:
        """Weather."""
        assert current_run() is run
        page = await runtime.store.read(run.id, 0, 100)
        seen.append([event for entry in page.entries if (event := entry.event) is not None])
        return {"city": city}

    model = ScriptedModel(
        [
            "Let me look. ",
            call("1", "get_weather", city="Oslo"),
            ModelFinish("tool-calls", Usage(1, 2, 3)),
        ],
        ["Cold.", ModelFinish("stop", Usage(2, 3, 5))],
    )
    agent = Agent(
        model=model, name="w", instructions="secret", tools=[get_weather], options={"t": 0}
    )
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        assert run.status == "active"
        result = await run.wait()
        events = await read(runtime, run)
        receipt = await run.cancel("too late")
    assert types(events) == [
        "run-start",
        "step-start",
        "text-delta",
        "tool-input-delta",
        "model-finish",
        "tool-call",
        "tool-result",
        "step-finish",
        "step-start",
        "text-delta",
        "model-finish",
        "step-finish",
        "run-finish",
    ]
    assert "tool-call" in types(seen[0])
    assert result.text == "Let me look. Cold."
    assert (result.steps, result.finish_reason, result.usage) == (2, "stop", Usage(3, 5, 8))
    assert unpaired_calls(result.messages) is None
    assert receipt == Receipt("stop", 13)
    assert run.status == "stop"  # type: ignore[comparison-overlap]
    assert run.status != "active"
    first, second = model.requests
    assert first.instructions == "secret"
    assert first.options == {"t": 0}
    assert [spec.name for spec in first.tools] == ["get_weather"]
    assert second.messages[-1] == ToolMessage("1", '{"city":"Oslo"}')
    assert not any("secret" in repr(event) for event in events)


async def test_a_choice_of_a_tool_is_for_the_first_step() -> None:
    @tool
    async def look() -> str:
        """Look."""
        return "snow"

    model = ScriptedModel([call("1", "look")], ["Snow."])
    await Agent(model=model, tools=[look], tool_choice="required").run("hi")
    assert [request.tool_choice for request in model.requests] == ["required", None]


async def test_tools_run_side_by_side() -> None:
    both = trio.Event()
    running = 0

    @tool
    async def meet() -> int:
        """Wait for the other one."""
        nonlocal running
        running += 1
        if running == 2:
            both.set()
        await both.wait()
        return running

    model = ScriptedModel([call("1", "meet"), call("2", "meet")], ["met"])
    assert (await Agent(model=model, tools=[meet]).run("go")).text == "met"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ([ModelError("rate-limited", "slow down")], "rate-limited"),
        (["a", ModelError("cut", "it broke off")], "cut"),
        (["a", ModelFinish("content-filter")], "content-filter"),
        ([KeyError("bug")], "internal"),
        ([StoreUnavailable("away")], "store-unavailable"),
    ],
)
async def test_failures_are_the_error_event(
    script: list[Any], code: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(script)), "hi")
        with pytest.raises(RunFailed, match=code):
            await run.wait()
        events = await read(runtime, run)
        assert isinstance(events[-1], RunError)
        assert events[-1].error.code == code
        assert run.status == "error"
        assert (await run.cancel()).outcome == "error"
    assert ("bug" in caplog.text) is (code == "internal")
    assert "bug" not in repr(events)


RATE = ModelError("rate-limit", "slow down")
CUT = ModelError("cut-stream", "it broke off", retryable=True)


class Nested(Model):
    """A model that works in a nursery, in which it fails."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = failures
        self.asked = 0

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        self.asked += 1
        async with trio.open_nursery() as nursery:
            for failure in self.failures:
                nursery.start_soon(self._fail, failure)
            nursery.start_soon(trio.sleep_forever)
        raise AssertionError("unreachable")

    async def _fail(self, failure: BaseException) -> None:
        await trio.testing.wait_all_tasks_blocked()
        raise failure


@pytest.mark.parametrize(
    ("failures", "code", "asked"),
    [
        ([RATE], "rate-limit: slow down", 1),
        ([CUT], "cut-stream: it broke off", 4),
        ([RATE, CUT], "(rate-limit: slow down|cut-stream: it broke off)", None),
        ([RATE, KeyError("x")], r"internal: internal error \(ExceptionGroup\)", 1),
        ([StoreUnavailable("away")], "store-unavailable: away", 1),
        ([KeyError("x")], r"internal: internal error \(KeyError\)", 1),
        ([SystemExit(1)], r"internal: internal error \(SystemExit\)", 1),
    ],
)
async def test_a_model_that_fails_in_a_nursery(
    failures: list[BaseException],
    code: str,
    asked: int | None,
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It fails as itself, is asked again where that may help, and is nobody else's trouble."""
    model = Nested(*failures)
    async with open_runtime() as runtime:
        neighbour = await runtime.start(Agent(model=ScriptedModel([60.0, "a"])), "hi")
        run = await runtime.start(Agent(model=model), "hi")
        with pytest.raises(RunFailed, match=f"^{code}$"):
            await run.wait()
        assert (await neighbour.wait()).text == "a"
    assert model.asked == asked or asked is None


@pytest.mark.parametrize("nested", [False, True])
async def test_a_tool_that_exits_ends_nothing_but_its_call(nested: bool) -> None:
    @tool
    async def leave() -> None:
        """Leave."""
        if nested:
            async with trio.open_nursery():
                sys.exit(2)
        sys.exit(2)

    model = ScriptedModel([call("1", "leave")], ["I stay."])
    go_on = trio.Event()
    async with open_runtime() as runtime:
        neighbour = await runtime.start(Agent(model=ScriptedModel(["a", go_on, "b"])), "hi")
        run = await runtime.start(Agent(model=model, tools=[leave]), "hi")
        assert (await run.wait()).text == "I stay."
        go_on.set()
        assert (await neighbour.wait()).text == "ab"
    told = ToolMessage("1", "the tool failed (SystemExit)", "error")
    assert model.requests[1].messages[-1] == told


async def test_a_model_that_fails_while_everything_is_cancelled() -> None:
    """The run is cancelled, and its failure is not the runtime's."""

    class Sore(Model):
        async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                try:
                    await trio.sleep_forever()
                finally:
                    raise KeyError("x")

    with trio.CancelScope() as scope:
        async with open_runtime() as runtime:
            run = await runtime.start(Agent(model=Sore()), "hi")
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    assert run.status == "cancelled"


async def test_what_a_run_does_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """But nothing that was said."""

    @tool
    async def look(city: str) -> str:
        """Look."""
        return "s3cret"

    model = ScriptedModel(
        ["s3cret", call("1", "look", city="s3cret")],
        ["s3cret", ModelFinish("stop", Usage(1, 2, 3))],
        [RATE],
    )
    agent = Agent(model=model, name="a", instructions="s3cret", tools=[look])
    with caplog.at_level(logging.DEBUG, "trio_agent"):
        async with open_runtime() as runtime:
            run = await runtime.start(agent, "s3cret")
            await run.wait()
            failed = await runtime.start(agent, "s3cret")
            with pytest.raises(RunFailed):
                await failed.wait()
    lines = [
        (record.levelname, re.sub(r"\d+\.\d{3} s", "T", record.getMessage()))
        for record in caplog.records
        if record.levelno < logging.WARNING  # on a busy machine, a step may take long
    ]
    assert lines == [
        ("INFO", f"run {run.id} of agent 'a' begins"),
        ("DEBUG", f"run {run.id}: step 1 asks the model"),
        ("DEBUG", f"run {run.id}: step 1 was answered: tool-calls, 0 tokens, T"),
        ("DEBUG", f"run {run.id}: call '1' of tool 'look' begins"),
        ("DEBUG", f"run {run.id}: call '1' of tool 'look' ended: ok, T"),
        ("DEBUG", f"run {run.id}: step 2 asks the model"),
        ("DEBUG", f"run {run.id}: step 2 was answered: stop, 3 tokens, T"),
        ("INFO", f"run {run.id} of agent 'a' ended: stop, 2 steps, 3 tokens, T"),
        ("INFO", f"run {failed.id} of agent 'a' begins"),
        ("DEBUG", f"run {failed.id}: step 1 asks the model"),
        ("INFO", f"run {failed.id} of agent 'a' ended: error rate-limit, 1 steps, 0 tokens, T"),
    ]
    assert "s3cret" not in caplog.text


async def test_a_model_that_was_too_slow_is_a_timeout() -> None:
    model = ScriptedModel(["a", ModelError("timeout-first-token", "nothing came")])
    result = await Agent(model=model).run("hi")
    assert (result.finish_reason, result.reason) == ("timeout", "nothing came")


@pytest.mark.parametrize(
    ("limits", "reason", "when"),
    [
        (Limits(run_deadline=5), "the run did not finish within 5 s", 5),
        (Limits(step_deadline=3), "a step did not finish within 3 s", 3),
        (Limits(step_deadline=3, run_deadline=2), "the run did not finish within 2 s", 2),
    ],
)
async def test_deadlines(
    limits: Limits, reason: str, when: float, autojump_clock: trio.testing.MockClock
) -> None:
    begin = trio.current_time()
    result = await Agent(model=ScriptedModel(["a", 100.0]), limits=limits).run("hi")
    assert (result.finish_reason, result.reason, result.text) == ("timeout", reason, "a")
    assert trio.current_time() - begin == when


async def test_a_step_deadline_is_for_each_step(autojump_clock: trio.testing.MockClock) -> None:
    @tool
    async def wait() -> None:
        """Wait."""
        await trio.sleep(2)

    model = ScriptedModel([1.0, call("1", "wait")], [2.0, "done"])
    agent = Agent(model=model, tools=[wait], limits=Limits(step_deadline=3.5))
    assert (await agent.run("hi")).finish_reason == "stop"
    model = ScriptedModel([2.0, call("1", "wait")], [2.0, "done"])
    agent = Agent(model=model, tools=[wait], limits=Limits(step_deadline=3.5))
    result = await agent.run("hi")
    assert result.finish_reason == "timeout"
    assert unpaired_calls(result.messages) is None
    assert result.messages[-1] == ToolMessage("1", "cancelled before it finished", "cancelled")


async def test_the_model_is_told_of_a_tools_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    @tool
    async def wait() -> None:
        """Wait."""
        await trio.sleep_forever()

    model = ScriptedModel([call("1", "wait")], ["too slow"])
    agent = Agent(model=model, tools=[wait], limits=Limits(tool_deadline=7))
    result = await agent.run("hi")
    assert result.finish_reason == "stop"
    assert model.requests[1].messages[-1] == ToolMessage(
        "1", "the tool did not finish within 7 s", "error"
    )


async def test_max_steps_and_budget() -> None:
    @tool
    async def again() -> None:
        """Again."""

    model = ScriptedModel([call("1", "again")], [call("2", "again")])
    result = await Agent(model=model, tools=[again], limits=Limits(max_steps=2)).run("hi")
    assert (result.finish_reason, result.steps) == ("max-steps", 2)
    assert unpaired_calls(result.messages) is None
    model = ScriptedModel(["a", "b", "c", "d", 1000.0])
    result = await Agent(model=model, limits=Limits(max_tokens=3)).run("hi")
    assert (result.finish_reason, result.text) == ("budget", "abc")


async def test_the_model_is_cancelled_when_the_budget_is_spent() -> None:
    cancelled = trio.Event()

    class Stubborn(Model):
        async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
            try:
                while True:
                    await emit(TextPart("x"))
            finally:
                cancelled.set()

    result = await Agent(model=Stubborn(), limits=Limits(max_tokens=5)).run("hi")
    assert result.text == "xxxxx"
    assert cancelled.is_set()


async def test_a_model_that_returns_after_its_budget() -> None:
    class Deaf(Model):
        async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
            with trio.CancelScope(shield=True):
                await emit(TextPart("x"), TextPart("y"))
                await emit(TextPart("late"))
            return ModelFinish("stop")

    result = await Agent(model=Deaf(), limits=Limits(max_tokens=2)).run("hi")
    assert (result.finish_reason, result.text) == ("budget", "xy")


async def test_cancel_while_the_model_speaks() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a", trio.Event()])), "hi")
        await trio.testing.wait_all_tasks_blocked()
        receipt = await run.cancel("user")
        assert receipt == Receipt("cancelled", 4)
        assert await run.cancel("again") == receipt
        result = await run.wait()
        assert (result.finish_reason, result.reason, result.text) == ("cancelled", "user", "a")
        assert types(await read(runtime, run))[-1] == "run-finish"


async def test_cancelled_before_it_could_begin() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a"])), "hi")
        assert (await run.cancel()).outcome == "cancelled"
        assert types(await read(runtime, run)) == ["run-start", "run-finish"]


async def test_cancel_waits_for_a_tools_cleanup_and_closes_every_call() -> None:
    cleaned = False

    @tool
    async def slow() -> None:
        """Slow."""
        nonlocal cleaned
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                for _ in range(10):
                    await trio.lowlevel.checkpoint()
            cleaned = True

    @tool
    async def fast() -> int:
        """Fast."""
        return 1

    model = ScriptedModel([call("1", "slow"), call("2", "fast"), call("3", "slow")])
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model, tools=[slow, fast]), "hi")
        await trio.testing.wait_all_tasks_blocked()
        await run.cancel()
        assert cleaned
        results = [e.tool for e in await read(runtime, run) if isinstance(e, ToolResult)]
        assert [(r.id, r.status) for r in results] == [
            ("2", "ok"),
            ("1", "cancelled"),
            ("3", "cancelled"),
        ]
        assert unpaired_calls((await run.wait()).messages) is None


async def test_a_run_within_a_tool_is_gone_before_the_receipt() -> None:
    gone: list[str] = []

    @tool
    async def work() -> None:
        """Work."""
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                for _ in range(10):
                    await trio.lowlevel.checkpoint()
            gone.append("inner tool")

    inner = Agent(model=ScriptedModel([call("1", "work")]), tools=[work])

    @tool
    async def delegate() -> str:
        """Delegate."""
        return (await inner.run("hi")).text

    outer = Agent(model=ScriptedModel([call("1", "delegate")]), tools=[delegate])
    async with open_runtime() as runtime:
        run = await runtime.start(outer, "hi")
        await trio.testing.wait_all_tasks_blocked()
        await run.cancel()
        assert gone == ["inner tool"]


async def test_tools_see_the_context_of_the_start() -> None:
    variable = contextvars.ContextVar[str]("variable")

    @tool
    async def in_a_task() -> str:
        """Look."""
        return variable.get()

    @tool
    def in_a_thread() -> str:
        """Look."""
        return variable.get()

    model = ScriptedModel([call("1", "in_a_task"), call("2", "in_a_thread")], ["done"])
    variable.set("kept")
    await Agent(model=model, tools=[in_a_task, in_a_thread]).run("hi")
    assert [
        message.content
        for message in model.requests[1].messages
        if isinstance(message, ToolMessage)
    ] == ["kept", "kept"]


@pytest.mark.parametrize("how", ["cancel", "deadline"])
async def test_an_abandoned_tool(how: str) -> None:
    started, go_on, gone = trio.Event(), threading.Event(), threading.Event()

    @tool(abandon=True, deadline=None if how == "cancel" else 0.01)
    def slow() -> None:
        """Slow."""
        if how == "cancel":
            trio.from_thread.run_sync(started.set)
        go_on.wait()
        gone.set()

    model = ScriptedModel([call("1", "slow")], [trio.Event()])
    try:
        async with open_runtime() as runtime:
            run = await runtime.start(Agent(model=model, tools=[slow]), "hi")
            if how == "cancel":
                await started.wait()
            else:
                async with run.subscribe() as events:
                    while not isinstance(await events.receive(), ToolResult):
                        pass
            receipt = await run.cancel()
            assert receipt.abandoned == ("1",)
            assert not gone.is_set()
            [result] = [e.tool for e in await read(runtime, run) if isinstance(e, ToolResult)]
            assert result.status == "unknown"
            assert "outcome is unknown" in result.output
    finally:
        go_on.set()
    await trio.to_thread.run_sync(gone.wait)


async def test_a_sync_tool_is_waited_for_and_hears_of_it() -> None:
    started, was_cancelled = trio.Event(), False

    @tool
    def slow() -> None:
        """Slow."""
        nonlocal was_cancelled
        trio.from_thread.run_sync(started.set)
        while True:
            try:
                trio.from_thread.check_cancelled()
            except trio.Cancelled:
                was_cancelled = True
                raise

    async with open_runtime() as runtime:
        agent = Agent(model=ScriptedModel([call("1", "slow")]), tools=[slow])
        run = await runtime.start(agent, "hi")
        await started.wait()
        receipt = await run.cancel()
        assert was_cancelled
        assert receipt.abandoned == ()


async def test_the_log_bound_leaves_room_for_the_end() -> None:
    limits = RuntimeLimits(max_log_bytes=1024)
    async with open_runtime(limits=limits) as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["x" * 100] * 50)), "hi")
        with pytest.raises(RunFailed, match="log-limit"):
            await run.wait()
        assert (await runtime.store.info(run.id)).size < 2 * 1024
        assert isinstance((await read(runtime, run))[-1], RunError)


@tool
async def get_weather(city: str = "") -> str:
    """Weather."""
    return city


async def test_what_the_provider_wants_back_is_committed_with_the_calls(
    autojump_clock: trio.testing.MockClock,
) -> None:
    appended: list[tuple[list[str], dict[int, bytes]]] = []

    class Noting(StoreProxy):
        async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
            for each in batch:
                named = [json.loads(entry.data)["type"] for entry in each.entries]
                appended.append((named, dict(each.private)))
            return await super().append(batch)

    model = ScriptedModel(
        [
            call("1", "get_weather", city="Oslo"),
            0.1,
            ModelFinish("tool-calls", model="m", provider={"p": ["\ud800", 1]}),
        ],
        ["Cold."],
    )
    async with open_runtime(store=Noting(MemoryStore())) as runtime:
        run = await runtime.start(Agent(model=model, tools=[get_weather]), "hi")
        await run.wait()
    assert (["model-finish", "tool-call"], {4: b'{"p":["?",1]}'}) in appended
    assert sum(bool(private) for _, private in appended) == 1
    said = model.requests[1].messages[1]
    assert isinstance(said, AssistantMessage)
    # What goes back is what a worker that reads it from the log would send.
    assert said.provider == {"p": ["?", 1]}


@pytest.mark.parametrize(
    ("provider", "code"),
    [
        ({"p": "x" * 1024}, "log-limit: what the provider wants back does not fit"),
        ({"p": json.loads("[" * 150 + "]" * 150)}, "bad-response: .* nested too deeply"),
    ],
)
@pytest.mark.parametrize("reason", ["tool-calls", "stop"])
async def test_what_the_provider_wants_back_can_not_be_kept(
    provider: Any, code: str, reason: Any
) -> None:
    limits = RuntimeLimits(max_log_bytes=1024)
    finish = ModelFinish(reason, Usage(1, 2, 3), provider=provider)
    model = ScriptedModel([call("1", "get_weather"), finish])
    async with open_runtime(limits=limits) as runtime:
        run = await runtime.start(Agent(model=model, tools=[get_weather]), "hi")
        with pytest.raises(RunFailed, match=code) as caught:
            await run.wait()
        last = (await read(runtime, run))[-1]
    assert isinstance(last, RunError)
    # It was paid for all the same.
    assert caught.value.result is not None
    assert caught.value.result.usage == last.usage == Usage(1, 2, 3)


async def test_a_call_that_was_opened_is_not_asked_for_again() -> None:
    """Where somebody reads on who can't take it back."""
    opened = ToolInputPart("1", "get_weather", "")
    again = ModelError("odd", "it broke", retryable=True)
    model = ScriptedModel([opened, again], ["never"])
    async with open_runtime() as runtime:
        agent = Agent(model=model, tools=[get_weather])
        run = await runtime.start(agent, "hi", retractable=False)
        with pytest.raises(RunFailed, match="odd"):
            await run.wait()
    assert len(model.requests) == 1


async def test_an_output_beyond_the_log_bound() -> None:
    @tool
    async def big() -> str:
        """Big."""
        return "x" * 2000

    @tool
    async def small() -> str:
        """Small."""
        await trio.testing.wait_all_tasks_blocked()
        return "y"

    limits = RuntimeLimits(max_log_bytes=1024)
    model = ScriptedModel([call("1", "big"), call("2", "small")])
    async with open_runtime(limits=limits) as runtime:
        run = await runtime.start(Agent(model=model, tools=[big, small]), "hi")
        with pytest.raises(RunFailed, match="log-limit: the output of a tool does not fit"):
            await run.wait()
        results = [e.tool for e in await read(runtime, run) if isinstance(e, ToolResult)]
        assert [(r.id, r.status, r.output) for r in results] == [
            ("1", "error", "the output does not fit into the run's log"),
            ("2", "ok", "y"),
        ]


@asynccontextmanager
async def open_far(**limits: Any) -> AsyncIterator[tuple[FaultyStore, Runtime]]:
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store, limits=RuntimeLimits(**limits)) as runtime:
        yield store, runtime


async def test_a_tool_starts_when_its_call_is_committed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    tails: list[int] = []

    @tool
    async def look() -> None:
        """Look."""
        events = await store.read(run.id, 0, 100)
        tails.append(sum(isinstance(entry.event, ToolCall) for entry in events.entries))

    class Asked(ScriptedModel):
        async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
            page = await store.read(run.id, 0, 100)
            started = [isinstance(entry.event, RunStart) for entry in page.entries]
            results = sum(isinstance(entry.event, ToolResult) for entry in page.entries)
            assert started[0]
            assert results == len(self.requests)
            return await super().generate(request, emit)

    async with open_far() as (store, runtime):
        store.delay = 0.1
        model = Asked([call("1", "look")], ["seen"])
        run = await runtime.start(Agent(model=model, tools=[look]), "hi")
        assert (await run.wait()).finish_reason == "stop"
    assert tails == [1]


async def test_a_store_that_is_away_for_too_long(autojump_clock: trio.testing.MockClock) -> None:
    async with open_far(store_patience=2.0, closing_bound=1.0) as (store, runtime):
        run = await runtime.start(Agent(model=ScriptedModel([trio.Event()])), "hi")
        await trio.sleep(1)
        store.away.add("append")
        with pytest.raises(StoreUnavailable):
            await run.cancel()
        with pytest.raises(StoreUnavailable):
            await run.wait()
        assert runtime._live.find(run.id).done
        with run.subscribe() as events:
            await events.receive_batch()
            # No terminal event is invented, and none was promised.
            with trio.move_on_after(0.5) as scope:
                await events.receive()
            assert scope.cancelled_caught
            with pytest.raises(trio.BrokenResourceError):
                await events.receive()
        store.away.clear()
        await trio.sleep(3)
        with run.subscribe() as events:
            while not (last := await events.receive()).terminal:
                pass
        assert isinstance(last, RunFinish)


async def test_a_run_survives_a_store_that_comes_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Nothing is lost while the model goes on; who watches after it has healed sees all."""
    async with open_far(store_patience=2.0) as (store, runtime):
        run = await runtime.start(Agent(model=ScriptedModel(["a", 30.0, "b", 30.0, "c"])), "hi")
        await trio.sleep(29)
        store.away.add("append")
        await trio.sleep(11)
        assert run._feed.failure is not None
        store.away.clear()
        await trio.sleep(5)
        with run.subscribe() as events:
            seen = [event async for event in events]
        assert (await run.wait()).text == "abc"
        assert types(seen)[-2:] == ["step-finish", "run-finish"]


async def test_a_fence_lost_at_an_append(autojump_clock: trio.testing.MockClock) -> None:
    memory = MemoryStore(lease=100)
    async with open_runtime(store=memory) as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a", 1.0, "b", 10.0, "c"])), "hi")
        await trio.sleep(0.8)
        await memory.release(Lease(run.id, 1))
        assert await memory.claim(run.id) is not None
        begin = trio.current_time()
        with pytest.raises(FenceLost):
            await run.wait()
        assert trio.current_time() - begin < 1


async def test_what_utf_8_cant_hold_ends_no_runtime() -> None:
    class Odd(Model):
        async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
            await emit(TextPart("\ud83d"), ToolInputPart("1", "no\ud800", ""))
            raise ModelError("odd", "\udcff")

    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=Odd()), "hi")
        with pytest.raises(RunFailed, match="odd"):
            await run.wait()
        assert isinstance((await read(runtime, run))[-1], RunError)


async def test_a_bug_in_a_run_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(RunFailed, match="internal"):
        await Agent(model=ScriptedModel([KeyError("a bug")])).run("hi")
    assert "KeyError: 'a bug'" in caplog.text


async def test_a_fence_lost_before_a_tool_starts(autojump_clock: trio.testing.MockClock) -> None:
    ran = False

    @tool
    async def never() -> None:
        """Never."""
        nonlocal ran
        ran = True

    memory = MemoryStore(lease=100)
    async with open_runtime(store=FaultyStore(memory)) as runtime:
        agent = Agent(model=ScriptedModel(["a", 1.0, call("1", "never")]), tools=[never])
        run = await runtime.start(agent, "hi")
        await trio.sleep(0.8)
        await memory.release(Lease(run.id, 1))
        assert await memory.claim(run.id) is not None
        with pytest.raises(FenceLost):
            await run.wait()
        assert not ran


async def test_a_model_that_fails_after_the_end_changes_nothing() -> None:
    class Sore(Model):
        async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
            try:
                await emit(TextPart("x"))
            finally:
                raise ModelError("late", "it was cut off")

    result = await Agent(model=Sore(), limits=Limits(max_tokens=1)).run("hi")
    assert (result.finish_reason, result.text) == ("budget", "x")


async def test_nothing_emitted_is_nothing_said(autojump_clock: trio.testing.MockClock) -> None:
    """Empty deltas are no events, so that a failure behind them may pass."""

    class Empty(Model):
        asked = 0

        async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
            self.asked += 1
            await emit()
            await emit(TextPart(""))
            if self.asked == 1:
                raise ModelError("cut-stream", "it broke", retryable=True)
            await emit(TextPart("at last"))
            return ModelFinish("stop")

    model = Empty()
    assert (await Agent(model=model).run("hi")).text == "at last"
    assert model.asked == 2


async def test_what_is_told_of_a_run_that_sleeps(autojump_clock: trio.testing.MockClock) -> None:
    """Its work ends when it sleeps, and begins anew; what was used before counts."""
    ends: list[tuple[str, int, int]] = []

    class Hears(Listener):
        def ended(self, end: Any) -> None:
            if isinstance(end, RunEnd):
                ends.append((end.outcome, end.steps, end.usage.total_tokens))

    asks = [call("1", "refund", amount=5), ModelFinish("tool-calls", Usage(1, 2, 3))]
    model = ScriptedModel(asks, ["done", ModelFinish("stop", Usage(1, 1, 2))])
    async with open_runtime(instruments=[Hears()]) as runtime:
        run = await runtime.start(Agent(model=model, tools=[refund]), "hi")
        await asleep(run)
        assert ends == [("waiting", 1, 3)]
        await run.answer("1", approved=True)
        await run.wait()
    assert ends == [("waiting", 1, 3), ("stop", 2, 5)]


async def test_what_is_handed_over_is_not_ended(autojump_clock: trio.testing.MockClock) -> None:
    store = LastingStore()
    agent = Agent(model=ScriptedModel(["a", trio.Event()], ["b"]), name="quick")
    async with open_runtime(store=store, agents=[agent]) as runtime:
        run = await runtime.start(agent, "hi")
        await told(run, TextDelta)
        await runtime.drain(0)
        with pytest.raises(FenceLost, match="goes on elsewhere"):
            await run.wait()
        info = await store.info(run.id)
    assert (info.active, info.leased, info.parked) == (True, False, False)
    assert info.tail == 3  # All that was said is there, and no closing events.


class Turns(StoreProxy):
    """It tells which turns were written."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.turns: list[bytes] = []

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        self.turns += [each.turn for each in batch if each.turn]
        return await super().append(batch)


async def test_a_turn_is_of_a_run_in_a_thread_that_has_ended(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Not of one that sleeps, nor of one that goes on elsewhere, nor of one in no thread."""
    store = Turns(LastingStore())
    asks = [call("1", "refund", amount=5)]
    agent = Agent(model=ScriptedModel(["a"], asks, ["b", trio.Event()]), name="x", tools=[refund])
    async with open_runtime(store=store, agents=[agent]) as runtime:
        await (await runtime.start(agent, "hi")).wait()
        sleeping = await runtime.start(agent, "hi", thread="t")
        await asleep(sleeping)
        handed = await runtime.start(agent, "hi", thread="u")
        await told(handed, TextDelta)
        await runtime.drain(0)
        assert store.turns == []
        for run, thread in ((sleeping, "t"), (handed, "u")):
            info = await store.thread(None, thread)
            assert (info.active, info.turns) == (run.id, 0)
    async with open_runtime(store=store) as runtime:
        await (await runtime.find(sleeping.id)).cancel()
    assert sorted(b'"refund"' in turn for turn in store.turns) == [False, True]


async def test_a_turn_comes_with_an_end_that_the_store_takes_late(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store, limits=RuntimeLimits(closing_bound=1)) as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a", 5.0])), "hi", thread="t")
        await told(run, TextDelta)
        store.away.add("append")
        with pytest.raises(StoreUnavailable):
            await run.wait()
        assert (await store.thread(None, "t")).active == run.id
        store.away.clear()
        await trio.sleep(5)
        info = await store.thread(None, "t")
        assert (info.head, info.active, info.turns) == (run.id, None, 1)
