import sys

import trio

from trio_agent import Agent
from trio_agent.local import LocalModel, show_progress

path = sys.argv[1] if len(sys.argv) > 1 else None  # a GGUF file of yours, or the embedded model
agent = Agent(model=LocalModel(path, progress=show_progress()))


async def main() -> None:
    async with agent.stream("Say hello.") as chunks:
        async for chunk in chunks:
            print(chunk, end="", flush=True)
    print()


trio.run(main)
