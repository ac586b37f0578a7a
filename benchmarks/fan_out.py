"""Deliveries per second to subscribers of one run in this process, through `receive_batch()`."""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence

import attrs
import trio
import trio.testing

from trio_agent import Agent, RunFinish, Subscription, open_runtime
from trio_agent.abc import Emit, Model, ModelFinish, ModelRequest, TextPart

BURST = 32
ROUNDS = 5
BOUND = 1_000_000
"""Deliveries per second to 1000 subscribers, at least."""


@attrs.frozen(eq=False)
class Burster(Model):
    """Publishes as many bursts as the prompt says, once it may go."""

    go: trio.Event

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        await self.go.wait()
        burst = [TextPart("word ")] * BURST
        for _ in range(int(request.messages[-1].content)):
            await emit(*burst)
        return ModelFinish("stop")


async def _count(events: Subscription, counts: list[int]) -> None:
    received = 0
    with events:
        while True:
            batch = await events.receive_batch()
            received += len(batch)
            if isinstance(batch[-1], RunFinish):
                counts.append(received)
                return


async def measure(subscribers: int) -> float:
    """Return deliveries per second."""
    bursts = min(2000, 40_000 // subscribers)
    model = Burster(trio.Event())
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(name="burster", model=model), str(bursts))
        counts: list[int] = []
        async with trio.open_nursery() as nursery:
            for _ in range(subscribers):
                nursery.start_soon(_count, run.subscribe(), counts)
            await trio.testing.wait_all_tasks_blocked()
            started = time.perf_counter()
            model.go.set()
        seconds = time.perf_counter() - started
        events = (await runtime.store.info(run.id)).tail
    assert counts == [events] * subscribers
    return sum(counts) / seconds


async def main(sizes: Sequence[int] = (1, 10, 100, 1000)) -> float:
    """Print a table; return the last figure."""
    print(f"deliveries per second, bursts of {BURST}, median of {ROUNDS}:")
    speed = 0.0
    for size in sizes:
        speed = statistics.median([await measure(size) for _ in range(ROUNDS)])
        print(f"  {size:5} subscribers {speed / 1e6:7.2f} million/s", flush=True)
    return speed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if below the bound")
    options = parser.parse_args()
    speed = trio.run(main)
    sys.exit(options.check and speed < BOUND)
