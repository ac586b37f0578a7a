import datetime
from typing import Any

import trio

from trio_agent import Agent, tool
from trio_agent.testing import ScriptedModel, call


@tool(
    schema={
        "type": "object",
        "properties": {
            "day": {"type": "string", "description": "The new day, such as 2026-01-31."},
            "wishes": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["day"],
    }
)
async def move(day: datetime.date, **others: Any) -> None:
    """Move a reservation to another day."""
    print("moved to", day, others.get("wishes"))


model = ScriptedModel([call("c1", "move", day="2026-02-01", wishes=["quiet"])], ["Done."])
agent = Agent(model=model, tools=[move])

trio.run(agent.run, "Move it to February, somewhere quiet.")
