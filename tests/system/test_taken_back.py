"""Text that is taken back: whoever reads, and wherever it is cut, has the run's text in the end."""

import pytest
import trio
import trio.testing
from careful_kit import answer_all, make_careful, to_its_end
from runtime_kit import logged

from trio_agent import (
    AnyEvent,
    RunFinish,
    StepDiscard,
    StepStart,
    TextDelta,
    TextRetracted,
    Transcript,
    UserMessage,
    open_runtime,
)
from trio_agent._run.channels import TextChannel


def text_of(events: list[AnyEvent]) -> str:
    """As a reader of ours has it."""
    transcript = Transcript([UserMessage("hi")])
    for event in events:
        transcript.add(event)
    return transcript.text


async def test_each_cut_gives_the_text(autojump_clock: trio.testing.MockClock) -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(make_careful(), "hi")
        await to_its_end(run)
        events = await logged(runtime.store, run.id)
        assert sum(isinstance(event, StepDiscard) for event in events) == 3
        end = events[-1]
        assert isinstance(end, RunFinish)
        assert end.run.text == "Look: All done."
        assert "".join(e.delta for e in events if isinstance(e, TextDelta)) != end.run.text
        for cut in range(len(events) + 1):
            seen = events[:cut]
            with run.subscribe(after=cut) as rest:
                seen += [event async for event in rest]
            assert text_of(seen) == end.run.text, cut


async def test_a_discard_names_what_it_takes_back(autojump_clock: trio.testing.MockClock) -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(make_careful(), "hi")
        await to_its_end(run)
        events = await logged(runtime.store, run.id)
    for event in events:
        if isinstance(event, StepDiscard):
            began = events[event.from_offset - 1]
            assert isinstance(began, StepStart)
            assert began.step_number == event.step_number


async def test_who_has_printed_is_told_how_much_stands(
    autojump_clock: trio.testing.MockClock,
) -> None:
    printed, told = "", []
    async with open_runtime() as runtime:
        run = await runtime.start(make_careful(), "hi")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer_all, run)
            text = TextChannel(run, run.subscribe())
            while True:
                try:
                    printed += await text.receive()
                except TextRetracted as exc:
                    told.append((printed, exc.keep))
                    printed = printed[: exc.keep]
                except trio.EndOfChannel:
                    break
            await text.aclose()
        assert printed == (await run.wait()).text
    assert told == [("Let me ", 0), ("Look: ", 0), ("Look: It is ", 6)]


async def test_who_can_not_take_back_gets_no_repetition(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with make_careful().stream("hi") as text:
        assert await text.receive() == "Let "
        assert await text.receive() == "me "
        with pytest.raises(Exception, match="cut-stream"):
            await text.receive()
