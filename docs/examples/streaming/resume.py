import trio

from trio_agent import Agent, Cursor, CursorExpired, Runtime, TextDelta, open_runtime

agent = Agent(model="gpt-4o-mini")


async def read(runtime: Runtime, after: str, *, words: int | None = None) -> str:
    """Print the text behind a cursor; return the cursor of the last event that was seen."""
    run = await runtime.find(Cursor.parse(after).run_id)
    async with run.subscribe(after=after) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                print(event.delta, end="", flush=True)
                words = None if words is None else words - 1
            if words == 0:
                break
        return str(events.cursor)


async def main() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "Count to five.")
        text = await read(runtime, str(run.resolve(0)), words=2)
        print("| ", end="")
        text = await read(runtime, text, words=1)
        print("| ", end="")
        text = await read(runtime, text)
        print()

        await runtime.delete(run.id)
        try:
            await read(runtime, text)
        except CursorExpired:
            print("the log is gone: start anew")


trio.run(main)
