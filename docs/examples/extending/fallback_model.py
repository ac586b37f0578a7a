from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import trio

from trio_agent import Agent, ModelError
from trio_agent.abc import Emit, Model, ModelFinish, ModelPart, ModelRequest
from trio_agent.testing import ScriptedModel


class Fallback(Model):
    """Asks the first model, and the next one if it fails before it has said anything."""

    def __init__(self, *models: Model) -> None:
        self._models = models

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Model]:
        async with AsyncExitStack() as stack:
            models = [await stack.enter_async_context(model.open()) for model in self._models]
            yield Fallback(*models)

    async def check(self) -> None:
        await self._models[0].check()

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        listening = Listening(emit)
        *others, last = self._models
        for model in others:
            try:
                return await model.generate(request, listening)
            except ModelError:
                if listening.spoke:
                    raise
        return await last.generate(request, listening)


class Listening:
    """Passes everything on, and knows whether there was anything."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.spoke = False

    async def __call__(self, *parts: ModelPart) -> None:
        self.spoke = True
        await self._emit(*parts)

    def nowait(self, *parts: ModelPart) -> bool:
        self.spoke = True
        return self._emit.nowait(*parts)

    async def room(self) -> None:
        await self._emit.room()


async def main() -> None:
    busy = ScriptedModel([ModelError("rate-limit", "come back tomorrow")])
    model = Fallback(busy, ScriptedModel(["Here I ", "am."]))
    result = await Agent(model=model).run("Is anybody there?")
    print(result.text)


trio.run(main)
