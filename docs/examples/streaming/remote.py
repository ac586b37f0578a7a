import sys

import trio

from trio_agent import TextDelta
from trio_agent.client import open_client


async def main() -> None:
    async with open_client(sys.argv[1]) as client:  # such as http://127.0.0.1:8000
        run_id = await client.start("Count to five.", retractable=False)
        async with client.subscribe(run_id) as events:
            async for event in events:
                if isinstance(event.event, TextDelta):
                    print(event.event.delta, end="", flush=True)
        print(f"\n[{(await client.info(run_id))['status']}]")


trio.run(main)
