import attrs
import trio

from trio_agent import Agent
from trio_agent.testing import ScriptedModel, output


@attrs.frozen
class Trip:
    to: str
    stops: list[str]


said = output({"to": "Bergen", "stops": ["Finse", "Voss"]}, size=13)
model = ScriptedModel([line for part in said for line in (part, 0.05)])
agent = Agent(model=model, output=Trip)


async def main() -> None:
    async with agent.stream_output("Plan a trip to Bergen.") as partials:
        async for partial in partials:
            print(partial)
        result = await partials.result()
    print(result.output)


trio.run(main)
