import attrs
import trio

from trio_agent import Agent, ToolContext, tool
from trio_agent.testing import ScriptedModel, call


@attrs.frozen
class Shop:
    orders: dict[str, int]


@tool
async def count_orders(context: ToolContext[Shop], customer: str) -> int:
    """Count the orders of a customer."""
    return context.deps.orders.get(customer, 0)


model = ScriptedModel([call("c1", "count_orders", customer="ada")], ["She has 25 orders."])
agent = Agent(model=model, tools=[count_orders])


async def main() -> None:
    result = await agent.run("How many orders has ada?", deps=Shop({"ada": 25}))
    print(result.text)


trio.run(main)
