import trio

from trio_agent import Agent, MemoryStore, StoreUnavailable, open_runtime
from trio_agent.testing import FaultyStore, ScriptedModel, autojump_clock


async def main() -> None:
    store = FaultyStore(MemoryStore())
    agent = Agent(model=ScriptedModel(["I was ", 3600.0]))
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(agent, "Tell me everything.")
        async with run.subscribe() as events:
            for _ in range(3):
                print(type(await events.receive()).__name__)
            store.away.add("append")  # such as: the disk is full
            try:
                await run.cancel()
            except StoreUnavailable as exc:
                print("cancel:", exc)
            try:
                await events.receive()
            except trio.BrokenResourceError as exc:
                print("viewer:", exc)
            cursor = events.cursor
        store.away.clear()  # there is room again
        await trio.sleep(5)
        async with run.subscribe(after=cursor) as events:
            async for event in events:
                print(type(event).__name__)


trio.run(main, clock=autojump_clock())
