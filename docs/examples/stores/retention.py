import math
import sys

import trio

from trio_agent import Retention, RuntimeLimits, SQLiteStore, open_runtime

DAY = 86_400
retention = Retention(
    seconds=30 * DAY,
    max_runs=math.inf,
    max_bytes=math.inf,
    owner_bytes=10e9,
)


async def main(path: str) -> None:
    limits = RuntimeLimits(retention=retention)
    async with open_runtime(store=SQLiteStore(path), limits=limits) as runtime:
        page = await runtime.runs(limit=50)
        print("kept:", len(page.runs))


trio.run(main, sys.argv[1])
