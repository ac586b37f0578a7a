from collections import Counter
from collections.abc import Generator

import trio

from trio_agent import Agent, RunFacts, open_runtime, tool
from trio_agent.abc import Instrument, RunEnd, ToolEnd, ToolFacts
from trio_agent.testing import ScriptedModel, call


class Meter(Instrument):
    """Counts calls, and tells of runs."""

    def __init__(self) -> None:
        self.calls = Counter[tuple[str, str]]()

    def run(self, run: RunFacts) -> Generator[None, RunEnd, None]:
        print(f"{run.agent} begins")
        end = yield
        print(f"{run.agent} ended: {end.outcome}, {end.steps} steps")

    def tool(self, call: ToolFacts) -> Generator[None, ToolEnd, None]:
        end = yield
        self.calls[call.tool, end.status] += 1


@tool
async def weather(city: str) -> str:
    """Look up the weather in a city."""
    return "7 degrees"


model = ScriptedModel([call("c1", "weather", city="Oslo")], ["It ", "is ", "cold."])
agent = Agent(model=model, name="meteo", tools=[weather])


async def main() -> None:
    meter = Meter()
    async with open_runtime(instruments=[meter]) as runtime:
        run = await runtime.start(agent, "How is the weather in Oslo?")
        await run.wait()
    print(dict(meter.calls))


trio.run(main)
