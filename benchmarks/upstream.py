"""The provider of both candidates: 200 tokens a call, at the rate that the prompt asks for.

The prompt is a number of tokens per second; 0 means as fast as the socket takes them.
"""

import itertools
import sys
from functools import partial

import trio

from benchmarks.languages import LANGUAGES


async def main(language: str = "openai") -> None:
    spoken = LANGUAGES[language]
    async with trio.open_nursery() as nursery:
        script = itertools.repeat(spoken.reply)
        upstream = await nursery.start(partial(spoken.serve, script))
        print(upstream.base_url, flush=True)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
