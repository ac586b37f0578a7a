"""Our side: the server as it is, with an agent whose model is the upstream."""

import sys

import trio
from trio_agent.servers import serve_http

from trio_agent import Agent, OpenAIModel, open_runtime


async def main(base_url: str) -> None:
    model = OpenAIModel("scripted", base_url=base_url, api_key="none")
    agent = Agent(name="benchmark", model=model)
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        [address] = await nursery.start(serve_http, runtime, [agent])
        print(address, flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
