import trio

from trio_agent import Agent

agent = Agent(model="gpt-4o-mini")


async def main() -> None:
    async with agent.stream("Explain nurseries in a sentence.") as chunks:
        async for text in chunks:
            print(text, end="", flush=True)
    print()


trio.run(main)
