import attrs
import trio

from trio_agent import Agent
from trio_agent.testing import ScriptedModel, output


@attrs.frozen
class Booking:
    train: str
    seats: int


@attrs.frozen
class Question:
    ask: str


model = ScriptedModel(
    output({"output": {"ask": "For how many?"}}),
    output({"output": {"train": "08:05", "seats": 2}}),
)
agent = Agent(model=model, output=(Booking, Question))


async def main() -> None:
    result = await agent.run("Book the next train to Bergen.")
    while isinstance(result.output, Question):
        print(result.output.ask)
        result = await agent.run("For two.", messages=result.messages)
    print(f"{result.output.seats} seats at {result.output.train}")


trio.run(main)
