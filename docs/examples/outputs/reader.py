import trio

from trio_agent import Agent, OutputRetry, PartialOutput, open_runtime
from trio_agent.testing import ScriptedModel, output

said = output(["tea", "honey"], size=6)
model = ScriptedModel([line for part in said for line in (part, 0.05)])
agent = Agent(model=model, output=list[str])


async def main() -> None:
    async with open_runtime() as runtime:
        started = await runtime.start(agent, "What do I need against a cold?")
        run = await runtime.find(started.id)  # anywhere, with nothing but the id
        so_far = PartialOutput()
        async with run.subscribe() as events:
            async for event in events:
                if so_far.add(event):
                    print(so_far.value)
                if isinstance(event, OutputRetry):
                    print("no:", event.message)


trio.run(main)
