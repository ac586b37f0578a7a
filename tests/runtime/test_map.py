"""One agent over many inputs, so many at a time."""

from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing

from trio_agent._agent import Agent
from trio_agent._errors import LimitExceeded, ModelError, RunFailed, StoreUnavailable
from trio_agent._limits import Limits, RuntimeLimits
from trio_agent._messages import AssistantMessage, UserMessage
from trio_agent._runtime.map import Mapped
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.models._model import Emit, Model
from trio_agent.models._parts import (
    ModelFinish,
    ModelPart,
    ModelRequest,
    ReasoningPart,
    TextPart,
    ToolInputPart,
)
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore


class Sleeper(Model):
    """Sleeps for as many seconds as the prompt says, and says it; `x` makes it fail."""

    def __init__(self) -> None:
        self.busy = 0
        self.busiest = 0
        self.asked: list[str] = []

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        prompt = request.messages[-1]
        assert isinstance(prompt, UserMessage)
        self.asked.append(prompt.content)
        if prompt.content == "x":
            raise ModelError("odd", "no number")
        self.busy += 1
        self.busiest = max(self.busy, self.busiest)
        try:
            await trio.sleep(float(prompt.content))
        finally:
            self.busy -= 1
        await emit(TextPart(prompt.content))
        return ModelFinish("stop")


async def map_all(inputs: Any, model: Model, *, limits: Any = None, **how: Any) -> list[Mapped]:
    async with (
        open_runtime(limits=limits) as runtime,
        runtime.map(Agent(model=model), inputs, **how) as results,
    ):
        return [mapped async for mapped in results]


async def test_in_the_order_of_completion(autojump_clock: trio.testing.MockClock) -> None:
    results = await map_all(["3", "1", "2"], Sleeper())
    assert [(m.index, m.input, m.seconds) for m in results] == [
        (1, "1", 1.0),
        (2, "2", 2.0),
        (0, "3", 3.0),
    ]
    assert all(m.error is None and m.result is not None for m in results)
    assert [m.result.text for m in results if m.result] == ["1", "2", "3"]
    assert len({m.run_id for m in results}) == 3


@pytest.mark.parametrize("concurrency", [1, 3, 100])
async def test_so_many_at_one_time(
    concurrency: int, autojump_clock: trio.testing.MockClock
) -> None:
    model = Sleeper()
    results = await map_all(["1"] * 10, model, concurrency=concurrency)
    assert len(results) == 10
    assert model.busiest == min(concurrency, 10)


async def test_nothing_to_do() -> None:
    assert await map_all([], Sleeper()) == []


async def test_a_transcript_goes_on(autojump_clock: trio.testing.MockClock) -> None:
    said = [UserMessage("a"), AssistantMessage("b"), UserMessage("2")]
    [mapped] = await map_all([said], Sleeper())
    assert mapped.result is not None
    assert mapped.result.messages == (*said, AssistantMessage("2"))
    assert mapped.input is said


async def test_a_deadline_for_each(autojump_clock: trio.testing.MockClock) -> None:
    results = await map_all(["3", "1", "4"], Sleeper(), deadline=2, concurrency=1)
    reasons = [m.result.finish_reason for m in results if m.result]
    assert reasons == ["timeout", "stop", "timeout"]
    assert [m.seconds for m in results] == [2, 1, 2]


async def test_without_one_the_agents_own_holds(autojump_clock: trio.testing.MockClock) -> None:
    agent = Agent(model=Sleeper(), limits=Limits(run_deadline=5))
    async with open_runtime() as runtime, runtime.map(agent, ["10"]) as results:
        mapped = await results.receive()
    assert mapped.seconds == 5
    assert agent.limits.run_deadline == 5


@pytest.mark.parametrize("first", [TextPart("a"), ReasoningPart("a"), ToolInputPart("c", "t", "{")])
async def test_time_to_the_first_token_of_any_kind(
    first: ModelPart, autojump_clock: trio.testing.MockClock
) -> None:
    class Slow(Model):
        async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
            await trio.sleep(2)
            await emit(TextPart(""))  # nobody sees it
            await trio.sleep(1)
            await emit(first)
            await trio.sleep(5)
            if len(request.messages) == 1:
                await emit(ToolInputPart("d", "t", "{}"))
            return ModelFinish("stop")

    [mapped, silent] = await map_all(["x"], Slow()) + await map_all(["x"], Sleeper())
    assert mapped.ttft == 3
    assert mapped.seconds >= 8
    assert silent.ttft is None


async def test_what_fails_is_a_result_too(autojump_clock: trio.testing.MockClock) -> None:
    failed, fine = await map_all(["x", "1"], Sleeper())
    assert (failed.index, failed.result) == (0, None)
    assert isinstance(failed.error, RunFailed)
    assert failed.error.code == "odd"
    assert failed.run_id is not None
    assert fine.result is not None


async def test_what_can_not_be_started_is_a_result_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store) as runtime:
        store.away.add("create")
        async with runtime.map(Agent(model=Sleeper()), ["1"]) as results:
            mapped = await results.receive()
            with pytest.raises(trio.EndOfChannel):
                await results.receive()
    assert (mapped.run_id, mapped.result) == (None, None)
    assert isinstance(mapped.error, StoreUnavailable)


async def test_inputs_are_taken_as_places_become_free(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A slow receiver holds up the next ones."""
    taken: list[int] = []

    def inputs() -> Iterator[str]:
        for n in range(1000):
            taken.append(n)
            yield "0.1"

    model = Sleeper()
    async with (
        open_runtime() as runtime,
        runtime.map(Agent(model=model), inputs(), concurrency=3) as results,
    ):
        await trio.sleep(100)
        assert len(taken) == len(model.asked) == 3
        await results.receive()
        await trio.sleep(100)
        assert len(taken) == len(model.asked) == 4


async def test_leaving_early_cancels_what_is_running(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = Sleeper()
    async with open_runtime() as runtime:
        async with runtime.map(Agent(model=model), ["1", "50", "60", "70"]) as results:
            assert (await results.receive()).input == "1"
            assert model.busy == 3
        begin = trio.current_time()
        await runtime.drain(1000)
        assert (trio.current_time(), model.busy) == (begin, 0)
        infos = await runtime.store.find(None, None, 10)
        ends = [(info.last.event.run.finish_reason, info.last.event.run.reason) for info in infos]  # type: ignore[union-attr]
        assert sorted(ends, key=str) == [("cancelled", "the map was left")] * 3 + [("stop", None)]


async def test_cancelled_from_outside(autojump_clock: trio.testing.MockClock) -> None:
    model = Sleeper()
    async with open_runtime() as runtime:
        with trio.move_on_after(5):
            async with runtime.map(Agent(model=model), ["50"] * 9, concurrency=4) as results:
                await results.receive()
        assert len(model.asked) == 4
        await runtime.drain(0)
        assert model.busy == 0


async def test_the_bodys_exception_is_plain(autojump_clock: trio.testing.MockClock) -> None:
    model = Sleeper()
    async with open_runtime() as runtime:
        with pytest.raises(KeyError, match="mine"):  # noqa: PT012
            async with runtime.map(Agent(model=model), ["50"]):
                await trio.sleep(1)
                raise KeyError("mine")
        await runtime.drain(1000)
        assert trio.current_time() == 1


async def test_fewer_places_than_wished(autojump_clock: trio.testing.MockClock) -> None:
    """The batch takes longer, and loses nothing."""
    model = Sleeper()
    limits = RuntimeLimits(max_streams=2)
    results = await map_all(["1"] * 10, model, limits=limits, concurrency=8)
    assert [m.error for m in results] == [None] * 10
    assert model.busiest == 2


async def test_places_that_others_have_are_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_runtime(limits=RuntimeLimits(max_streams=2)) as runtime:
        for seconds in ("5", "7"):
            await runtime.start(Agent(model=Sleeper()), seconds)
        async with runtime.map(Agent(model=Sleeper()), ["1"] * 6) as results:
            ends = [(m.error, m.seconds, trio.current_time()) async for m in results]
    assert [(error, seconds) for error, seconds, _ in ends] == [(None, 1.0)] * 6
    assert [end for _, _, end in ends] == [6, 7, 8, 8, 9, 9]


async def test_who_waits_for_a_place_of_a_runtime_that_is_drained_gets_none(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_runtime(limits=RuntimeLimits(max_streams=1)) as runtime:
        await runtime.start(Agent(model=Sleeper()), "5")
        async with runtime.map(Agent(model=Sleeper()), ["1"]) as results:
            await trio.sleep(1)
            await runtime.drain(100)
            mapped = await results.receive()
    assert isinstance(mapped.error, LimitExceeded)
    assert (mapped.run_id, mapped.seconds) == (None, 0)


async def test_who_stops_waiting_for_a_place_takes_none(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_runtime(limits=RuntimeLimits(max_streams=1)) as runtime:
        run = await runtime.start(Agent(model=Sleeper()), "5")
        async with runtime.map(Agent(model=Sleeper()), ["1"] * 3):
            await trio.sleep(1)
        await run.wait()
        assert runtime.statistics().active == 0
        await (await runtime.start(Agent(model=Sleeper()), "1")).wait()


@pytest.mark.parametrize(
    ("wrong", "match"), [({"concurrency": 0}, "concurrency"), ({"deadline": 0}, "run_deadline")]
)
async def test_what_makes_no_sense(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        await map_all(["1"], Sleeper(), **wrong)


async def test_who_closes_the_channel_wants_no_more(autojump_clock: trio.testing.MockClock) -> None:
    model = Sleeper()
    async with (
        open_runtime() as runtime,
        runtime.map(Agent(model=model), ["1"] * 9, concurrency=2) as results,
    ):
        await results.receive()
        results.close()
        await trio.sleep(100)
        assert len(model.asked) <= 4
