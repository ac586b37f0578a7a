import trio

from trio_agent import Agent, Limits, tool


@tool
async def get_weather(city: str) -> str:
    """Get the current weather of a city."""
    return f"{city}: -3 degrees, snow"


agent = Agent(
    model="gpt-4o-mini",
    tools=[get_weather],
    limits=Limits(max_steps=1, max_tokens=1000),
)


async def main() -> None:
    result = await agent.run("What is the weather in Oslo?")
    print(result.finish_reason, result.steps)
    print([type(message).__name__ for message in result.messages])


trio.run(main)
