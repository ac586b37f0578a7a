"""The provider of both candidates: 200 tokens a call, at the rate that the prompt asks for.

The prompt is a number of tokens per second; 0 means as fast as the socket takes them.
"""

import itertools
from functools import partial

import trio

from trio_agent.testing.openai import (
    Answer,
    RecordedRequest,
    finish,
    serve_scripted_openai,
    tokens,
    usage,
)

TOKENS = 200


def answer(request: RecordedRequest) -> Answer:
    rate = float(request.body["messages"][-1]["content"])
    return [tokens(TOKENS, rate=rate or None), finish(), usage(1, TOKENS)]


async def main() -> None:
    async with trio.open_nursery() as nursery:
        script = itertools.repeat(answer)
        upstream = await nursery.start(partial(serve_scripted_openai, script))
        print(upstream.base_url, flush=True)


if __name__ == "__main__":
    trio.run(main)
