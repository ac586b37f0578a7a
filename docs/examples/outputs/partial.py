import trio

from trio_agent import Agent
from trio_agent.testing import ScriptedModel, output

model = ScriptedModel(
    [part for delta in output(["tea", "a kettle", "two cups"], size=12) for part in (delta, 0.01)]
)
agent = Agent(model=model, output=list[str])


async def main() -> None:
    async with agent.stream_output("What do I need for tea?") as answer:
        async for partial in answer:
            print(partial)
        result = await answer.result()
    print("whole:", result.output)


trio.run(main)
