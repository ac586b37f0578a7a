import trio

from trio_agent import Agent, Limits, RunFailed, ToolError, tool
from trio_agent.testing import ScriptedModel, call


@tool
async def open_door(code: int) -> str:
    """Open the door."""
    raise ToolError("this is not the code")


model = ScriptedModel(*[[call(f"c{n}", "open_door", code=n)] for n in range(9)])
agent = Agent(model=model, tools=[open_door], limits=Limits(tool_retries=2))


async def main() -> None:
    try:
        await agent.run("Open the door.")
    except RunFailed as exc:
        print(exc)


trio.run(main)
