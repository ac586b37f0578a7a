import trio

from trio_agent import Agent, ToolCall, ToolResult, tool
from trio_agent.testing import ScriptedModel, call


@tool
async def get_weather(city: str, days: int = 1) -> str:
    """Get the weather of a city for some days."""
    return f"{city}: snow for {days} days"


model = ScriptedModel(
    [call("c1", "get_weather", town="Oslo", days="3")],
    [call("c2", "get_weather", city="Oslo", days="3")],
    [call("c3", "get_weather", city="Oslo", days=3)],
    ["It will snow."],
)
agent = Agent(model=model, tools=[get_weather])


async def main() -> None:
    async with agent.stream_events("How will the weather in Oslo be?") as events:
        async for event in events:
            match event:
                case ToolCall(tool=asked):
                    print(f"-> {asked.input}")
                case ToolResult(tool=done):
                    print(f"<- {done.status}: {done.output}")


trio.run(main)
