import trio

from trio_agent import Agent, TextDelta, open_runtime

agent = Agent(name="assistant", model="gpt-4o-mini")


async def main() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "Tell me a story.")
        async with run.subscribe() as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        receipt = await run.cancel()
        print(receipt.outcome)


trio.run(main)
