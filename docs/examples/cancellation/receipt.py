import trio

from trio_agent import Agent, open_runtime, tool

searching = trio.Event()


@tool
async def search(query: str) -> str:
    """Search the library."""
    searching.set()
    try:
        await trio.sleep_forever()
    finally:
        print(f"the search for {query} has ended")
    return f"books about {query}"


agent = Agent(model="gpt-4o-mini", tools=[search])


async def main() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "Find a book about whales.")
        await searching.wait()
        receipt = await run.cancel("the reader closed the page")
        print(receipt)

        async with run.subscribe(after=receipt.last_offset - 2) as events:
            async for event in events:
                print(type(event).__name__)
        print((await run.wait()).reason)


trio.run(main)
