"""An agent whose calls wait for people, for the tests of the servers."""

from collections.abc import Sequence
from typing import Any

import trio.testing

from trio_agent import Agent, ClientTool, Run, RunWaiting, tool
from trio_agent.testing import ScriptedModel, call

PAY = call("c1", "pay", amount=7)
LOOK = call("c1", "look", where="here")


class Till:
    """What is paid, and an agent that pays with approval, and looks by its client."""

    def __init__(self, *answers: Sequence[Any]) -> None:
        self.paid: list[int] = []

        @tool(approval=True)
        async def pay(amount: int) -> str:
            """Pay."""
            self.paid.append(amount)
            return f"paid {amount}"

        self.model = ScriptedModel(*(answers or ([PAY], ["Done."])))
        self.agent = Agent(model=self.model, tools=[pay, ClientTool("look")])


async def asleep(run: Run) -> None:
    """Wait until a run waits for somebody."""
    with run.subscribe() as events:
        async for event in events:
            if isinstance(event, RunWaiting):
                break
    while run.status != "waiting":
        await trio.testing.wait_all_tasks_blocked()
