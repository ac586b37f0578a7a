import sys

import trio

from trio_agent import SQLiteStore, TextDelta, open_runtime


async def main() -> None:
    async with open_runtime(store=SQLiteStore(sys.argv[1], follow=True)) as runtime:
        [newest] = await runtime.store.find(None, None, 1)
        run = await runtime.find(newest.record.run_id)
        async with run.subscribe() as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    print(event.delta, end="", flush=True)
        print()


trio.run(main)
