from collections.abc import Mapping
from typing import Any

import trio

from trio_agent import Agent, Tool, ToolContext, ToolError
from trio_agent.testing import ScriptedModel, call

ROUTES = {
    "order_status": ("Tell where an order is.", {"id": {"type": "string"}}),
    "opening_hours": ("Tell when a shop is open.", {"shop": {"type": "string"}}),
}


class Route(Tool[object]):
    """A tool that is known at run time only: here, a route of some API."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._description, self._properties = ROUTES[name]

    @property
    def name(self) -> str:
        return self._name

    @property
    def description(self) -> str:
        return self._description

    @property
    def schema(self) -> Mapping[str, Any]:
        required = list(self._properties)
        return {"type": "object", "properties": self._properties, "required": required}

    async def call(self, arguments: Any, context: ToolContext[object]) -> Any:
        if not isinstance(arguments, dict) or arguments.keys() != self._properties.keys():
            raise ToolError(f"the fields are: {', '.join(self._properties)}")
        await trio.lowlevel.checkpoint()  # stands for the request
        return {"route": self._name, **arguments}


model = ScriptedModel(
    [call("c1", "order_status", number=7)],
    [call("c2", "order_status", id="7")],
    ["It is on its way."],
)
agent = Agent(model=model, tools=[Route(name) for name in ROUTES])


async def main() -> None:
    result = await agent.run("Where is order 7?")
    print(result.messages[2].content)
    print(result.messages[4].content)


trio.run(main)
