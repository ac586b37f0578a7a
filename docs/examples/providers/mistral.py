import os

import trio

from trio_agent import Agent, OpenAIModel


async def temperature(city: str) -> str:
    """Tell the temperature in a city."""
    return f"18 °C in {city}"


model = OpenAIModel(
    "mistral-large-latest",
    base_url=os.environ.get("MISTRAL_BASE_URL", "https://api.mistral.ai/v1"),
    api_key=os.environ["MISTRAL_API_KEY"],
    call_ids="mistral",
    stream_usage=False,
)
agent = Agent(model=model, tools=[temperature])


async def main() -> None:
    result = await agent.run("Do I need a coat in Lisbon?")
    print(result.text)


trio.run(main)
