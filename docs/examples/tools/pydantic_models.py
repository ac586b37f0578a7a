import trio
from pydantic import BaseModel, Field, field_validator

from trio_agent import Agent, ToolResult, tool
from trio_agent.testing import ScriptedModel, call


class Guest(BaseModel):
    name: str = Field(description="As in the passport.")
    age: int = Field(ge=0, le=150)

    @field_validator("name")
    @classmethod
    def has_surname(cls, name: str) -> str:
        if " " not in name:
            raise ValueError("the surname is missing")
        return name


@tool
async def book(guest: Guest, nights: int = 1) -> Guest:
    """Book a room."""
    return guest


model = ScriptedModel(
    [call("c1", "book", guest={"name": "Ada", "age": 36})],
    [call("c2", "book", guest={"name": "Ada Lovelace", "age": 36})],
    ["Booked."],
)
agent = Agent(model=model, tools=[book])


async def main() -> None:
    async with agent.stream_events("A room for Ada, 36.") as events:
        async for event in events:
            if isinstance(event, ToolResult):
                print(f"{event.tool.status}: {event.tool.output}")


trio.run(main)
