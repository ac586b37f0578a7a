import os
from datetime import date

import trio

from trio_agent import Agent, OpenAIModel


async def find_trains(day: date) -> list[str]:
    """Find the trains of a day."""
    return [f"{day:%A}, 9:04"]


model = OpenAIModel(
    "gemini-3-flash-preview",
    base_url=os.environ.get(
        "GEMINI_BASE_URL", "https://generativelanguage.googleapis.com/v1beta/openai"
    ),
    api_key=os.environ["GEMINI_API_KEY"],
    schema_dialect="gemini",
)
agent = Agent(model=model, tools=[find_trains], tool_choice="find_trains")


async def main() -> None:
    result = await agent.run("When can I leave on May 2, 2026?")
    print(result.text)


trio.run(main)
