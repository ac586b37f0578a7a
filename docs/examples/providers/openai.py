import trio

from trio_agent import Agent, OpenAIModel, tool


@tool(strict=True)
async def temperature(city: str) -> str:
    """Tell the temperature in a city."""
    return f"18 °C in {city}"


# Where it is and the key come from OPENAI_BASE_URL and OPENAI_API_KEY.
model = OpenAIModel(
    "gpt-4.1-mini",
    system_role="developer",
    options={"max_completion_tokens": 2000},
)
agent = Agent(model=model, instructions="Be brief.", tools=[temperature])


async def main() -> None:
    result = await agent.run("Do I need a coat in Lisbon?")
    print(result.text)
    print(result.usage.total_tokens, "tokens")


trio.run(main)
