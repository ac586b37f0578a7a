import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

import trio

from trio_agent import Agent, OpenAIModel
from trio_agent.abc import Emit, Model, ModelFinish, ModelRequest, open_plain_nursery

logger = logging.getLogger(__name__)


class Refreshing(Model):
    """A model whose API key is fetched, and fetched again after so many seconds."""

    def __init__(
        self, name: str, fetch_key: Callable[[], Awaitable[str]], *, every: float = 600.0
    ) -> None:
        self._name = name
        self._fetch_key = fetch_key
        self._every = every

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Model]:
        opened = Opened(self._name, await self._fetch_key())
        async with open_plain_nursery() as nursery:
            nursery.start_soon(self._refresh, opened)
            yield opened
            nursery.cancel_scope.cancel(reason="the model is closed")

    async def _refresh(self, opened: "Opened") -> None:
        while True:
            await trio.sleep(self._every)
            try:
                opened.key = await self._fetch_key()
            except OSError as exc:
                logger.warning("the key could not be fetched: %s", exc)

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        async with self.open() as opened:
            return await opened.generate(request, emit)


class Opened(Model):
    def __init__(self, name: str, key: str) -> None:
        self._name = name
        self.key = key

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        return await OpenAIModel(self._name, api_key=self.key).generate(request, emit)


async def main() -> None:
    numbers = count(1)

    async def fetch_key() -> str:
        return f"key-{next(numbers)}"

    agent = Agent(model=Refreshing("gpt-4o-mini", fetch_key))
    print((await agent.run("Which key is this?")).text)


trio.run(main)
