from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import msgspec
import trio

from trio_agent import Agent
from trio_agent.abc import Emit, EmittedPart, Model, ModelFinish, ModelRequest, TextPart
from trio_agent.testing import ScriptedModel


class Loud(Model):
    """Shouts what another model says, and counts the pieces."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Model]:
        async with self._model.open() as model:
            yield Loud(model)

    async def check(self) -> None:
        await self._model.check()

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        shouting = Shouting(emit)
        finish = await self._model.generate(request, shouting)
        await emit(TextPart(f"\n{shouting.words} words"))
        return attrs.evolve(finish, provider={})  # the provider said something else


class Shouting(Emit):
    """Passes everything on, the text in capitals."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.words = 0

    def nowait(self, *parts: EmittedPart) -> bool:
        return self._emit.nowait(*map(self._loud, parts))

    async def room(self) -> None:
        await self._emit.room()

    def _loud(self, part: EmittedPart) -> EmittedPart:
        if not isinstance(part, TextPart):
            return part
        self.words += 1
        return msgspec.structs.replace(part, delta=part.delta.upper())


async def main() -> None:
    model = Loud(ScriptedModel(["Here ", "I ", "am."]))
    result = await Agent(model=model).run("Is anybody there?")
    print(result.text)


trio.run(main)
