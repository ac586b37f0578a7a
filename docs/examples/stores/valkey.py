import sys

import trio

from trio_agent import Agent, RunFinish, TextDelta, ValkeyStore, open_runtime
from trio_agent.testing import ScriptedModel

URL = sys.argv[1]  # such as valkey://:password@127.0.0.1:6379


async def main() -> None:
    agent = Agent(model=ScriptedModel(["It ", "goes ", "on", trio.Event()]))
    # Two runtimes of one process here; each would be a server of its own.
    async with (
        open_runtime(store=ValkeyStore(URL)) as a,
        open_runtime(store=ValkeyStore(URL)) as b,
    ):
        started = await a.start(agent, "Go on.")
        found = await b.find(started.id)
        async with found.subscribe() as events:
            async for event in events:
                match event:
                    case TextDelta(delta="on"):
                        print("cancel:", (await found.cancel("seen enough")).outcome)
                    case RunFinish(run=run):
                        print("text:", run.text)
                        print("reason:", run.reason)


trio.run(main)
