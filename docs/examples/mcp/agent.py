import sys
from pathlib import Path

import trio

from trio_agent import Agent, ToolProgress, ToolResult
from trio_agent.testing import ScriptedModel, call
from trio_agent.tools.mcp import MCPServer

server = Path(__file__).with_name("weather_server.py")
weather = MCPServer.stdio(sys.executable, str(server), only=["forecast", "measure"])
model = ScriptedModel(
    [call("c1", "forecast", city="Oslo", days=2)], [call("c2", "measure", city="Oslo")], ["Cold."]
)
agent = Agent(model=model, sources=[weather])


async def main() -> None:
    async with agent.stream_events("How is Oslo?") as events:
        async for event in events:
            match event:
                case ToolProgress(tool=asked, data={"message": message}):
                    print(f"{asked.name}: {message}")
                case ToolResult(tool=done):
                    print(f"{done.name} {done.status}: {done.output}")


trio.run(main)
