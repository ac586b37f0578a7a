import trio

from trio_agent import Agent, RunFailed, RunIncomplete

agent = Agent(model="gpt-4o-mini", options={"max_tokens": 100})


async def main() -> None:
    try:
        async with agent.stream("Tell me everything about Trio.") as chunks:
            async for chunk in chunks:
                print(chunk, end="", flush=True)
        print("\n[that was all]")
    except RunIncomplete as exc:
        print(f"\n[not all: {exc.finish_reason}]")
    except RunFailed as exc:
        print(f"\n[failed: {exc.code}]")


trio.run(main)
