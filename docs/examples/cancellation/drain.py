import trio

from trio_agent import Agent, LimitExceeded, open_runtime

agent = Agent(model="gpt-4o-mini")


async def main() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "Tell me a long story.")
        await runtime.drain(grace=0.2)
        print((await run.wait()).reason)
        try:
            await runtime.start(agent, "One more.")
        except LimitExceeded as exc:
            print(exc)
        async with run.subscribe() as events:  # still readable, until the block is left
            print([event.terminal async for event in events][-1])


trio.run(main)
