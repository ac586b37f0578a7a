import sys

import trio

from trio_agent import Agent, OpenAIModel


async def fetch_token() -> str:
    """Ask whoever gives out tokens, and remember the token while it is good."""
    await trio.sleep(0.01)
    return "a-token-for-an-hour"


model = OpenAIModel(
    "gpt-4o-mini",
    # such as https://name.openai.azure.com/openai/deployments/mini?api-version=2024-10-21
    base_url=sys.argv[1],
    api_key=fetch_token,
    headers={"X-Title": "Weather"},
)


async def main() -> None:
    result = await Agent(model=model).run("What is a cancel scope?")
    print(result.text)


trio.run(main)
