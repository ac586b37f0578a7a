"""What a log has taken back, at each level."""

from cli_kit import fill, finish
from log_kit import nested

from trio_agent import (
    AnyEvent,
    MemoryStore,
    ModelSwitch,
    OutputDelta,
    ReasoningDelta,
    StepDiscard,
    StepStart,
    TextDelta,
    ToolInputDelta,
    ToolName,
)
from trio_agent._events import ErrorDetail
from trio_agent.servers.cli._taken_back import TakenBack


def discard(since: int) -> StepDiscard:
    return StepDiscard(at=0, step_number=1, from_offset=since, reason="cut-stream")


async def left(*events: AnyEvent) -> list[int]:
    """The offsets of what is shown."""
    store = MemoryStore()
    await fill(store, "r", *events, finish())
    taken_back = TakenBack()
    await taken_back.read(store, "r")
    return [n for n, event in enumerate(events, 1) if not taken_back.has(n, event)]


START = StepStart(at=0, step_number=1)
TEXT = TextDelta(at=0, delta="step-discard")
DELTAS: list[AnyEvent] = [
    TEXT,
    ReasoningDelta(at=0, delta="b"),
    OutputDelta(at=0, delta="c"),
    ToolInputDelta(at=0, tool=ToolName("c", "t"), delta="d"),
]


async def test_all_kinds_of_deltas_of_the_step_and_nothing_else() -> None:
    switch = ModelSwitch(at=0, step_number=1, from_="a", to="b", error=ErrorDetail("c", "m"))
    assert await left(TEXT, START, switch, *DELTAS, discard(2), START, TEXT) == [1, 2, 3, 9, 10]


async def test_nothing() -> None:
    assert await left(START, *DELTAS) == [1, 2, 3, 4, 5]


async def test_a_step_that_is_taken_back_twice() -> None:
    assert await left(START, TEXT, discard(1), START, TEXT, discard(4), START, TEXT) == [1, 4, 7, 8]


async def test_only_at_the_level_where_it_happened() -> None:
    c = nested("c", START, TEXT)
    deeper = nested("c", *nested("d", TEXT))
    assert await left(*c, TEXT, *deeper, *nested("c", discard(1)), *c) == [1, 3, 4, 6, 7]
    assert await left(START, *c, TEXT, discard(1)) == [1, 2, 3]
