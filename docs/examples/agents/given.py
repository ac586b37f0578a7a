from typing import Literal

import attrs
import trio

from trio_agent import Agent, ToolContext, tool
from trio_agent.testing import ScriptedModel, call


@attrs.frozen
class Units:
    temperature: Literal["C", "F"]


@tool
def measure(context: ToolContext[Units]) -> str:
    """Measure the temperature."""
    return "-3 C" if context.deps.temperature == "C" else "27 F"


model = ScriptedModel([call("c1", "measure")], ["It is cold."])
agent = Agent(model=model, tools=[measure])


async def main() -> None:
    result = await agent.run("Is it cold?", deps=Units("F"))
    print(result.messages[2].content)


trio.run(main)
