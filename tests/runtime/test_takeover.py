"""Runs that nobody works on: who goes on with them, from where, and when nobody does."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from crash_kit import moment, names, of, reasons, result_there, server
from log_kit import check_log
from runtime_kit import endless, logged
from shared_kit import LEASE, orphan, quiet, shared
from store_kit import record
from thread_kit import all_turns, asked, result_of, said, turn

from trio_agent._agent import Agent
from trio_agent._content import File, Text
from trio_agent._errors import FenceLost, RunFailed, ThreadBusy, UnknownRun, UnknownThread
from trio_agent._events import (
    AnyEvent,
    ModelFinished,
    RunError,
    RunFinish,
    RunStart,
    RunWaiting,
    StepDiscard,
    StepFinish,
    StepStart,
    TextDelta,
    ToolAnswered,
    ToolCall,
    ToolRequest,
    ToolResult,
    Usage,
)
from trio_agent._limits import Limits, RuntimeLimits
from trio_agent._log.log import Append, Appended, Entry
from trio_agent._log.run_info import RunInfo
from trio_agent._log.store import Store
from trio_agent._messages import AnyMessage, AssistantMessage, ToolMessage, UserMessage
from trio_agent._run.job import Order
from trio_agent._run.private import encode_private
from trio_agent._run.settings import RunSettings
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import CrashingStore, FaultyStore, Line, ScriptedModel, call, output
from trio_agent.tools._context import ToolContext
from trio_agent.tools._tool import tool


def agent_of(*answers: Sequence[Line], **settings: Any) -> Agent:
    return Agent(model=ScriptedModel(*answers), **{"name": "a", **settings})


@tool
async def hang() -> str:
    """Pay, and never come back."""
    await trio.sleep_forever()
    raise AssertionError


@tool(approval=True)
async def pay(amount: int) -> str:
    """Pay, if somebody allows it."""
    return f"paid {amount}"


def paying(*last: Sequence[Line], **settings: Any) -> Agent:
    return agent_of([call("1", "pay", amount=7)], *(last or (["done"],)), tools=[pay], **settings)


class Dying(CrashingStore):
    """Its server dies when the store has an event of this kind."""

    def __init__(self, store: Store, kind: type[AnyEvent]) -> None:
        super().__init__(store, shared=True)
        self._kind = kind

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        outcomes = await super().append(batch)
        if any(isinstance(entry.event, self._kind) for each in batch for entry in each.entries):
            self.crash()
        return outcomes


async def killed_at(kind: type[AnyEvent], store: Store, agent: Agent, **how: Any) -> str:
    """Start a run on a server that dies at this event; returns the run."""
    async with server(store, agent, door=Dying(store, kind)) as first:
        run_id = (await first.runtime.start(agent, "hi", **how)).id
        await trio.sleep(1000)
        raise AssertionError("it lived")
    return run_id


def kept(agent: Agent) -> bytes:
    """What is kept of a run of this agent, to which somebody said hi."""
    return encode_private(Order(agent), RunSettings(), (UserMessage("hi"),))


async def killed_soon(store: Store, agent: Agent) -> str:
    """Start a run on a server that dies when nothing happens any more; returns the run."""
    async with server(store, agent) as first:
        run_id = (await first.runtime.start(agent, "hi")).id
        await quiet()
        first.door.crash()
    return run_id


class TestWhereItDied:
    async def test_before_the_first_event(self, autojump_clock: trio.testing.MockClock) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hello"])
        async with server(store, agent) as first:
            run = await first.runtime.start(agent, "hi")
            first.door.crash()
        assert await logged(store, run.id) == []
        assert (await result_there(store, run.id, agent)).text == "Hello"
        log = await logged(store, run.id)
        check_log(log)
        # Nobody has read anything that goes on.
        assert names(log)[:2] == ["RunStart", "StepStart"]

    async def test_in_the_middle_of_an_answer(self, autojump_clock: trio.testing.MockClock) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()], ["Hello"])
        run_id = await killed_at(TextDelta, store, agent)
        result = await result_there(store, run_id, agent)
        assert (result.text, result.steps) == ("Hello", 1)
        log = await logged(store, run_id)
        check_log(log)
        assert names(log) == [
            *("RunStart", "StepStart", "TextDelta"),
            *("RunContinued", "StepDiscard"),
            *("StepStart", "TextDelta", "ModelFinished", "StepFinish", "RunFinish"),
        ]
        assert isinstance(discard := log[4], StepDiscard)
        assert (discard.step_number, discard.from_offset) == (1, 2)
        assert discard.reason == "worker-lost"
        assert [start.step_number for start in of(StepStart, log)] == [1, 1]

    async def test_in_a_tool(self, autojump_clock: trio.testing.MockClock) -> None:
        """It may have run: it is not run again, and the model is told that nobody knows."""
        store = MemoryStore(lease=LEASE)
        agent = agent_of([call("1", "hang"), call("2", "hang")], ["done"], tools=[hang])
        run_id = await killed_at(ToolCall, store, agent)
        result = await result_there(store, run_id, agent)
        assert (result.text, result.steps) == ("done", 2)
        log = await logged(store, run_id)
        check_log(log)
        told = [outcome.tool for outcome in of(ToolResult, log)]
        assert [(each.id, each.status) for each in told] == [("1", "unknown"), ("2", "unknown")]
        assert told[0].output == ("the worker was lost during this call: its outcome is unknown")
        assert of(StepDiscard, log) == []

    async def test_in_a_tool_that_may_be_called_twice(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store = MemoryStore(lease=LEASE)
        lives: list[str] = []

        @tool(retry_safe=True)
        async def look(context: ToolContext) -> str:
            """Look."""
            lives.append(context.call_id)
            if len(lives) == 1:
                await trio.sleep_forever()
            return "snow"

        agent = agent_of([call("1", "look"), call("2", "hang")], ["done"], tools=[look, hang])
        run_id = await killed_soon(store, agent)
        assert (await result_there(store, run_id, agent)).text == "done"
        outcomes = [event.tool for event in of(ToolResult, await logged(store, run_id))]
        assert {each.id: each.status for each in outcomes} == {"1": "ok", "2": "unknown"}
        assert lives == ["1", "1"]

    async def test_between_a_result_and_another(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """What has its result has it."""
        store = MemoryStore(lease=LEASE)
        calls: list[str] = []

        @tool
        async def look(context: ToolContext) -> str:
            """Look."""
            calls.append(context.call_id)
            return "snow"

        agent = agent_of([call("1", "look"), call("2", "hang")], ["done"], tools=[look, hang])
        run_id = await killed_at(ToolResult, store, agent)
        await result_there(store, run_id, agent)
        outcomes = [event.tool for event in of(ToolResult, await logged(store, run_id))]
        assert {each.id: each.status for each in outcomes} == {"1": "ok", "2": "unknown"}
        assert calls == ["1"]

    async def test_while_an_answer_is_looked_at(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store = MemoryStore(lease=LEASE)
        seen: list[Any] = []

        async def slow(_: Any, value: list[int]) -> list[int]:
            seen.append(value)
            if len(seen) == 1:
                await trio.sleep_forever()
            return value

        agent = agent_of(output([1, 2]), output=list[int], output_validators=[slow])
        run_id = await killed_soon(store, agent)
        result = await result_there(store, run_id, agent)
        assert (result.output, seen) == ([1, 2], [[1, 2], [1, 2]])
        assert len(agent.model.requests) == 1  # type: ignore[attr-defined]

    async def test_between_two_steps(self, autojump_clock: trio.testing.MockClock) -> None:
        store = MemoryStore(lease=LEASE)

        @tool
        async def look() -> str:
            """Look."""
            return "snow"

        agent = agent_of([call("1", "look")], ["done"], tools=[look])

        class AtTheEnd(Dying):
            """Nothing behind the end of the step is committed with it."""

            async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
                [first] = batch
                events = [entry.event for entry in first.entries]
                if any(isinstance(event, StepFinish) for event in events):
                    end = next(n for n, e in enumerate(events, 1) if isinstance(e, StepFinish))
                    cut = first.entries[:end]
                    batch = [Append(first.run_id, first.fence, cut, first.private)]
                return await super().append(batch)

        async with server(store, agent, door=AtTheEnd(store, StepFinish)) as first:
            run_id = (await first.runtime.start(agent, "hi")).id
            await trio.sleep(1000)
        assert names(await logged(store, run_id))[-1] == "StepFinish"
        result = await result_there(store, run_id, agent)
        assert (result.text, result.steps) == ("done", 2)
        check_log(log := await logged(store, run_id))
        assert of(StepDiscard, log) == []

    async def test_while_it_waited(self, autojump_clock: trio.testing.MockClock) -> None:
        """It is nobody's business then."""
        store, agent = MemoryStore(lease=LEASE), paying()
        async with server(store, agent) as first:
            run = await first.runtime.start(agent, "hi")
            await quiet()
            assert run.status == "waiting"
            first.door.crash()
        async with server(store, agent) as second:
            found = await second.runtime.find(run.id)
            await trio.sleep(100 * LEASE)
            assert found.status == "waiting"
            await found.answer("1", approved=True, by="ann")
            result = await found.wait()
        assert result.text == "done"
        assert await reasons(store, run.id) == ["answered"]
        log = await logged(store, run.id)
        check_log(log)
        assert [event.tool.output for event in of(ToolResult, log)] == ["paid 7"]

    async def test_before_it_slept(self, autojump_clock: trio.testing.MockClock) -> None:
        """It had said that it waits, and was not asleep."""
        store, agent = MemoryStore(lease=LEASE), paying()
        run_id = await killed_at(RunWaiting, store, agent)
        assert not (await store.info(run_id)).parked
        async with server(store, agent) as second:
            await trio.sleep(3 * LEASE)
            found = await second.runtime.find(run_id)
            assert found.status == "waiting"
            await found.answer("1", approved=False)
            await found.wait()
        assert await reasons(store, run_id) == ["worker-lost", "answered"]
        check_log(await logged(store, run_id))

    async def test_with_an_answer_that_it_had_not_taken(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store = MemoryStore(lease=LEASE)
        agent = agent_of(
            [call("1", "pay", amount=7), call("2", "hang")], ["done"], tools=[pay, hang]
        )
        async with server(store, agent) as first:
            run = await first.runtime.start(agent, "hi")
            await moment(run, ToolCall)
            await quiet()
            first.door.crash()
        async with server(store, agent) as second:
            found = await second.runtime.find(run.id)
            await found.answer("1", approved=True)
            await found.wait()
        log = await logged(store, run.id)
        outcomes = [event.tool for event in of(ToolResult, log)]
        assert {each.id: each.status for each in outcomes} == {"1": "ok", "2": "unknown"}
        assert len(of(ToolAnswered, log)) == 1


class TestWhoGoesOn:
    async def test_a_worker_that_was_stopped_hands_over(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store = MemoryStore(lease=LEASE)
        agent = agent_of(["Hel", trio.Event()], ["Hello"])
        async with server(store, agent) as first, server(store, agent) as second:
            run = await first.runtime.start(agent, "hi")
            await quiet()
            begin = trio.current_time()
            await first.runtime.drain(5)
            # Nothing says that it is over, and nobody has to wait for the lease.
            assert of(RunError, log := await logged(store, run.id)) == []
            assert of(RunFinish, log) == []
            assert (await (await second.runtime.find(run.id)).wait()).text == "Hello"
            assert trio.current_time() - begin < 5 + LEASE / 2
        assert await reasons(store, run.id) == ["handed-over"]
        check_log(log := await logged(store, run.id))
        assert [event.reason for event in of(StepDiscard, log)] == ["handed-over"]

    async def test_who_knows_the_agent(self, autojump_clock: trio.testing.MockClock) -> None:
        """The other one leaves it alone, for six leases."""
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()], ["Hello"])
        async with server(store, agent_of(name="b")):
            run_id = await killed_at(TextDelta, store, agent)
            await trio.sleep(5 * LEASE)
            assert (await store.info(run_id)).active
            assert (await result_there(store, run_id, agent)).text == "Hello"

    async def test_nobody_knows_the_agent(self, autojump_clock: trio.testing.MockClock) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()], name="gone")
        run_id = await killed_at(TextDelta, store, agent)
        died = trio.current_time()
        with pytest.raises(RunFailed) as caught:
            await result_there(store, run_id, agent_of(name="b"))
        # Its lease lapsed first.
        assert 7 * LEASE - 1 <= trio.current_time() - died <= 7 * LEASE + 3
        assert caught.value.code == "worker-lost"
        assert caught.value.message == (
            "the process that worked on this run is gone, and the agent 'gone' is not known here"
        )
        check_log(await logged(store, run_id))

    async def test_where_there_are_no_others_nobody_waits_for_them(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()], name="gone")
        run_id = await killed_at(TextDelta, store, agent)
        begin = trio.current_time()
        with pytest.raises(RunFailed, match="not known here"):
            await result_there(store, run_id, shared=False)
        assert trio.current_time() - begin <= LEASE + 2

    @pytest.mark.parametrize(
        "change", [{"instructions": "other"}, {"version": "2"}, {"tools": [hang]}]
    )
    async def test_the_agent_is_another_one_now(
        self, change: dict[str, Any], autojump_clock: trio.testing.MockClock
    ) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()])
        run_id = await killed_at(TextDelta, store, agent)
        with pytest.raises(RunFailed, match="and the agent 'a' is another one now"):
            await result_there(store, run_id, attrs.evolve(agent, **change))
        assert await reasons(store, run_id) == []

    async def test_its_model_may_be_another_one(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()])
        run_id = await killed_at(TextDelta, store, agent)
        other = attrs.evolve(agent, model=ScriptedModel(["Hello"]))
        assert (await result_there(store, run_id, other)).text == "Hello"

    async def test_its_dependencies_are_gone(self, autojump_clock: trio.testing.MockClock) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()])
        run_id = await killed_at(TextDelta, store, agent, deps="a connection")
        with pytest.raises(RunFailed, match="its dependencies were those of the process"):
            await result_there(store, run_id, agent)

    async def test_dependencies_that_it_opens_are_opened_again(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store = MemoryStore(lease=LEASE)
        opened: list[str] = []

        @asynccontextmanager
        async def open_deps(_: Any) -> AsyncIterator[str]:
            opened.append("opened")
            yield "deps"
            opened.append("closed")

        @tool
        async def look(context: ToolContext[str]) -> str:
            """Look."""
            return context.deps

        agent = agent_of(
            ["Hel", trio.Event()], [call("1", "look")], ["x"], tools=[look], open_deps=open_deps
        )
        run_id = await killed_at(TextDelta, store, agent)
        await result_there(store, run_id, agent)
        assert opened == ["opened", "opened", "closed"]
        [outcome] = of(ToolResult, await logged(store, run_id))
        assert outcome.tool.output == "deps"

    async def test_what_is_kept_of_it_can_not_be_read(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store = MemoryStore(lease=LEASE)
        await store.create(record("r", agent="a", private=b'{"messages":3}'))
        with pytest.raises(RunFailed, match="and what was kept of it can't be read"):
            await result_there(store, "r", agent_of(), shared=False)

    async def test_an_agent_whose_runs_are_not_to_go_on(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store = MemoryStore(lease=LEASE)
        agent = agent_of(["Hel", trio.Event()], on_worker_lost="end")
        run_id = await killed_at(TextDelta, store, agent)
        with pytest.raises(RunFailed, match=r"^worker-lost: .*is gone$"):
            await result_there(store, run_id, agent)
        assert await reasons(store, run_id) == []
        check_log(await logged(store, run_id))

    async def test_it_sleeps_and_goes_on_when_it_is_answered_all_the_same(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """Nobody was lost."""
        store, agent = MemoryStore(lease=LEASE), paying(on_worker_lost="end")
        async with server(store, agent) as first:
            run = await first.runtime.start(agent, "hi")
            await quiet()
            first.door.crash()
        async with server(store, agent) as second:
            found = await second.runtime.find(run.id)
            await found.answer("1", approved=True)
            assert (await found.wait()).text == "done"

    async def test_it_is_told_what_it_was_told_before(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """Instructions are rendered once, also where UTF-8 has no word for them."""
        store = MemoryStore(lease=LEASE)
        told: list[str] = []

        def instruct(_: Any) -> str:
            told.append(f"\ud800 {len(told)}")
            return told[-1]

        agent = agent_of(["Hel", trio.Event()], ["Hello"], instructions=instruct)
        run_id = await killed_at(TextDelta, store, agent)
        assert (await result_there(store, run_id, agent)).text == "Hello"
        requests = agent.model.requests  # type: ignore[attr-defined]
        assert [request.instructions for request in requests] == ["\ud800 0"] * 2

    async def test_the_settings_of_the_run_go_with_it(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store = MemoryStore(lease=LEASE)
        agent = agent_of(["Hel", trio.Event()], ["Hello", 100.0], options={"seed": 1})
        run_id = await killed_at(
            TextDelta,
            store,
            agent,
            options={"seed": 2},
            limits={"step_deadline": 30},
            metadata={"n": 1},
            owner="ann",
            claims={"plan": "free"},
        )
        result = await result_there(store, run_id, agent)
        assert (result.finish_reason, result.text) == ("timeout", "Hello")
        assert agent.model.requests[1].options == {"seed": 2}  # type: ignore[attr-defined]


class TestWhatComesFirst:
    async def test_a_cancel(self, autojump_clock: trio.testing.MockClock) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()], ["Hello"])
        run_id = await killed_at(TextDelta, store, agent)
        await store.request_cancel(run_id, "enough")
        result = await result_there(store, run_id, agent)
        assert (result.finish_reason, result.reason) == ("cancelled", "enough")
        assert len(agent.model.requests) == 1  # type: ignore[attr-defined]
        check_log(await logged(store, run_id))

    @pytest.mark.parametrize("known", [True, False])
    async def test_a_cancel_of_a_run_that_sleeps_takes_no_agent(
        self, known: bool, autojump_clock: trio.testing.MockClock
    ) -> None:
        store, agent = MemoryStore(lease=LEASE), paying()
        async with server(store, agent) as first:
            run = await first.runtime.start(agent, "hi")
            await quiet()
            first.door.crash()
        async with server(store, *([agent] if known else [])) as second:
            begin = trio.current_time()
            found = await second.runtime.find(run.id)
            assert (await found.cancel("enough")).outcome == "cancelled"
            assert trio.current_time() - begin < LEASE
        check_log(log := await logged(store, run.id))
        assert [event.tool.status for event in of(ToolResult, log)] == ["cancelled"]

    async def test_a_cancel_that_comes_between_the_look_and_the_claim(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()], ["Hello"])
        run_id = await killed_at(TextDelta, store, agent)

        class Late(CrashingStore):
            async def claim(self, run_id: str) -> Any:
                await store.request_cancel(run_id, "just now")
                return await super().claim(run_id)

        result = await result_there(store, run_id, agent, door=Late(store, shared=True))
        assert (result.finish_reason, result.reason) == ("cancelled", "just now")
        assert len(agent.model.requests) == 1  # type: ignore[attr-defined]

    async def test_an_end_that_may_be_lost(self, autojump_clock: trio.testing.MockClock) -> None:
        class Torn(MemoryStore):
            torn = False

            async def info(self, run_id: str) -> RunInfo:
                return attrs.evolve(await super().info(run_id), torn=self.torn)

        store, agent = Torn(lease=LEASE), agent_of(["Hel", trio.Event()], ["Hello"])
        run_id = await killed_at(TextDelta, store, agent)
        store.torn = True
        with pytest.raises(RunFailed, match="log-lost: the machine died") as caught:
            await result_there(store, run_id, agent)
        assert caught.value.code == "log-lost"
        assert len(agent.model.requests) == 1  # type: ignore[attr-defined]

    @pytest.mark.parametrize("data", [b"", b"{", b'{"type":"tool-call"}'])
    async def test_a_log_that_can_not_be_read(
        self, data: bytes, autojump_clock: trio.testing.MockClock
    ) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()], ["Hello"])
        run_id = await killed_at(TextDelta, store, agent)
        entries = store._runs[run_id].log.entries
        entries[1] = Entry(2, data, False)
        with pytest.raises(RunFailed, match="and its log can't be read"):
            await result_there(store, run_id, agent)
        assert len(agent.model.requests) == 1  # type: ignore[attr-defined]
        assert not (await store.info(run_id)).active

    async def test_losses_in_a_row(self, autojump_clock: trio.testing.MockClock) -> None:
        """What kills one server after the other is stopped."""
        store = MemoryStore(lease=LEASE)
        doors: list[CrashingStore] = []

        @tool(retry_safe=True)
        async def kill() -> None:
            """Kill the server."""
            doors[-1].crash()
            await trio.sleep_forever()

        agent = agent_of([call("1", "kill")], tools=[kill], limits=Limits(continuations=2))
        run_id = ""
        while not doors or doors[-1].crashed:
            doors.append(CrashingStore(store, shared=True))
            async with server(store, agent, door=doors[-1]) as one:
                if not run_id:
                    run_id = (await one.runtime.start(agent, "hi")).id
                with pytest.raises(RunFailed, match="its worker was lost 3 times in a row"):
                    await (await one.runtime.find(run_id)).wait()
        assert len(doors) == 4
        check_log(log := await logged(store, run_id))
        assert isinstance(log[-1], RunError)
        assert log[-1].error.code == "worker-lost"
        assert await reasons(store, run_id) == ["worker-lost"] * 3
        assert [event.tool.status for event in of(ToolResult, log)] == ["unknown"]

    async def test_losses_that_something_comes_between(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store = MemoryStore(lease=LEASE)
        hung: list[Line] = ["x", trio.Event()]
        answers = [part for n in range(4) for part in (hung, [call(str(n), "look")])]

        @tool
        async def look() -> str:
            """Look."""
            return "snow"

        agent = agent_of(*answers, ["done"], tools=[look], limits=Limits(continuations=1))
        run_id = await killed_at(TextDelta, store, agent)
        for _ in range(3):
            async with server(store, agent, door=Dying(store, TextDelta)):
                await trio.sleep(1000)
        assert (await result_there(store, run_id, agent)).text == "done"
        assert await reasons(store, run_id) == ["worker-lost"] * 4


class TestPlaces:
    async def test_who_has_none_leaves_it_alone_and_takes_it_later(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()], ["Hello"])
        run_id = await killed_at(TextDelta, store, agent)
        limits = RuntimeLimits(max_streams=1)
        async with server(store, agent, limits=limits) as second:
            busy = await second.runtime.start(endless(), "hi")
            await trio.sleep(5 * LEASE)
            info = await store.info(run_id)
            assert (info.leased, info.fence, info.tail) == (False, 1, 3)
            await busy.cancel()
            found = await second.runtime.find(run_id)
            assert (await found.wait()).text == "Hello"
            assert second.runtime.statistics().active == 0

    async def test_a_claim_that_comes_to_nothing_gives_its_place_back(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()], ["Hello"])
        run_id = await killed_at(TextDelta, store, agent)
        await trio.sleep(2 * LEASE)
        for operation in ("claim", "read_private", "read", "append"):
            away = FaultyStore(store)
            away.away.add(operation)
            async with server(away, agent) as second:
                await trio.sleep(LEASE)
                assert second.runtime.statistics().active == 0
                # What was claimed was let go: somebody else may have it at once.
                assert not (await store.info(run_id)).leased
                second.door.crash()
        assert (await result_there(store, run_id, agent)).text == "Hello"

    async def test_a_claim_to_end_it_that_comes_to_nothing_is_let_go(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """Where leases don't end by themselves, nobody could claim it any more."""
        store = MemoryStore(lease=1e9)
        lease = (await store.create(record("r"))).lease
        assert lease is not None
        await store.release(lease)
        away = FaultyStore(store)
        away.away.add("append")
        async with server(away, shared=False) as other:
            await trio.sleep(10.5)
            assert (await store.info("r")).fence > 2
            away.away.clear()
            with pytest.raises(RunFailed, match="worker-lost"), trio.fail_after(10):
                await (await other.runtime.find("r")).wait()

    async def test_who_lost_the_claim_has_its_place_again(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()], ["Hello", 50.0])
        run_id = await killed_at(TextDelta, store, agent)
        slow = FaultyStore(store)
        slow.delay = 0.1
        limits = RuntimeLimits(max_streams=1)
        async with (
            server(slow, agent, limits=limits) as second,
            server(slow, agent, limits=limits) as third,
        ):
            await trio.sleep(2 * LEASE)
            active = [each.runtime.statistics().active for each in (second, third)]
            assert sorted(active) == [0, 1]
            slow.delay = 0
            await (await second.runtime.find(run_id)).wait()
        assert await reasons(store, run_id) == ["worker-lost"]

    async def test_runs_that_go_on_are_among_those_that_are_active(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()], ["x", 50.0])
        run_id = await killed_at(TextDelta, store, agent)
        async with server(store, agent, limits=RuntimeLimits(max_streams=1)) as second:
            await trio.sleep(2 * LEASE)
            assert second.runtime.statistics().active == 1
            await (await second.runtime.find(run_id)).wait()


class TestDraining:
    async def test_a_run_that_sleeps_is_not_waited_for(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store, agent = MemoryStore(lease=LEASE), paying()
        async with server(store, agent) as first:
            run = await first.runtime.start(agent, "hi")
            await quiet()
            begin = trio.current_time()
            await first.runtime.drain(1000)
            assert trio.current_time() == begin
            assert run.status == "waiting"
        info = await store.info(run.id)
        assert info.parked
        async with server(store, agent) as second:
            found = await second.runtime.find(run.id)
            await found.answer("1", approved=True)
            assert (await found.wait()).text == "done"

    @pytest.mark.parametrize(
        ("known", "settings", "how"),
        [
            (False, {}, {}),
            (True, {"on_worker_lost": "end"}, {}),
            (True, {}, {"deps": "a connection"}),
        ],
    )
    async def test_who_can_not_go_on_elsewhere_is_cancelled(
        self,
        known: bool,
        settings: dict[str, Any],
        how: dict[str, Any],
        autojump_clock: trio.testing.MockClock,
    ) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()], **settings)
        async with server(store, *([agent] if known else [])) as first:
            run = await first.runtime.start(agent, "hi", **how)
            await quiet()
            await first.runtime.drain(1)
            result = await run.wait()
        assert (result.finish_reason, result.reason) == ("cancelled", "the runtime was drained")

    async def test_without_another_server_it_waits_for_the_next_start(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()], ["Hello"])
        async with server(store, agent, shared=False) as first:
            run = await first.runtime.start(agent, "hi")
            await quiet()
            await first.runtime.drain(1)
            with pytest.raises(FenceLost, match="goes on elsewhere"):
                await run.wait()
        await trio.sleep(1000)
        info = await store.info(run.id)
        assert (info.active, info.leased) == (True, False)
        assert (await result_there(store, run.id, agent, shared=False)).text == "Hello"

    async def test_it_takes_none_over(self, autojump_clock: trio.testing.MockClock) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()], ["Hello"])
        async with server(store, agent) as second:
            await second.runtime.drain(0)
            run_id = await killed_at(TextDelta, store, agent)
            await trio.sleep(10 * LEASE)
            assert await reasons(store, run_id) == []
            second.door.crash()
        assert (await result_there(store, run_id, agent)).text == "Hello"

    async def test_in_memory_all_are_cancelled(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        agent = agent_of(["Hel", trio.Event()])
        async with open_runtime(agents=[agent]) as runtime:
            run = await runtime.start(agent, "hi")
            await quiet()
            await runtime.drain(1)
            assert (await run.wait()).reason == "the runtime was drained"


class TestSleepInMemory:
    """What a store loses with its process, nobody could answer."""

    async def test_it_is_cancelled_when_the_runtime_closes(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store, agent = MemoryStore(), paying()
        async with open_runtime(store=store) as runtime:
            runs = [await runtime.start(paying(), "hi") for _ in range(2)]
            await quiet()
            assert [run.status for run in runs] == ["waiting", "waiting"]
        assert runs[0].status == "cancelled"
        for run in runs:
            check_log(log := await logged(store, run.id))
            assert isinstance(log[-1], RunFinish)
            assert log[-1].run.reason == "the runtime closes"
        assert agent.name == "a"

    async def test_who_waits_for_it_learns_of_it(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        results: list[Any] = []
        async with trio.open_nursery() as nursery, open_runtime() as runtime:
            run = await runtime.start(paying(), "hi")

            async def wait() -> None:
                results.append(await run.wait())

            nursery.start_soon(wait)
            await quiet()
        assert results[0].finish_reason == "cancelled"

    async def test_one_that_is_answered_goes_on_with_what_it_had(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """The agent has no name here, and its dependencies are nobody else's."""
        seen: list[object] = []

        @tool(approval=True)
        async def use(context: ToolContext[object]) -> str:
            """Use it."""
            seen.append(context.deps)
            return "used"

        deps = object()
        agent = agent_of([call("1", "use")], ["done"], tools=[use])
        async with open_runtime() as runtime:
            run = await runtime.start(agent, "hi", deps=deps)
            await quiet()
            assert run.status == "waiting"
            await run.answer("1", approved=True)
            assert (await run.wait()).text == "done"
            assert runtime.statistics().active == 0
        assert seen == [deps]

    async def test_one_that_ended_is_left_alone(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store = FaultyStore(MemoryStore())
        async with open_runtime(store=store) as runtime:
            run = await runtime.start(paying(), "hi")
            await quiet()
            await run.answer("1", approved=True)
            await run.wait()
            store.calls.clear()
        assert not store.calls["request_cancel"]


async def test_a_run_without_a_record_to_read_is_left_until_there_is_one(
    caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    store, agent = MemoryStore(lease=LEASE), agent_of(["Hel", trio.Event()], ["Hello"])
    run_id = await killed_at(TextDelta, store, agent)
    away = FaultyStore(store)
    away.away |= {"info"}
    async with server(away, agent) as second:
        await trio.sleep(10 * LEASE)
        assert (await store.info(run_id)).fence == 1
        away.away.clear()
        assert (await (await second.runtime.find(run_id)).wait()).text == "Hello"
    assert "could not be taken over, or closed" in caplog.text


async def test_a_run_that_is_removed_meanwhile(
    caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    class Stale(MemoryStore):
        async def orphans(self, after: str, limit: int) -> Sequence[str]:
            found = await super().orphans(after, limit)
            return found if after else ["gone", *found]

    store = Stale(lease=LEASE)
    await orphan(store, "r")
    caplog.set_level("INFO")
    async with server(store, shared=False):
        await trio.sleep(LEASE)
    assert "run gone was removed meanwhile" in caplog.text
    assert not (await store.info("r")).active


class TestRaces:
    async def test_several_want_to_end_it(self, autojump_clock: trio.testing.MockClock) -> None:
        store = MemoryStore(lease=LEASE)
        agent = agent_of(["Hel", trio.Event()])
        run_id = await killed_at(TextDelta, store, agent)
        # With a delay, so that each looks before one has claimed.
        async with shared(3, store=store, delay=0.1) as s:
            found = await s.runtimes[0].find(run_id)
            with pytest.raises(RunFailed, match="worker-lost"):
                await found.wait()
            await trio.sleep(3 * LEASE)
            events = await logged(store, run_id)
            assert [event.terminal for event in events] == [False, False, False, True]
            assert sum(door.calls["append"] for door in s.doors) == 1

    @pytest.mark.parametrize("knowing", [2, 3])
    async def test_several_want_to_go_on_with_it(
        self, knowing: int, autojump_clock: trio.testing.MockClock
    ) -> None:
        store = MemoryStore(lease=LEASE)
        agent = agent_of(["Hel", trio.Event()], ["Hel", 1.0, "lo"], ["nobody asks for this"])
        run_id = await killed_at(TextDelta, store, agent)
        slow = FaultyStore(store)
        slow.delay = 0.1
        async with AsyncExitStack() as stack:
            for _ in range(knowing):
                one = await stack.enter_async_context(server(slow, agent))
            assert (await (await one.runtime.find(run_id)).wait()).text == "Hello"
        assert await reasons(store, run_id) == ["worker-lost"]
        assert len(agent.model.requests) == 2  # type: ignore[attr-defined]

    async def test_a_runtime_takes_none_of_its_own(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """Where there is no other, its leases may lapse."""
        store = FaultyStore(MemoryStore(lease=LEASE))
        agent = agent_of(["Hel", trio.Event()])
        async with server(store, agent, shared=False) as one:
            run = await one.runtime.start(agent, "hi")
            await quiet()
            store.away.add("renew")
            await trio.sleep(6 * LEASE)
            assert not (await store.info(run.id)).leased
            assert run.status == "active"
            store.away.clear()
            await trio.sleep(LEASE / 2)
            assert (await store.info(run.id)).leased
            assert (await run.cancel()).outcome == "cancelled"
        assert await reasons(store, run.id) == []

    async def test_what_was_let_go_of_is_taken_at_once(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store, agent = MemoryStore(lease=1000), agent_of(["Hel"])
        async with server(store, agent) as one:
            lease = (await store.create(record("r", agent="a", private=kept(agent)))).lease
            assert lease is not None
            begin = trio.current_time()
            await store.release(lease)
            assert (await (await one.runtime.find("r")).wait()).text == "Hel"
            assert trio.current_time() - begin <= 2


async def test_a_log_that_makes_no_sense_ends_and_harms_nobody(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Such as one with a call that is there twice, whoever wrote that."""
    store, agent = MemoryStore(lease=LEASE), agent_of(["Hel"], tools=[hang])
    lease = (await store.create(record("r", agent="a", private=kept(agent)))).lease
    assert lease is not None
    twice = ToolCall(at=0, tool=ToolRequest("1", "hang", {}))
    finished = ModelFinished(at=0, step_number=1, model="m", reason="tool-calls", usage=Usage())
    start, step = RunStart(at=0, run_id="r", agent="a"), StepStart(at=0, step_number=1)
    events: list[AnyEvent] = [start, step, finished, twice, twice]
    await store.append([Append("r", 1, [Entry.of(n, e) for n, e in enumerate(events, 1)])])
    await store.release(lease)
    async with server(store, agent) as one:
        other = await one.runtime.start(endless(), "hi")
        with pytest.raises(RunFailed, match="its log can't be read"):
            await (await one.runtime.find("r")).wait()
        assert other.status == "active"
        await other.cancel()


class Cutting(Dying):
    """As `Dying`, but nothing behind that event is there, though it came with it."""

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        [first] = batch
        kinds = [isinstance(entry.event, self._kind) for entry in first.entries]
        if any(kinds):
            cut = first.entries[: kinds.index(True) + 1]
            batch = [Append(first.run_id, first.fence, cut, first.private, first.turn)]
        return await super().append(batch)


@tool
async def seek() -> str:
    """Seek."""
    return "found"


SOUGHT = AssistantMessage("", (ToolRequest("1", "seek", {}),))
HUNG = AssistantMessage("", (ToolRequest("1", "hang", {}),))
NOBODY_KNOWS = ToolMessage(
    "1", "the worker was lost during this call: its outcome is unknown", "unknown"
)
UNWAITED = ToolMessage(
    "1", "nobody waited for the end of this call: its outcome is unknown", "unknown"
)
BEFORE = turn("1st", "one")
HI = UserMessage("hi")


async def killed_in_thread(store: Store, agent: Agent, door: CrashingStore, **how: Any) -> str:
    """Start a run behind another one, on a server that dies in it."""
    async with open_runtime(store=store) as runtime:
        await said(runtime, "1st", "one", **how)
    run_id = ""
    async with server(store, agent, door=door) as first:
        run_id = (await first.runtime.start(agent, "hi", thread="t", **how)).id
        await trio.sleep(1000)
        raise AssertionError("it lived")
    return run_id


class TestThreads:
    @pytest.mark.parametrize(
        ("kind", "answers", "adds", "requests"),
        [
            (RunStart, [["done"]], [AssistantMessage("done")], [[]]),
            (StepStart, [["x"], ["done"]], [AssistantMessage("done")], [[], []]),
            (TextDelta, [["a", trio.Event()], ["done"]], [AssistantMessage("done")], [[], []]),
            (
                ToolCall,
                [[call("1", "hang")], ["done"]],
                [HUNG, NOBODY_KNOWS, AssistantMessage("done")],
                [[], [HUNG, NOBODY_KNOWS]],
            ),
            (
                StepFinish,
                [[call("1", "seek")], ["done"]],
                [SOUGHT, ToolMessage("1", "found"), AssistantMessage("done")],
                [[], [SOUGHT, ToolMessage("1", "found")]],
            ),
            (RunFinish, [["done"]], [AssistantMessage("done")], [[]]),
        ],
    )
    async def test_who_goes_on_has_what_was_said_before(
        self,
        kind: type[AnyEvent],
        answers: list[list[Line]],
        adds: list[AnyMessage],
        requests: list[list[AnyMessage]],
        autojump_clock: trio.testing.MockClock,
    ) -> None:
        store = MemoryStore(lease=LEASE)
        agent = agent_of(*answers, tools=[hang, seek])
        run_id = await killed_in_thread(store, agent, Cutting(store, kind))
        thread = await store.thread(None, "t")
        if kind is RunFinish:  # The turn came with it, in one act.
            assert (thread.head, thread.active, thread.turns) == (run_id, None, 2)
        else:
            assert (thread.active, thread.turns) == (run_id, 1)
        result = await result_there(store, run_id, agent)
        assert result.messages == (*BEFORE, HI, *adds)
        assert [request.messages for request in agent.model.requests] == [  # type: ignore[union-attr]
            (*BEFORE, HI, *each) for each in requests
        ]
        thread = await store.thread(None, "t")
        assert (thread.head, thread.active, thread.turns) == (run_id, None, 2)
        assert (await all_turns(store))[run_id] == (HI, *adds)
        async with open_runtime(store=store) as runtime:
            assert await asked(runtime) == result.messages

    async def test_before_the_first_event(self, autojump_clock: trio.testing.MockClock) -> None:
        store, agent = MemoryStore(lease=LEASE), agent_of(["done"])
        async with open_runtime(store=store) as runtime:
            await said(runtime, "1st", "one")
        async with server(store, agent) as first:
            run = await first.runtime.start(agent, "hi", thread="t")
            first.door.crash()
        result = await result_there(store, run.id, agent)
        assert result.messages == (*BEFORE, HI, AssistantMessage("done"))
        [start] = of(RunStart, await logged(store, run.id))
        assert start.thread == "t"

    @pytest.mark.parametrize(
        ("kind", "answers", "adds"),
        [
            (RunStart, [[trio.Event()]], []),
            (StepStart, [[trio.Event()]], []),
            (TextDelta, [["a", trio.Event()]], [AssistantMessage("a")]),
            (ToolCall, [["a", call("1", "hang")]], [HUNG, UNWAITED]),
        ],
    )
    @pytest.mark.parametrize("how", ["lost", "cancelled", "unknown", "log-lost"])
    async def test_who_ends_it_keeps_what_it_has_said(
        self,
        kind: type[AnyEvent],
        answers: list[list[Line]],
        adds: list[AnyMessage],
        how: str,
        autojump_clock: trio.testing.MockClock,
    ) -> None:
        class Torn(MemoryStore):
            torn = False

            async def info(self, run_id: str) -> RunInfo:
                return attrs.evolve(await super().info(run_id), torn=self.torn)

        if adds and isinstance(adds[0], AssistantMessage) and adds[0].tool_calls:
            adds = [AssistantMessage("a", adds[0].tool_calls), *adds[1:]]
        store = Torn(lease=LEASE)
        settings: dict[str, Any] = {"on_worker_lost": "end"} if how == "lost" else {}
        agent = agent_of(*answers, tools=[hang], **settings)
        run_id = await killed_in_thread(store, agent, Dying(store, kind), owner="me")
        first = (await store.thread("me", "t")).head
        if how == "cancelled":
            await store.request_cancel(run_id, "enough")
        store.torn = how == "log-lost"
        known = [] if how == "unknown" else [agent]
        async with server(store, *known, shared=False) as other:
            result = await result_of(await other.runtime.find(run_id))
        assert result.finish_reason == ("cancelled" if how == "cancelled" else "error")
        assert result.messages == (*BEFORE, HI, *adds)
        thread = await store.thread("me", "t")
        assert (thread.head, thread.active) == (run_id if adds else first, None)
        assert (await all_turns(store, owner="me")).get(run_id, ()) == ((HI, *adds) if adds else ())

    @pytest.mark.parametrize("damaged", ["log", "record", "history", "file"])
    async def test_what_can_not_be_read(
        self, damaged: str, autojump_clock: trio.testing.MockClock
    ) -> None:
        """It ends, and its thread is free; what of it can be read is kept."""
        store = MemoryStore(lease=LEASE)
        agent = agent_of(["a", trio.Event()], ["b"])
        given = UserMessage((Text("what?"), File("image/png", data=b"PNG")))
        async with open_runtime(store=store) as runtime:
            first = await said(runtime, "1st", "one")
        run_id = ""
        async with server(store, agent, door=Dying(store, TextDelta)) as one:
            run_id = (await one.runtime.start(agent, messages=[given], thread="t")).id
            await trio.sleep(1000)
        run, thread = store._runs[run_id], store._threads._threads[None, "t"]
        match damaged:
            case "log":
                run.log.entries[1] = Entry(2, b"{", False)
            case "record":
                run.log.private[0] = b"?"
            case "history":
                thread.turns[first.id] = attrs.evolve(thread.turns[first.id], data=b"?")
            case "file":
                run.blobs.clear()
        async with server(store, agent, shared=False) as other:
            with pytest.raises(RunFailed):
                await (await other.runtime.find(run_id)).wait()
        info = await store.thread(None, "t")
        assert info.active is None
        assert len(agent.model.requests) == 1  # type: ignore[union-attr]
        if damaged == "history":
            thread.turns[first.id] = attrs.evolve(thread.turns[first.id], data=b"[]")
        adds: dict[str, list[AnyMessage]] = {
            "log": [],
            "record": [
                UserMessage("(what was said here can't be read any more)"),
                AssistantMessage("a"),
            ],
            "history": [given, AssistantMessage("a")],
            "file": [
                UserMessage((Text("what?"), Text("(a file that is there no more)"))),
                AssistantMessage("a"),
            ],
        }
        assert (await all_turns(store)).get(run_id, ()) == tuple(adds[damaged])
        async with open_runtime(store=store) as runtime:
            before = () if damaged == "history" else BEFORE
            assert await asked(runtime) == (*before, *adds[damaged])

    @pytest.mark.parametrize("gone", ["thread", "turn"])
    async def test_what_was_said_before_is_gone(
        self, gone: str, autojump_clock: trio.testing.MockClock
    ) -> None:
        """No store lets that happen. If it does, the run ends, and is not taken over for ever."""
        store = MemoryStore(lease=LEASE)
        agent = agent_of(["a", trio.Event()], ["b"])
        run_id = await killed_in_thread(store, agent, Dying(store, TextDelta))

        class Gone(CrashingStore):
            async def turns(self, owner: Any, thread: str, last: str, limit: int) -> Any:
                raise UnknownThread(thread) if gone == "thread" else UnknownRun(last)

        with pytest.raises(RunFailed, match="and its log can't be read"):
            await result_there(store, run_id, agent, door=Gone(store))
        assert (await store.thread(None, "t")).active is None

    async def test_files_that_were_said_before_are_in_what_goes_on(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store = MemoryStore(lease=LEASE)
        agent = agent_of(["a", trio.Event()], ["b"])
        given = UserMessage((Text("what?"), File("image/png", data=b"PNG")))
        run_id = ""
        async with open_runtime(store=store) as runtime:
            first = await runtime.start(agent_of(["x"]), messages=[given], thread="t")
            await first.wait()
            await runtime.delete(first.id)
        async with server(store, agent, door=Dying(store, TextDelta)) as one:
            run_id = (await one.runtime.start(agent, "hi", thread="t")).id
            await trio.sleep(1000)
        await result_there(store, run_id, agent)
        requests = agent.model.requests  # type: ignore[union-attr]
        assert [request.messages for request in requests] == [
            (given, AssistantMessage("x"), HI)
        ] * 2

    async def test_a_drain_hands_it_over_and_its_thread_with_it(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        store = MemoryStore(lease=LEASE)
        agent = agent_of(["a", trio.Event()], ["b"])
        async with server(store, agent) as first, server(store, agent) as second:
            await said(first.runtime, "1st", "one")
            run = await first.runtime.start(agent, "hi", thread="t")
            await quiet()
            await first.runtime.drain(5)
            with pytest.raises(ThreadBusy):
                await second.runtime.start(agent, "hm", thread="t")
            result = await (await second.runtime.find(run.id)).wait()
        assert result.messages == (*BEFORE, HI, AssistantMessage("b"))
        assert await reasons(store, run.id) == ["handed-over"]
        assert (await all_turns(store))[run.id] == result.messages[2:]

    async def test_who_wants_the_thread_cancels_a_run_whose_worker_is_gone(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """As soon as its lease has lapsed."""
        store = MemoryStore(lease=LEASE)
        agent = agent_of(["a", trio.Event()])
        async with server(store, agent) as first:
            await first.runtime.start(agent, "1st", thread="t")
            await quiet()
            first.door.crash()
        async with server(store, agent_of(name="b")) as second:
            begin = trio.current_time()
            model = ScriptedModel(["ok"])
            run = await second.runtime.start(Agent(model=model), "hi", thread="t", on_busy="cancel")
            assert trio.current_time() - begin <= LEASE + 3
            await run.wait()
        assert model.requests[0].messages == (*turn("1st", "a"), HI)
