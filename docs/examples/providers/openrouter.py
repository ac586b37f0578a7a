import os

import trio

from trio_agent import Agent, OpenAIModel

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


async def main() -> None:
    result = await Agent(model=model).run("What is a cancel scope?")
    print(result.text)


trio.run(main)
