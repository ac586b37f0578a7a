"""Answers as channels. Text is in tests/test_agent.py, with the agents that yield it."""

from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from run_kit import live_run

from trio_agent._errors import RunFailed, RunIncomplete
from trio_agent._events import (
    AnyEvent,
    ErrorDetail,
    OutputDelta,
    OutputRetry,
    RunError,
    RunFinish,
    RunSummary,
    StepStart,
    TextDelta,
    Usage,
)
from trio_agent._log.feed import Feed
from trio_agent._log.log import Entry
from trio_agent._run.channels import OutputChannel
from trio_agent._run.result import result_of
from trio_agent._run.transcript import Transcript

STEP = StepStart(at=0, step_number=1)
RETRY = OutputRetry(at=0, message="no")


def delta(text: str) -> OutputDelta:
    return OutputDelta(at=0, delta=text)


def finish(reason: str = "stop", output: Any = msgspec.UNSET) -> RunFinish:
    return RunFinish(at=0, run=RunSummary("r", "", 1, reason, Usage(), output=output))


FAILED = RunError(at=0, error=ErrorDetail("cut", "it broke off"))


class Told:
    """A run whose events the test tells, and the channel of its answer."""

    def __init__(self) -> None:
        self.feed = Feed("r", "e")
        self.run = live_run(self.feed)
        self.channel: OutputChannel[Any] = OutputChannel(self.run, self.run.subscribe())

    def add(self, *events: AnyEvent) -> None:
        tail = self.feed.tail
        self.feed.extend([Entry.of(n, event) for n, event in enumerate(events, tail + 1)])
        last = events[-1]
        if isinstance(last, RunFinish | RunError):
            self.run.end(last, result_of("r", last, Transcript()), None)


@pytest.fixture
def told() -> Told:
    return Told()


async def test_partials_while_they_come(told: Told) -> None:
    seen: list[Any] = []

    async def read() -> None:
        async for partial in told.channel:
            seen.append(partial)  # noqa: PERF401  (what was seen must be there at once)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        for event in (STEP, delta('{"a'), delta('": [1'), delta(", 2"), delta("]}")):
            await trio.testing.wait_all_tasks_blocked()
            told.add(event)
        await trio.testing.wait_all_tasks_blocked()
        assert seen == [{}, {"a": []}, {"a": [1]}, {"a": [1, 2]}]
        told.add(finish(output={"a": [1, 2]}))
    assert len(seen) == 4


async def test_a_slow_reader_gets_the_latest_only(told: Told) -> None:
    told.add(STEP, delta("[1,"), delta("2,"))
    told.add(delta("3,"))
    assert await told.channel.receive() == [1, 2, 3]
    told.add(delta("4,"), TextDelta(at=0, delta="x"))
    assert await told.channel.receive() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("events", "partials"),
    [
        ([delta("[1]"), finish(output=[1])], [[1]]),
        ([delta("[1]"), finish(output=[2])], [[2]]),
        ([finish(output=None)], [None]),
        ([finish()], []),
    ],
)
async def test_the_last_is_the_output(
    told: Told, events: list[AnyEvent], partials: list[Any]
) -> None:
    told.add(STEP, *events)
    assert [partial async for partial in told.channel] == partials
    with pytest.raises(trio.EndOfChannel):
        await told.channel.receive()


async def test_an_answer_that_is_asked_for_again(told: Told) -> None:
    """What was there is no more; nothing is said of that before there is something new."""
    told.add(STEP, delta("[1,"))
    assert await told.channel.receive() == [1]
    async with trio.open_nursery() as nursery:
        seen: list[Any] = []

        async def receive() -> None:
            seen.append(await told.channel.receive())

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        told.add(RETRY, STEP)
        await trio.testing.wait_all_tasks_blocked()
        assert not seen
        told.add(delta("["))
    assert seen == [[]]


@pytest.mark.parametrize(
    ("end", "error", "match"),
    [
        (FAILED, RunFailed, "cut: it broke off"),
        (finish("length"), RunIncomplete, "'length'"),
        (finish("cancelled"), RunIncomplete, "'cancelled'"),
    ],
)
async def test_an_end_that_is_none(
    told: Told, end: RunFinish | RunError, error: type[Exception], match: str
) -> None:
    told.add(STEP, delta("[1,"), end)
    assert await told.channel.receive() == [1]
    for _ in range(2):
        with pytest.raises(error, match=match):
            await told.channel.receive()
        with pytest.raises(error, match=match):
            await told.channel.result()


@pytest.mark.parametrize("read", [0, 1, 2])
async def test_the_result_needs_no_reader(told: Told, read: int) -> None:
    async with trio.open_nursery() as nursery:
        results: list[Any] = []

        async def wait() -> None:
            results.append(await told.channel.result())

        nursery.start_soon(wait)
        if read:
            told.add(STEP, delta("[1,"))
            assert await told.channel.receive() == [1]
        await trio.testing.wait_all_tasks_blocked()
        assert not results
        told.add(finish(output=[1, 2]))
        if read > 1:
            assert await told.channel.receive() == [1, 2]
    assert (results[0].run_id, results[0].finish_reason) == ("r", "stop")


async def test_cancelled_while_it_waits(told: Told) -> None:
    """Nothing was taken."""
    told.add(STEP, delta("[1,"))
    with trio.CancelScope() as scope:
        scope.cancel()
        await told.channel.receive()
    assert scope.cancelled_caught
    assert await told.channel.receive() == [1]


async def test_closed(told: Told) -> None:
    told.add(STEP, delta("["), finish(output=[]))
    async with told.channel:
        pass
    assert told.run.statistics().viewers == 0
    with pytest.raises(trio.ClosedResourceError):
        await told.channel.receive()
    assert (await told.channel.result()).finish_reason == "stop"
