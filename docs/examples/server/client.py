import sys

import trio

from trio_agent import RunFinish, TextDelta
from trio_agent.client import open_client


async def main() -> None:
    async with open_client(sys.argv[1]) as client:  # such as http://127.0.0.1:8000
        run_id = await client.start(
            "How is the weather in Oslo?",
            idempotency_key="ticket-7",
            retractable=False,  # what is printed here stays
        )
        async with client.subscribe(run_id) as events:
            async for remote in events:
                match remote.event:
                    case TextDelta(delta=text):
                        print(text, end="", flush=True)
                    case RunFinish(run=run):
                        print(f"\n{run.finish_reason}, {events.reconnects} reconnects")


trio.run(main)
