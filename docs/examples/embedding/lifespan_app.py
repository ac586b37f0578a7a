from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from trio_agent import Agent, open_runtime
from trio_agent.servers import Service, create_app

agent = Agent(name="greeter", model="gpt-4o-mini")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with open_runtime() as runtime:
        app.mount("/agents", create_app(Service(runtime, [agent])))
        yield
        await runtime.drain(grace=10)


app = Starlette(lifespan=lifespan)
