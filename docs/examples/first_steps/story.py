import trio

from trio_agent import Agent, TextDelta, open_runtime

agent = Agent(model="gpt-4o-mini")


async def main() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "Tell me a story.")

        async with run.subscribe() as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    print(event.delta, end="", flush=True)
                    break
            cursor = events.cursor  # "I have seen everything up to here"

        print("\n-- nobody watches --")
        result = await run.wait()

        async with run.subscribe(after=cursor) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    print(event.delta, end="", flush=True)
        print(f"\n[{result.finish_reason}]")


trio.run(main)
