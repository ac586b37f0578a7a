import trio

from trio_agent import Agent, SQLiteStore, TextDelta, open_runtime

agent = Agent(model="gpt-4o-mini")


async def ask(prompt: str) -> str:
    async with open_runtime(store=SQLiteStore("runs.db")) as runtime:
        run = await runtime.start(agent, prompt, metadata={"topic": "physics"})
        await run.wait()
        return run.id


async def show(run_id: str) -> None:
    async with open_runtime(store=SQLiteStore("runs.db")) as runtime:
        run = await runtime.find(run_id)
        print(run.status, run.metadata)
        async with run.subscribe() as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    print(event.delta, end="")
        print()


async def main() -> None:
    run_id = await ask("Why is the sky blue?")
    await show(run_id)  # in another process, in another week


trio.run(main)
