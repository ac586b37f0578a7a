import trio

from trio_agent import Agent

agent = Agent(model="gpt-4o-mini", instructions="Be helpful.")


async def main() -> None:
    async with agent.stream("Explain nurseries in a sentence.") as chunks:
        async for chunk in chunks:
            print(chunk, end="", flush=True)
    print()


trio.run(main)
