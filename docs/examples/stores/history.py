import sys

import trio

from trio_agent import SQLiteStore, open_runtime


async def main(path: str) -> None:
    async with open_runtime(store=SQLiteStore(path)) as runtime:
        page = await runtime.runs(limit=50)
        while page.runs:
            for listed in page.runs:
                run = await runtime.find(listed.id)
                print(listed.status, listed.metadata, (await run.wait()).output)
                await runtime.delete(listed.id)
            page = await runtime.runs(limit=50)  # these are gone; else: before=page.next


trio.run(main, sys.argv[1])
