import signal
from functools import partial

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from trio_agent import Agent, Runtime, open_runtime
from trio_agent.servers import Service, create_app

agent = Agent(name="greeter", model="gpt-4o-mini")


async def greet(request: Request) -> JSONResponse:
    """A route of the application: it starts a run, whose events are below the prefix."""
    runtime: Runtime = request.app.state.runtime
    name = request.path_params["name"]
    run = await runtime.start(agent, f"Greet {name}.", metadata={"name": name})
    return JSONResponse({"events": f"/agents/runs/{run.id}/events"})


async def until_drained(runtime: Runtime) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        await anext(signals)
        await runtime.drain(grace=10)


async def main() -> None:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.alpn_protocols = ["http/1.1"]
    config.errorlog = None
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        agents = create_app(Service(runtime, [agent]))
        routes = [Route("/greet/{name}", greet, methods=["POST"]), Mount("/agents", agents)]
        app = Starlette(routes=routes)
        app.state.runtime = runtime
        serve_until = partial(serve, shutdown_trigger=partial(until_drained, runtime))
        [address] = await nursery.start(serve_until, app, config)
        print(address, flush=True)


trio.run(main)
