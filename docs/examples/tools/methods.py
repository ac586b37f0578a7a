from functools import partial

import trio

from trio_agent import Agent, tool
from trio_agent.testing import ScriptedModel, call


class Shop:
    def __init__(self, prices: dict[str, float]) -> None:
        self.prices = prices

    async def price(self, item: str) -> float:
        """Tell the price of an item in euros."""
        return self.prices[item]


def convert(amount: float, rate: float) -> float:
    """Convert an amount of euros to crowns."""
    return amount * rate


shop = Shop({"tea": 4.0})
model = ScriptedModel(
    [call("c1", "get_price", item="tea")],
    [call("c2", "convert", amount=4.0)],
    ["46 crowns."],
)
agent = Agent(
    model=model,
    tools=[tool(shop.price, name="get_price"), tool(partial(convert, rate=11.5))],
)


async def main() -> None:
    for made in agent.tools:
        print(made.name, list(made.schema["properties"]))
    print((await agent.run("What does tea cost, in crowns?")).text)


trio.run(main)
