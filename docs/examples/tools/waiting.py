from typing import Any

from trio_agent import Agent, ClientTool, ToolContext, ask_user, tool
from trio_agent.testing import ScriptedModel


def is_large(context: ToolContext, amount: float, **_: Any) -> bool:
    return amount > 100


@tool(approval=is_large)
async def refund(order: str, amount: float = 500) -> str:
    """Give money back."""
    return f"{amount:g} for order {order}"


@tool(approval=True)
async def close_account(customer: str) -> str:
    """Close an account, for good."""
    return f"{customer} is no customer any more"


@tool(retry_safe=True)
async def look_up(order: str) -> str:
    """Look an order up."""
    return "paid"


locate = ClientTool("locate", description="Tell where the user is, as the browser knows it.")
agent = Agent(
    model=ScriptedModel("Hi"),
    tools=[refund, close_account, look_up, locate, ask_user()],
    version="2",
)

for name, arguments in (
    ("refund", {"order": "7", "amount": 20}),
    ("refund", {"order": "7", "amount": 200}),
    ("refund", {"order": "7"}),
    ("refund", {"amount": 200}),
    ("close_account", {"customer": "ada"}),
    ("look_up", {"order": "7"}),
    ("locate", {}),
    ("ask_user", {"question": "Which order?", "choices": ["7", "8"]}),
):
    print(name, arguments, "->", agent.tools_by_name[name].wants(arguments, ToolContext()))
