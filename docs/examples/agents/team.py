import trio

from trio_agent import Agent, Limits, Nested, TextDelta, ToolResult
from trio_agent.testing import ScriptedModel, call

historian = Agent(name="historian", model=ScriptedModel(["In 1930."]))
critic = Agent(name="critic", model=ScriptedModel(["Say where you have it from."]))
writer = Agent(
    name="writer",
    model=ScriptedModel(
        [
            call("c1", "historian", prompt="When was the tower built?"),
            call("c2", "critic", prompt="The tower is from 1930."),
        ],
        ["The tower, says the archive, is from 1930."],
    ),
    tools=[
        historian.as_tool(description="Ask for facts about the town."),
        critic.as_tool(description="Have a text criticised.", deadline=30),
    ],
    limits=Limits(max_tokens=20_000),
)


async def main() -> None:
    async with writer.stream_events("Write about the tower.") as events:
        async for event in events:
            match event:
                case Nested(call=call_id, event=TextDelta(delta=text)):
                    print(f"  {call_id}: {text}")
                case ToolResult(tool=result):
                    print(f"{result.name} {result.status}")
                case TextDelta(delta=text):
                    print(text)


trio.run(main)
