from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from trio_agent import Agent
from trio_agent.abc import Emit, EmittedPart, Model, ModelFinish, ModelRequest
from trio_agent.testing import ScriptedModel


@attrs.define
class Bill:
    """What the calls of a model came to."""

    calls: int = 0
    tokens: int = 0
    slowest_start: float = 0.0


@attrs.frozen(eq=False)
class Metered(Model):
    """Another model, with a bill."""

    model: Model
    bill: Bill = attrs.field(factory=Bill)

    @property
    def name(self) -> str:
        return self.model.name

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Model]:
        async with self.model.open() as opened:
            yield Metered(opened, self.bill)

    async def check(self) -> None:
        await self.model.check()

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        watch = Watch(emit)
        finish = await self.model.generate(request, watch)
        self.bill.calls += 1
        self.bill.tokens += finish.usage.total_tokens
        self.bill.slowest_start = max(self.bill.slowest_start, watch.first_after or 0.0)
        return finish  # as it is: it has what the provider wants back


class Watch(Emit):
    """Passes everything on, and looks at the clock when the first part comes."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._begun = trio.current_time()
        self.first_after: float | None = None

    def nowait(self, *parts: EmittedPart) -> bool:
        if self.first_after is None:
            self.first_after = trio.current_time() - self._begun
        return self._emit.nowait(*parts)

    async def room(self) -> None:
        await self._emit.room()


async def main() -> None:
    model = Metered(ScriptedModel(["Here ", "I am."]))
    await Agent(model=model).run("Is anybody there?")
    print(f"{model.bill.calls} call, first part after {model.bill.slowest_start:.0f} s")


trio.run(main)
