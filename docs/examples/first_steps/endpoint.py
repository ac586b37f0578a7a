import sys

import trio

from trio_agent import Agent, OpenAIModel

model = OpenAIModel(
    "llama3.2",
    base_url=sys.argv[1],  # such as http://localhost:11434/v1
    options={"temperature": 0},
    first_token_deadline=30,
)
agent = Agent(model=model)


async def main() -> None:
    result = await agent.run("What is a cancel scope?")
    print(result.text)


trio.run(main)
