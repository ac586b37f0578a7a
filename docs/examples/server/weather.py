from trio_agent import Agent, tool


@tool
async def get_weather(city: str) -> str:
    """Get the current weather of a city."""
    return f"{city}: -3 degrees, snow"


agent = Agent(
    name="weather",
    instructions="You are a helpful assistant.",
    model="gpt-4o-mini",
    tools=[get_weather],
)
