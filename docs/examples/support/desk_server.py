from functools import partial

import trio
from starlette.requests import HTTPConnection
from support_desk import agent

from trio_agent import Principal, open_runtime
from trio_agent.servers import Guard, Unauthorized, serve_http

SESSIONS = {  # of your application
    "9f1c7b1e5a": Principal("ann", {"mayRefund": 100}),
    "4d02c8e6f7": Principal("bob", {"mayRefund": 20}),
}


async def authorize(request: HTTPConnection) -> Principal:
    """Say whose request it is, or refuse it."""
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if token not in SESSIONS:
        raise Unauthorized("log in first")
    return SESSIONS[token]


async def main() -> None:
    guard = Guard(authorize=authorize)
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        [address] = await nursery.start(partial(serve_http, runtime, [agent], guard=guard))
        print(address, flush=True)


trio.run(main)
