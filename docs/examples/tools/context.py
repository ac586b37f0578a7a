import trio

from trio_agent import Agent, ToolContext, ToolProgress, ToolResult, tool
from trio_agent.testing import ScriptedModel, call

Orders = dict[str, int]


@tool
async def order(context: ToolContext[Orders], item: str, count: int) -> str:
    """Order some of an item.

    Args:
        context: what this call knows of its run; no model sees it.
        item: What to order.
        count: How many.
    """
    key = f"{context.run_id}/{context.call_id}"
    for packed in range(1, count + 1):
        await trio.sleep(0.05)
        context.progress({"done": packed, "total": count})
    context.deps.setdefault(key, count)  # however often it is tried, there is one order
    return f"{count} of {item} are on their way"


model = ScriptedModel([call("c1", "order", item="tea", count=2)], ["Done."])
agent = Agent(model=model, tools=[order])


async def main() -> None:
    print(list(order.schema["properties"]))
    orders: Orders = {}
    async with agent.stream_events("Two teas.", deps=orders) as events:
        async for event in events:
            if isinstance(event, ToolProgress):
                print(f"{event.tool.id}: {event.data}")
            elif isinstance(event, ToolResult):
                print(f"{event.tool.id}: {event.tool.output}")
    print([key.partition("/")[2] for key in orders])


trio.run(main)
