import trio

from trio_agent import Agent, Limits, open_runtime
from trio_agent.testing import ScriptedModel

model = ScriptedModel(["It ", 60, "snows."], ["It snows."])
agent = Agent(model=model, options={"temperature": 0}, limits=Limits(max_steps=3))


async def main() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(
            agent, "How is the weather?", options={"seed": 7}, limits={"run_deadline": 0.5}
        )
        result = await run.wait()
        print(f"{result.finish_reason}: {result.text}")
        print(dict(model.requests[0].options))
        run = await runtime.start(agent, "And now?")
        print((await run.wait()).text, dict(model.requests[1].options))


trio.run(main)
