"""The agents of ``trio-agent demo``: tools over a small table that says that it is made up."""

import os
from typing import Annotated

import msgspec

from trio_agent import Agent, Limits, ToolError, tool

from ._agents import find_model

_WEATHER = {"oslo": (-3, "snow"), "lisbon": (19, "sun"), "nairobi": (24, "clouds")}


@tool
async def get_weather(city: Annotated[str, msgspec.Meta(description="Name of a city")]) -> str:
    """Get the current weather of a city."""
    try:
        celsius, sky = _WEATHER[city.strip().lower()]
    except KeyError:
        known = ", ".join(name.title() for name in _WEATHER)
        raise ToolError(f"no weather for {city!r}; there is one for: {known}") from None
    return f"{city.title()}: {celsius} degrees Celsius, {sky} (made-up data)"


@tool
def convert_temperature(celsius: float) -> float:
    """Convert a temperature from Celsius to Fahrenheit."""
    return round(celsius * 9 / 5 + 32, 1)


@tool(approval=True)
def book_room(city: str, nights: int) -> str:
    """Book a hotel room in a city. Somebody is asked whether that is all right."""
    return f"A room in {city.title()} is booked for {nights} nights (made-up booking)"


model = find_model(
    name=os.environ.get("TRIO_AGENT_MODEL"),
    base_url=os.environ.get("TRIO_AGENT_BASE_URL"),
    gguf=os.environ.get("TRIO_AGENT_GGUF"),
)

agent = Agent(
    name="demo",
    instructions="You are a friendly travel assistant.",
    model=model,
    tools=[get_weather, convert_temperature],
    limits=Limits(max_steps=4),
)

booking = Agent(
    name="booking",
    instructions=(
        "You are a friendly travel assistant. Say first, in two sentences, what you are going to"
        " do. Then call the tool."
    ),
    model=model,
    tools=[book_room],
    limits=Limits(max_steps=4),
)
