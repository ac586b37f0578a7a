"""Answers as channels. More of text is in tests/test_agent.py, with the agents that yield it."""

from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from run_kit import live_run

from trio_agent._errors import RunFailed, RunIncomplete, TextRetracted
from trio_agent._events import (
    AnyEvent,
    ErrorDetail,
    Nested,
    OutputDelta,
    OutputRetry,
    ReasoningDelta,
    RunContinued,
    RunError,
    RunFinish,
    RunSummary,
    StepDiscard,
    StepFinish,
    StepStart,
    TextDelta,
    Usage,
)
from trio_agent._log.feed import Feed
from trio_agent._log.log import Entry
from trio_agent._run.channels import OutputChannel, TextChannel
from trio_agent._run.result import result_of
from trio_agent._run.transcript import Transcript

STEP = StepStart(at=0, step_number=1)
DONE = StepFinish(at=0, step_number=1, usage=Usage())
DISCARD = StepDiscard(at=0, step_number=1, from_offset=1, reason="worker-lost")
THOUGHT = ReasoningDelta(at=0, delta="hm")
RETRY = OutputRetry(at=0, message="no")


def delta(text: str) -> OutputDelta:
    return OutputDelta(at=0, delta=text)


def text(text: str) -> TextDelta:
    return TextDelta(at=0, delta=text)


def nested(event: AnyEvent) -> Nested:
    return Nested(at=0, call="c", raw=msgspec.Raw(msgspec.json.encode(event)))


def finish(reason: str = "stop", output: Any = msgspec.UNSET) -> RunFinish:
    return RunFinish(at=0, run=RunSummary("r", "", 1, reason, Usage(), output=output))


FAILED = RunError(at=0, error=ErrorDetail("cut", "it broke off"))


class Told:
    """A run whose events the test tells, and the channel of its answer."""

    def __init__(self) -> None:
        self.feed = Feed("r", "e")
        self.run = live_run(self.feed)
        self.channel: OutputChannel[Any] = OutputChannel(self.run, self.run.subscribe())
        self.text = TextChannel(self.run, self.run.subscribe())

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


@pytest.mark.parametrize("again", [RETRY, DISCARD], ids=["no answer", "broken off"])
async def test_an_answer_that_is_asked_for_again(told: Told, again: AnyEvent) -> None:
    """What was there is no more; nothing is said of that before there is something new."""
    told.add(STEP, delta("[1,"))
    assert await told.channel.receive() == [1]
    async with trio.open_nursery() as nursery:
        seen: list[Any] = []

        async def receive() -> None:
            seen.append(await told.channel.receive())

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        told.add(again, STEP)
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


@pytest.mark.parametrize(
    ("events", "received"),
    [
        ([STEP, text("ab"), DISCARD, STEP, text("c")], ["ab", 0, "c"]),
        ([STEP, text("ab"), DONE, STEP, text("cd"), text("e"), DISCARD, STEP, text("f")],
         ["ab", "cd", "e", 2, "f"]),
        ([STEP, text("ä😀"), DONE, STEP, text("x"), DISCARD], ["ä😀", "x", 2]),
        ([STEP, text("a"), DISCARD, STEP, text("b"), DISCARD, STEP, text("c"), DONE, STEP,
          text("d"), DISCARD], ["a", 0, "b", 0, "c", "d", 1]),
        ([STEP, text("a"), RunContinued(at=0, reason="worker-lost"), DISCARD, STEP, text("b")],
         ["a", 0, "b"]),
        ([STEP, text("a"), DONE, STEP, THOUGHT, DISCARD, STEP, text("b")], ["a", "b"]),
        ([STEP, DISCARD, STEP, text("a")], ["a"]),
        ([STEP, text("a"), nested(STEP), nested(text("b")), nested(DISCARD), text("c")],
         ["a", "c"]),
    ],
    ids=[
        "the first step",
        "a later step",
        "characters are no bytes",
        "again and again",
        "behind a death",
        "nothing was said in the step",
        "nothing was said at all",
        "what a sub-agent takes back",
    ],
)  # fmt: skip
async def test_text_that_is_taken_back(
    told: Told, events: list[AnyEvent], received: list[str | int]
) -> None:
    """It is told once, with how much of the text stands, and then it goes on."""
    told.add(*events, finish())
    for expected in received:
        if isinstance(expected, str):
            assert await told.text.receive() == expected
        else:
            with pytest.raises(TextRetracted) as caught:
                await told.text.receive()
            assert caught.value.keep == expected
    with pytest.raises(trio.EndOfChannel):
        await told.text.receive()


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
    async with told.channel, told.text:
        pass
    assert told.run.statistics().viewers == 0
    with pytest.raises(trio.ClosedResourceError):
        await told.channel.receive()
    assert (await told.channel.result()).finish_reason == "stop"
