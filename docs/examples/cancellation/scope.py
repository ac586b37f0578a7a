import trio

from trio_agent import Agent, MemoryStore, RunFinish, open_runtime

agent = Agent(model="gpt-4o-mini")


async def main() -> None:
    store = MemoryStore()
    with trio.CancelScope() as scope:
        async with open_runtime(store=store) as runtime:
            run = await runtime.start(agent, "Tell me a long story.")
            async with run.subscribe() as events:
                await events.receive()
                scope.cancel()
                await run.wait()

    async with open_runtime(store=store) as runtime:
        [listed] = (await runtime.runs()).runs
        found = await runtime.find(listed.id)
        async with found.subscribe() as events:
            async for event in events:
                if isinstance(event, RunFinish):
                    print(f"{event.run.finish_reason}: {event.run.reason}")


trio.run(main)
