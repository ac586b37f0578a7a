import attrs
import trio

from trio_agent import Agent, OutputRetry, RunContext, RunFinish, ToolError
from trio_agent.testing import ScriptedModel, output


@attrs.frozen
class Table:
    name: str
    seats: int


FREE = {"window": 2, "garden": 6}


async def is_free(context: RunContext, table: Table) -> Table:
    if FREE.get(table.name, 0) < table.seats:
        raise ToolError(f"there are these free tables: {FREE}")
    return table


model = ScriptedModel(
    output({"name": "window", "seats": "four"}),
    output({"name": "window", "seats": 4}),
    output({"name": "garden", "seats": 4}),
)
agent = Agent(model=model, output=Table, output_validators=[is_free])


async def main() -> None:
    async with agent.stream_events("A table for four!") as events:
        async for event in events:
            match event:
                case OutputRetry(message=message):
                    print("again:", message)
                case RunFinish(run=run):
                    print(run.output)


trio.run(main)
