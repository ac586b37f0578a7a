from functools import partial

import trio
from starlette.requests import HTTPConnection

from trio_agent import Agent, open_runtime
from trio_agent.servers import Guard, Unauthorized, serve_http, serve_websocket

agent = Agent(name="greeter", model="gpt-4o-mini")

SESSIONS = {"9f1c7b1e5a": "alice", "4d02c8e6f7": "bob"}  # of your application


async def authorize(request: HTTPConnection) -> str | None:
    """Name the principal of a request, or refuse it."""
    user = SESSIONS.get(request.cookies.get("session", ""))
    if user is None:
        raise Unauthorized("log in first")
    return user


async def main() -> None:
    guard = Guard(
        authorize=authorize,
        hosts=["localhost", "127.0.0.1", "agents.example.com"],
        origins=["https://app.example.com"],
    )
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        [http] = await nursery.start(partial(serve_http, runtime, [agent], guard=guard))
        [websocket] = await nursery.start(partial(serve_websocket, runtime, [agent], guard=guard))
        print(http, websocket, flush=True)


trio.run(main)
