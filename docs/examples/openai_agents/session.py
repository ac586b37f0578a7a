import trio

from trio_agent import Agent, SQLiteStore, open_runtime

agent = Agent(name="assistant", model="gpt-4o-mini")


async def main() -> None:
    async with open_runtime(store=SQLiteStore("conversations.db")) as runtime:
        first = await runtime.start(agent, "My name is Ada.", thread="ada")
        await first.wait()
        second = await runtime.start(agent, "What is my name?", thread="ada")
        print((await second.wait()).text)


trio.run(main)
