import os

import trio

from trio_agent import Agent, Limits, OpenAIModel


async def temperature(city: str) -> str:
    """Tell the temperature in a city."""
    return f"18 °C in {city}"


model = OpenAIModel(
    "deepseek-v4-pro",
    base_url=os.environ.get("DEEPSEEK_BASE_URL", "https://api.deepseek.com"),
    api_key=os.environ["DEEPSEEK_API_KEY"],
    options={"reasoning_effort": "high"},
    keep_alive_counts=True,
)
agent = Agent(
    model=model,
    tools=[temperature],
    # What keep-alives can't keep alive forever.
    limits=Limits(step_deadline=600),
)


async def main() -> None:
    result = await agent.run("Do I need a coat in Lisbon?")
    print(result.text)


trio.run(main)
