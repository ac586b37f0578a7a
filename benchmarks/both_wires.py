"""A server of both wires, whose model says what time it is."""

import trio

from benchmarks.agent_server import Stamps
from trio_agent import Agent, open_runtime
from trio_agent.servers import serve_http, serve_websocket


async def main() -> None:
    agents = [Agent(name="stamps", model=Stamps())]
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        addresses = [
            *await nursery.start(serve_http, runtime, agents),
            *await nursery.start(serve_websocket, runtime, agents),
        ]
        print(*addresses, flush=True)


if __name__ == "__main__":
    trio.run(main)
