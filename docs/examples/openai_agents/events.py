import trio

from trio_agent import Agent, RunFinish, TextDelta, ToolCall, ToolResult, tool


@tool
async def get_weather(city: str) -> str:
    """Get the current weather of a city."""
    return f"{city}: -3 degrees, snow"


agent = Agent(name="assistant", model="gpt-4o-mini", tools=[get_weather])


async def main() -> None:
    async with agent.stream_events("What is the weather in Oslo?") as events:
        async for event in events:
            match event:
                case ToolCall(tool=call):
                    print(f"[{call.name} {call.input}]")
                case ToolResult(tool=outcome):
                    print(f"[{outcome.output}]")
                case TextDelta(delta=text):
                    print(text, end="")
                case RunFinish(run=run):
                    print(f"\n{run.steps} steps")


trio.run(main)
