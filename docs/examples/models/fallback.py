import sys

import trio

from trio_agent import Agent, FallbackModel, OpenAIModel

model = FallbackModel(
    OpenAIModel("gpt-4o-mini", base_url=sys.argv[1], first_token_deadline=10),
    # such as http://localhost:11434/v1
    OpenAIModel("llama3:8b", base_url=sys.argv[1]),
)


async def main() -> None:
    result = await Agent(model=model).run("Is anybody there?")
    print(result.text)


trio.run(main)
