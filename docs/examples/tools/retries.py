import trio

from trio_agent import Agent, Limits, RunFailed, ToolError, tool
from trio_agent.testing import ScriptedModel, call


@tool
async def find(book: str) -> str:
    """Find a book."""
    raise ToolError(f"there is no {book}")


model = ScriptedModel([call("c1", "find", book="Faust")], [call("c2", "find", book="Faust II")])
agent = Agent(model=model, tools=[find], limits=Limits(tool_retries=1))


async def main() -> None:
    try:
        await agent.run("Find Faust.")
    except RunFailed as exc:
        print(f"{exc.code}: {exc.message}")


trio.run(main)
