import sys
from pathlib import Path

import trio

from trio_agent import ToolContext, ToolError
from trio_agent.tools.mcp import MCPServer

weather = MCPServer.stdio(
    sys.executable,
    str(Path(__file__).with_name("weather_server.py")),
    prefix="weather",
    only=["forecast", "measure"],
)


async def main() -> None:
    context = ToolContext(on_progress=lambda data: print("...", data))
    async with weather.open() as server:
        tools = {tool.name: tool for tool in await server.list_tools()}
        for tool in tools.values():
            print(tool.name, list(tool.schema["properties"]), tool.description)
        print(await tools["weather_forecast"].call({"city": "Oslo"}, context))
        print(await tools["weather_measure"].call({"city": "Oslo"}, context))
        try:
            await tools["weather_forecast"].call({"days": 3}, context)
        except ToolError as exc:
            print("error:", str(exc).splitlines()[0])


trio.run(main)
