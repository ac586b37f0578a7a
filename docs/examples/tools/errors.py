import logging

import trio

from trio_agent import Agent, ToolError, ToolResult, tool
from trio_agent.testing import ScriptedModel, call

logging.basicConfig(filename="errors.log")

STOCK = {"tea": 12}


@tool
async def order(item: str) -> str:
    """Order an item."""
    if item not in STOCK:
        raise ToolError(f"there is no {item}; there is: {', '.join(STOCK)}")
    return f"one {item} is on its way"


@tool
async def count(item: str) -> int:
    """Tell how many of an item there are."""
    return STOCK[item]


model = ScriptedModel(
    [call("c1", "order", item="coffee")],
    [call("c2", "count", item="coffee")],
    ["There is no coffee."],
)
agent = Agent(model=model, tools=[order, count])


async def main() -> None:
    async with agent.stream_events("Order coffee.") as events:
        async for event in events:
            if isinstance(event, ToolResult):
                print(f"{event.tool.name} {event.tool.status}: {event.tool.output}")


trio.run(main)
