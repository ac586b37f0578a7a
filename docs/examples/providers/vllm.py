import os

import trio

from trio_agent import Agent, OpenAIModel

# vllm serve Qwen/Qwen3-8B --enable-auto-tool-choice --tool-call-parser hermes
model = OpenAIModel(
    "Qwen/Qwen3-8B",
    base_url=os.environ.get("VLLM_BASE_URL", "http://localhost:8000/v1"),
    api_key=os.environ.get("VLLM_API_KEY", "none"),
    think_tags=True,  # not with --reasoning-parser
    options={"top_k": 20, "chat_template_kwargs": {"enable_thinking": True}},
)


async def main() -> None:
    result = await Agent(model=model).run("What is 17 times 3?")
    print(result.text)


trio.run(main)
