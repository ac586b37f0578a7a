import trio

from trio_agent import Agent, TextDelta, open_runtime

agent = Agent(model="gpt-4o-mini")


async def main() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "Tell me a story.")
        async with run.subscribe() as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        receipt = await run.cancel(reason="seen enough")
        print(receipt.outcome)
        result = await run.wait()
        print(len(result.messages), "messages:", result.text)


trio.run(main)
