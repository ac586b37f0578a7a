from collections.abc import Mapping
from typing import Any

import trio

from trio_agent import Agent, Tool, ToolContext
from trio_agent.testing import ScriptedModel, call


class Lookup(Tool[object]):
    """A tool made of a table, for agents with whatever dependencies."""

    def __init__(self, name: str, table: Mapping[str, str]) -> None:
        self._name = name
        self._table = table

    @property
    def name(self) -> str:
        return self._name

    @property
    def description(self) -> str:
        return f"Looks up a {self._name}."

    @property
    def schema(self) -> Mapping[str, Any]:
        key = {"enum": sorted(self._table)}
        return {"type": "object", "properties": {"key": key}, "required": ["key"]}

    async def call(self, arguments: Any, context: ToolContext[object]) -> str:
        return self._table[arguments["key"]]  # a KeyError is told to the model


capital = Lookup("capital", {"NO": "Oslo", "SE": "Stockholm"})
model = ScriptedModel([call("c1", "capital", key="NO")], ["It is Oslo."])


async def main() -> None:
    result = await Agent(model=model, tools=[capital]).run("Norway's capital?")
    print(result.messages[-2].content)


trio.run(main)
