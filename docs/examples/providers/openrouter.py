import os

import trio

from trio_agent import Agent, OpenAIModel


async def temperature(city: str) -> str:
    """Tell the temperature in a city."""
    return f"18 °C in {city}"


model = OpenAIModel(
    "anthropic/claude-sonnet-4.5",
    base_url=os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1"),
    api_key=os.environ["OPENROUTER_API_KEY"],
    headers={"HTTP-Referer": "https://weather.example", "X-OpenRouter-Title": "Weather"},
    options={
        "reasoning": {"effort": "low"},
        "provider": {"require_parameters": True},
    },
)
agent = Agent(model=model, tools=[temperature])


async def main() -> None:
    result = await agent.run("Do I need a coat in Lisbon?")
    print(result.text)


trio.run(main)
