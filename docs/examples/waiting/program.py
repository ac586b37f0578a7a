from typing import Any

import trio

from trio_agent import Agent, Answer, ToolAsked, ToolContext, ToolMessage, ask_user, tool
from trio_agent.testing import ScriptedModel, call


def is_large(context: ToolContext, amount: int, **_: Any) -> bool:
    return amount > 100


@tool(approval=is_large)
async def refund(order: str, amount: int) -> str:
    """Give money back."""
    return f"{amount} euros for order {order}"


model = ScriptedModel(
    [call("c1", "ask_user", question="Which order?", choices=["7", "8"])],
    [call("c2", "refund", order="8", amount=20), call("c3", "refund", order="8", amount=900)],
    ["You get 20 euros."],
)
agent = Agent(model=model, tools=[refund, ask_user()])


async def ask(request: ToolAsked) -> Answer | bool:
    print(request.kind, request.tool.name, request.tool.input)
    if request.kind == "input":
        return Answer(output="8")
    return Answer(approved=False, reason="that is too much")


async def main() -> None:
    result = await agent.run("I want my money back.", on_waiting=ask)
    for message in result.messages:
        if isinstance(message, ToolMessage):
            print("-", message.content)
    print(result.text)


trio.run(main)
