import trio

from trio_agent import Agent

agent = Agent(name="streamer", instructions="Be helpful.", model="gpt-4o-mini")


async def main() -> None:
    async with agent.stream("Explain nurseries in a sentence.") as chunks:
        async for chunk in chunks:
            print(chunk, end="", flush=True)
    print()


trio.run(main)
