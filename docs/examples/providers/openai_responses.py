import trio

from trio_agent import Agent, OpenAIResponsesModel


async def temperature(city: str) -> str:
    """Tell the temperature in a city."""
    return f"18 °C in {city}"


# Where it is and the key come from OPENAI_BASE_URL and OPENAI_API_KEY.
model = OpenAIResponsesModel(
    "gpt-5.4",
    options={"reasoning": {"effort": "low", "summary": "auto"}},
)
agent = Agent(model=model, tools=[temperature])


async def main() -> None:
    result = await agent.run("Do I need a coat in Lisbon?")
    print(result.text)
    print(result.usage.reasoning_tokens, "tokens of reasoning")


trio.run(main)
