"""What tests of models share: an `emit` that keeps what it is given, and ways to ask."""

import itertools
from contextlib import AbstractAsyncContextManager, suppress

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


async def cancel_after_every_tick(model: Model) -> None:
    """Ask, and cancel that after each number of ticks, until it is over before."""
    for ticks in itertools.count():
        done = False
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_after, ticks, scope)
                with suppress(ModelError):
                    await model.generate(ASK, Emitted())
                done = not scope.cancel_called
                nursery.cancel_scope.cancel()
        if done:
            break
    assert ticks > 5


async def _cancel_after(ticks: int, scope: trio.CancelScope) -> None:
    for _ in range(ticks):
        await trio.lowlevel.checkpoint()
    scope.cancel()
