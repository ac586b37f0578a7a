import trio

from trio_agent import Agent, tool

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
    async with agent.stream_events("Find a book about whales.") as events:
        print(type(await events.receive()).__name__)
        await searching.wait()
    print("the block was left")

    with trio.move_on_after(0.2) as scope:
        await agent.run("Find a book about whales.")
    print("cancelled:", scope.cancelled_caught)


trio.run(main)
