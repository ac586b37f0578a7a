import os

import trio

from trio_agent import Agent, OpenAIModel


async def temperature(city: str) -> str:
    """Tell the temperature in a city."""
    return f"18 °C in {city}"


model = OpenAIModel(
    "qwen3:8b",
    base_url=os.environ.get("OLLAMA_BASE_URL", "http://localhost:11434/v1"),
    api_key="ollama",  # anything: without it, OPENAI_API_KEY would be sent
    empty_content="empty",
    first_token_deadline=300,  # the first call loads the model
)
agent = Agent(model=model, tools=[temperature])


async def main() -> None:
    result = await agent.run("Do I need a coat in Lisbon?")
    print(result.text)


trio.run(main)
