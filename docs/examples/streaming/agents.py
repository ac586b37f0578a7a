import trio

from trio_agent import Agent, AnyEvent, Nested, TextDelta, ToolContext, ToolProgress, tool


@tool
async def read(context: ToolContext, pages: int) -> str:
    """Read so many pages of the contract."""
    context.progress({"message": f"reading {pages} pages"})
    await trio.sleep(0.5)
    return "It holds."


lawyer = Agent(model="gpt-4o-mini", name="lawyer", tools=[read])
boss = Agent(model="gpt-4o-mini", name="boss", tools=[lawyer.as_tool()])


def show(event: AnyEvent, indent: str = "") -> None:
    match event:
        case Nested(event=inner) if inner is not None:
            show(inner, indent + "  ")
        case TextDelta():
            print(indent + event.delta)
        case ToolProgress():
            print(f"{indent}{event.tool.name}: {event.data['message']}")


async def main() -> None:
    async with boss.stream_events("Does our contract hold?") as events:
        async for event in events:
            show(event)


trio.run(main)
