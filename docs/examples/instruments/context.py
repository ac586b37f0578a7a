import logging
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import trio

from trio_agent import Agent, RunFacts, open_runtime, tool
from trio_agent.abc import Instrument, RunEnd, ToolEnd, ToolFacts
from trio_agent.testing import ScriptedModel, call

place: ContextVar[str] = ContextVar("place", default="")
logger = logging.getLogger("shop")


@contextmanager
def within(name: str) -> Iterator[None]:
    token = place.set(f"{place.get()}/{name}")
    try:
        yield
    finally:
        place.reset(token)


class Places(Instrument):
    """Knows where in a run some code is."""

    def run(self, run: RunFacts) -> Generator[None, RunEnd, None]:
        with within(run.agent):
            yield

    def tool(self, call: ToolFacts) -> Generator[None, ToolEnd, None]:
        with within(call.call_id):
            yield


class WithPlace(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{place.get()}: {record.getMessage()}"


@tool
def buy(what: str) -> str:
    """Buy something."""  # a sync tool, so this is in a thread
    logger.warning("one %s less", what)
    return "bought"


model = ScriptedModel([call("c1", "buy", what="tea")], ["Done."])
agent = Agent(model=model, name="clerk", tools=[buy])


async def main() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(WithPlace())
    logger.addHandler(handler)
    async with open_runtime(instruments=[Places()]) as runtime:
        run = await runtime.start(agent, "Some tea, please.")
        await run.wait()


trio.run(main)
