import os

import trio

from trio_agent import Agent, OpenAIModel

model = OpenAIModel(
    "mini",  # the name of the deployment
    # such as https://name.openai.azure.com/openai/v1
    base_url=os.environ["AZURE_OPENAI_BASE_URL"],
    api_key=os.environ["AZURE_OPENAI_API_KEY"],
)


async def main() -> None:
    result = await Agent(model=model).run("What is a cancel scope?")
    print(result.text)


trio.run(main)
