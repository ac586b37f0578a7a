import trio

from trio_agent import Agent, UnknownThread, open_runtime
from trio_agent.testing import ScriptedModel

model = ScriptedModel(["Hello, Ann."], ["You are Ann."])
agent = Agent(model=model)


async def main() -> None:
    async with open_runtime() as runtime:
        first = await runtime.start(agent, "My name is Ann.", thread="trip")
        await first.wait()
        await runtime.delete(first.id)  # as retention does it
        second = await runtime.start(agent, "Who am I?", thread="trip")
        print((await second.wait()).text)
        print("asked with", len(model.requests[-1].messages), "messages")
        print("runs:", len((await runtime.runs(thread="trip")).runs))
        thread = await runtime.thread("trip")
        print(f"{thread.turns} turns, {thread.size} bytes")

        await runtime.delete_thread("trip")
        print("runs:", len((await runtime.runs()).runs))
        try:
            await runtime.thread("trip")
        except UnknownThread as exc:
            print(exc)


trio.run(main)
