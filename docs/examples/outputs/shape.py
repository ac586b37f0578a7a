from dataclasses import dataclass
from datetime import date
from typing import Literal

import trio

from trio_agent import Agent
from trio_agent.testing import ScriptedModel, output


@dataclass
class Booking:
    """A journey that can be booked."""

    day: date
    seats: int
    travel_class: Literal["first", "second"] = "second"


@dataclass
class Question:
    """What has to be asked before that."""

    text: str


model = ScriptedModel(
    output({"type": "Booking", "day": "2026-05-02", "seats": 2}),
    output({"type": "Question", "text": "When?"}),
)
agent = Agent(model=model, output=(Booking, Question))


async def main() -> None:
    for prompt in ("Two seats on 2 May, please.", "I want to go to Oslo."):
        result = await agent.run(prompt)
        match result.output:
            case Booking(day=day, seats=seats):
                print(f"{seats} seats on {day:%d %B}")
            case Question(text=text):
                print(text)


trio.run(main)
