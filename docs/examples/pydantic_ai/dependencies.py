import trio

from trio_agent import Agent, OpenAIModel

model = OpenAIModel("gpt-4o-mini")


class Shop:
    def __init__(self, orders: dict[str, int]) -> None:
        self.orders = orders

    async def count_orders(self, customer: str) -> int:
        """Count the orders of a customer."""
        return self.orders.get(customer, 0)


def agent_for(shop: Shop) -> Agent:
    return Agent(model=model, tools=[shop.count_orders])


async def main() -> None:
    result = await agent_for(Shop({"ada": 25})).run("How many orders has ada?")
    print(result.text)


trio.run(main)
