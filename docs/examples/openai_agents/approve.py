import trio

from trio_agent import Agent, ToolAsked, tool


@tool(approval=True)
async def refund(amount: int) -> str:
    """Give money back."""
    return f"{amount} euros are on their way"


agent = Agent(name="Desk", model="gpt-4o-mini", tools=[refund])


async def ask(request: ToolAsked) -> bool:
    allowed: bool = request.tool.input["amount"] <= 50  # or ask somebody
    return allowed


async def main() -> None:
    result = await agent.run("Give me 20 euros back.", on_waiting=ask)
    print(result.text)


trio.run(main)
