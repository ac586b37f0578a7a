"""What was said, as the emit around an emit sees it."""

import pytest
import trio.testing
from model_kit import Emitted

from trio_agent.models._parts import (
    ModelPart,
    ReasoningPart,
    SwitchPart,
    TextPart,
    ToolInputPart,
)
from trio_agent.models._watched_emit import WatchedEmit

SWITCH = SwitchPart("a", "b", "busy", "come back")


@pytest.mark.parametrize(
    ("parts", "spoken"),
    [
        ([SWITCH], False),
        ([SWITCH, SWITCH], False),
        # As a run sees it, which asks again after these.
        ([TextPart(""), ReasoningPart("")], False),
        ([SWITCH, TextPart("Hi")], True),
        ([TextPart("Hi")], True),
        ([ReasoningPart("Hm")], True),
        # The call is open, though no reader has seen anything.
        ([ToolInputPart("1", "look", "")], True),
    ],
)
async def test_whether_anything_was_said(parts: list[ModelPart], spoken: bool) -> None:
    emitted = Emitted()
    watched = WatchedEmit(emitted)
    assert not watched.spoken
    for _ in range(2):
        with trio.testing.assert_checkpoints():  # for this one never has room
            await watched(*parts)
        assert watched.spoken is spoken
    assert emitted.calls == [tuple(parts)] * 2


async def test_it_goes_on_having_been_said() -> None:
    watched = WatchedEmit(Emitted())
    assert not watched.nowait(TextPart("Hi"))
    assert not watched.nowait(SWITCH)
    assert watched.spoken
