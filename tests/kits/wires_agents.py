"""Agents of servers that are killed between a model's answer and its tools: one on each wire."""

import json
import os

import trio
from wires_kit import WIRES

from trio_agent import Agent, tool


@tool
async def look(city: str) -> None:
    """Look, and never stop."""
    await trio.sleep_forever()


agents = [
    Agent(name=name.replace(" ", "-"), model=WIRES[name].model(url), tools=[look])
    for name, url in json.loads(os.environ["WIRES"]).items()
]
