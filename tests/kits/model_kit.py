"""What tests of models share: an `emit` that keeps what it is given, and ways to ask."""

from contextlib import AbstractAsyncContextManager

import pytest
import trio

from trio_agent._errors import ModelError
from trio_agent._messages import UserMessage
from trio_agent.models._model import Emit, Model
from trio_agent.models._parts import EmittedPart, ModelFinish, ModelRequest

ASK = ModelRequest((UserMessage("Hi"),))

Opening = AbstractAsyncContextManager[tuple[object, Model]]
"""Opens a scripted server and a model in front of it."""


class Emitted(list[EmittedPart], Emit):
    """The parts; `calls` has those of each call together, `event` is set by the first."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[EmittedPart, ...]] = []
        self.event = trio.Event()

    def nowait(self, *parts: EmittedPart) -> bool:
        assert parts
        self.extend(parts)
        self.calls.append(parts)
        self.event.set()
        return False

    async def room(self) -> None:
        await trio.lowlevel.checkpoint()


async def answer_of(opening: Opening) -> tuple[Emitted, ModelFinish]:
    """Ask the model, which answers."""
    emitted = Emitted()
    async with opening as (_, model):
        return emitted, await model.generate(ASK, emitted)


async def failure_of(opening: Opening) -> tuple[Emitted, ModelError]:
    """Ask the model, which fails."""
    emitted = Emitted()
    async with opening as (_, model):
        with pytest.raises(ModelError) as info:
            await model.generate(ASK, emitted)
    return emitted, info.value
