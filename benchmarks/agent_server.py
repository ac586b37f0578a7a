"""Our side: the server as it is, with an agent whose model is the upstream."""

import sys
import time
from functools import partial

import trio

from benchmarks.languages import LANGUAGES, TOKENS
from trio_agent import Agent, MemoryStore, SQLiteStore, ValkeyStore, open_runtime
from trio_agent.abc import Emit, Model, ModelFinish, ModelRequest, Store, TextPart
from trio_agent.servers import serve_http


class Stamps(Model):
    """Says what time it is (nanoseconds), as often per second as the prompt says."""

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        pause = 1 / float(request.messages[-1].content)
        for _ in range(TOKENS):
            await trio.sleep(pause)
            await emit(TextPart(f"{time.perf_counter_ns()} "))
        return ModelFinish("stop")


def make_store(name: str) -> Store:
    """Make the store that ``memory``, ``sqlite:PATH`` or a URL of Valkey means."""
    if name == "memory":
        return MemoryStore()
    kind, _, path = name.partition(":")
    return SQLiteStore(path) if kind == "sqlite" else ValkeyStore(name)


async def main(base_url: str, store: str = "memory", language: str = "openai") -> None:
    model = LANGUAGES[language].model(base_url=base_url)
    agents = [Agent(name="benchmark", model=model), Agent(name="stamps", model=Stamps())]
    async with open_runtime(store=make_store(store)) as runtime, trio.open_nursery() as nursery:
        [address] = await nursery.start(serve_http, runtime, agents)
        print(address, flush=True)


if __name__ == "__main__":
    trio.run(partial(main, *sys.argv[1:]))
