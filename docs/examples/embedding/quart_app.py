from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.middleware.dispatcher import TrioDispatcherMiddleware
from hypercorn.trio import serve
from quart_trio import QuartTrio

from trio_agent import Agent, open_runtime
from trio_agent.servers import Service, create_app

agent = Agent(name="greeter", model="gpt-4o-mini")
quart = QuartTrio("greetings")


@quart.get("/")
async def home() -> str:
    return "Hello from Quart."


async def main() -> None:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        agents = create_app(Service(runtime, [agent]))
        apps: dict[str, Any] = {"/agents": agents, "": quart}
        app = TrioDispatcherMiddleware(apps)
        [address] = await nursery.start(serve, app, config)
        print(address, flush=True)


trio.run(main)
