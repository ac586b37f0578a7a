import attrs
import trio

from trio_agent import Agent, AnyEvent, Nested, RunFinish, ToolCall, ToolResult, Usage, tool
from trio_agent.abc import ModelFinish
from trio_agent.testing import ScriptedModel, call, output


@attrs.frozen
class Opinion:
    holds: bool
    because: str


@tool
async def look_up(article: int) -> str:
    """Look up an article of the law."""
    return "A contract holds if both have signed it."


ASKED = ModelFinish("tool-calls", Usage(total_tokens=50))
SAID = ModelFinish("stop", Usage(total_tokens=100))
lawyer = Agent(
    name="lawyer",
    model=ScriptedModel(
        [call("c1", "look_up", article=7), ASKED],
        [*output({"holds": True, "because": "article 7"}), SAID],
    ),
    tools=[look_up],
    output=Opinion,
)
boss = Agent(
    name="boss",
    model=ScriptedModel(
        [call("c1", "lawyer", prompt="Does a signed contract hold?"), ASKED],
        ["It holds.", SAID],
    ),
    tools=[lawyer.as_tool(description="Ask what the law is.")],
)


def show(event: AnyEvent, indent: str = "") -> None:
    match event:
        case Nested(event=inner) if inner is not None:
            show(inner, indent + "  ")
        case ToolCall(tool=asked):
            print(f"{indent}{asked.id} {asked.name} {asked.input}")
        case ToolResult(tool=done):
            print(f"{indent}{done.id} {done.status} {done.output}")
        case RunFinish(run=run):
            print(f"{indent}{run.finish_reason}, {run.usage.total_tokens} tokens", end="")
            print(f", its own {run.own_usage.total_tokens}" if run.own_usage else "")


async def main() -> None:
    async with boss.stream_events("Does our contract hold?") as events:
        async for event in events:
            show(event)


trio.run(main)
