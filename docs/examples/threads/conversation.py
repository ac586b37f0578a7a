import trio

from trio_agent import Agent, SQLiteStore, open_runtime
from trio_agent.testing import ScriptedModel

model = ScriptedModel(["Hello, Ann."], ["You are Ann."])
agent = Agent(model=model, name="desk")


async def say(prompt: str) -> None:
    async with open_runtime(store=SQLiteStore("runs.db"), agents=[agent]) as runtime:
        run = await runtime.start(agent, prompt, thread="trip", owner="ann")
        print((await run.wait()).text)


async def main() -> None:
    await say("My name is Ann.")  # in one process,
    await say("Who am I?")  # and in another one, next week

    async with open_runtime(store=SQLiteStore("runs.db")) as runtime:
        for thread in (await runtime.threads(owner="ann")).threads:
            print(f"{thread.thread}: {thread.turns} turns")
        page = await runtime.thread_messages("trip", owner="ann")
        for message in page.messages:
            print(type(message).__name__, message.content)


trio.run(main)
