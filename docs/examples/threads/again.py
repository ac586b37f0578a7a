import trio

from trio_agent import Agent, Runtime, open_runtime
from trio_agent.testing import ScriptedModel

model = ScriptedModel(["Hello."], ["Oslo."], ["Bergen, it is warmer."], ["Yes."], ["Hello again."])
agent = Agent(model=model)


async def say(runtime: Runtime, prompt: str, after: str | None = None) -> str:
    run = await runtime.start(agent, prompt, thread="trip", after=after)
    await run.wait()
    return run.id


async def show(runtime: Runtime) -> None:
    page = await runtime.thread_messages("trip")
    turns = (await runtime.thread("trip")).turns
    print(turns, "turns:", " / ".join(str(message.content) for message in page.messages))


async def main() -> None:
    async with open_runtime() as runtime:
        first = await say(runtime, "Hi.")
        await say(runtime, "Where to?")
        await show(runtime)
        await say(runtime, "Where to?", after=first)  # another answer
        await show(runtime)
        await say(runtime, "Sure?")
        await show(runtime)
        await say(runtime, "Hi.", after="")  # all anew
        await show(runtime)


trio.run(main)
