import trio

from trio_agent import Agent, CancelAfter, Run, SQLiteStore, TextDelta, open_runtime

agent = Agent(model="gpt-4o-mini")


async def main() -> None:
    async with open_runtime(store=SQLiteStore("runs.db")) as runtime:
        policy = CancelAfter(30)
        run = await runtime.start(agent, "Tell me a story.", on_disconnect=policy)
        async with run.subscribe() as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    print(repr(event.delta), "then the reader is cut off")
                    break
            cursor = str(events.cursor)
        await print_text(run, after=cursor)

    # Perhaps in another process:
    async with open_runtime(store=SQLiteStore("runs.db")) as runtime:
        print("later:")
        await print_text(await runtime.find(run.id), after=cursor)


async def print_text(run: Run, after: str) -> None:
    async with run.subscribe(after=after) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                print(repr(event.delta))


trio.run(main)
