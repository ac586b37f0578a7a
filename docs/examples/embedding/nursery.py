import signal
from functools import partial

import trio

from trio_agent import Agent, Runtime, open_runtime
from trio_agent.servers import Guard, serve_http, serve_websocket

agent = Agent(name="greeter", model="gpt-4o-mini")


async def drain_on_sigterm(runtime: Runtime) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        await anext(signals)
        await runtime.drain(grace=10)


async def main() -> None:
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        nursery.start_soon(drain_on_sigterm, runtime)
        [http] = await nursery.start(serve_http, runtime, [agent])
        guard = Guard(origins=[http])  # its pages are on another port
        serve = partial(serve_websocket, runtime, [agent], guard=guard)
        [websocket] = await nursery.start(serve)
        print(http, websocket, flush=True)

        # The program's own runs live in the same runtime.
        run = await runtime.start(agent, "Say hello.", metadata={"by": "the program"})
        print((await run.wait()).text, flush=True)


trio.run(main)
