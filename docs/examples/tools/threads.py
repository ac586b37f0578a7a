import time

import trio

from trio_agent import Agent, Limits, ToolResult, tool
from trio_agent.testing import ScriptedModel, call


@tool(deadline=0.1)
def index(folder: str) -> str:
    """Index the files of a folder."""
    for _ in range(1000):
        trio.from_thread.check_cancelled()  # raises trio.Cancelled when the call is over
        time.sleep(0.01)  # one file
    return f"{folder} is indexed"


model = ScriptedModel([call("c1", "index", folder="letters")], ["That took too long."])
agent = Agent(model=model, tools=[index], limits=Limits(tool_deadline=30))


async def main() -> None:
    async with agent.stream_events("Index my letters.") as events:
        async for event in events:
            if isinstance(event, ToolResult):
                print(f"{event.tool.status}: {event.tool.output}")


trio.run(main)
