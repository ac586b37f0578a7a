import attrs
import trio

from trio_agent import Agent, OutputRetry, RunContext, ToolError
from trio_agent.testing import ScriptedModel, output


@attrs.frozen
class Order:
    item: str
    count: int


async def in_stock(context: RunContext, order: Order) -> Order:
    if order.count > 3:
        raise ToolError("there are only 3: order fewer")
    return order


model = ScriptedModel(
    output({"item": "teapot", "count": "five"}),
    output({"item": "teapot", "count": 5}),
    output({"item": "teapot", "count": 3}),
)
agent = Agent(model=model, output=Order, output_validators=[in_stock])


async def main() -> None:
    async with agent.stream_events("Five teapots, or as many as there are.") as events:
        async for event in events:
            if isinstance(event, OutputRetry):
                print("correction:", event.message)
    for message in model.requests[-1].messages:
        print(f"{type(message).__name__}: {message.content}")


trio.run(main)
