import trio

from trio_agent import Agent, RunOver, ToolCall, open_runtime, tool
from trio_agent.testing import ScriptedModel, call


@tool
async def find(place: str) -> str:
    """Find hotels."""
    await trio.sleep(0.2)
    return f"three in {place}"


model = ScriptedModel([call("c1", "find", place="Oslo")], ["Then I look in Bergen."])
agent = Agent(model=model, tools=[find])


async def main() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "Find a hotel in Oslo.")
        async with run.subscribe() as events:
            async for event in events:
                if isinstance(event, ToolCall):
                    await run.say("No, in Bergen.", by="ann")
        for message in (await run.wait()).messages:
            print(type(message).__name__, message.content)
        try:
            await run.say("And a train.")
        except RunOver:
            print("too late")


trio.run(main)
