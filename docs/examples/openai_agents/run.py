import trio

from trio_agent import Agent, tool


@tool
async def get_weather(city: str) -> str:
    """Get the current weather of a city."""
    return f"{city}: -3 degrees, snow"


agent = Agent(
    name="assistant",
    instructions="Be helpful.",
    model="gpt-4o-mini",
    tools=[get_weather],
)


async def main() -> None:
    result = await agent.run("What is the weather in Oslo?")
    print(result.text)
    print(result.usage.total_tokens, "tokens")


trio.run(main)
