import trio

from trio_agent import Agent, Limits, open_runtime
from trio_agent.testing import ScriptedModel

model = ScriptedModel(["A very long story."], ["A", " ", "very", " ", "long", " ", "story."])
agent = Agent(model=model, options={"temperature": 0.9, "top_p": 0.5}, limits=Limits(max_steps=3))


async def main() -> None:
    async with open_runtime() as runtime:
        for limits in ({}, {"max_tokens": 3}):
            run = await runtime.start(
                agent, "A story!", options={"temperature": 0.2}, limits=limits
            )
            result = await run.wait()
            print(f"{result.finish_reason}: {result.text}")
    print(model.requests[1].options)


trio.run(main)
