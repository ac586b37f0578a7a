import trio

from trio_agent import Agent, Run, TextDelta, open_runtime

agent = Agent(name="assistant", model="gpt-4o-mini")


async def main() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "Tell me a story.")  # it lives in the runtime
        await read(run, "live")
        await read(run, "late")


async def read(run: Run, name: str) -> None:
    async with run.subscribe() as events:
        async for event in events:
            if isinstance(event, TextDelta):
                print(f"{name}, {events.cursor.offset}: {event.delta!r}")


trio.run(main)
