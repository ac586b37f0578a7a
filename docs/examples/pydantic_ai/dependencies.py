from dataclasses import dataclass

import trio

from trio_agent import Agent, ToolContext, tool


@dataclass
class Shop:
    orders: dict[str, int]


@tool
async def count_orders(context: ToolContext[Shop], customer: str) -> int:
    """Count the orders of a customer."""
    return context.deps.orders.get(customer, 0)


agent = Agent(model="gpt-4o-mini", tools=[count_orders])


async def main() -> None:
    result = await agent.run("How many orders has ada?", deps=Shop({"ada": 25}))
    print(result.output)


trio.run(main)
