import sys
from datetime import date

import trio

from trio_agent import Agent, OpenAIModel


async def find_trains(day: date) -> list[str]:
    """Find the trains of a day."""
    return [f"{day:%A}, 9:04"]


model = OpenAIModel(
    "gemini-2.5-flash",
    base_url=sys.argv[1],  # https://generativelanguage.googleapis.com/v1beta/openai
    schema_dialect="gemini",
)
agent = Agent(model=model, tools=[find_trains], tool_choice="find_trains")


async def main() -> None:
    result = await agent.run("When can I leave on May 2, 2026?")
    print(result.text)


trio.run(main)
